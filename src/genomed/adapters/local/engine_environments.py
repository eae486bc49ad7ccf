"""The environments of the engines: where each is, and what it says of itself in a short process of its own.

An engine's interpreter is the one that the operator names, or the one that `genome engine install` made below the
data folder, or, for those that get along with it, the daemon's own. Nothing is imported; answers are kept for a while.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from msgspec import Struct

from genomed.adapters.local.availability import BAD_NEWS_TTL_S, Probe, methods
from genomed.adapters.local.engines import ENGINES, Availability, Engine, Machine
from genomed.adapters.local.settings import WORKER, LocalSettings
from genomed.adapters.local.trainer_socket import SPAWN
from genomed.adapters.local.worker_process import worker_environment
from genomed.entities.engine_recipes import RECIPES, Recipe, supports_python
from genomed.entities.engines import EngineName, Obstacle
from genomed.entities.types import TrainingMethod

ENGINE_PROBE = WORKER.with_name("engine_probe.py")
DEVICES: Mapping[str, str] = {"cuda": "a CUDA GPU", "mps": "Apple silicon", "cpu": "a CPU"}
ONE_INTERPRETER = "workers are started at the trainer's socket, whose unit names one interpreter for all"


class Look(Struct, frozen=True, kw_only=True):
    """What an environment said. trouble: why it said nothing."""

    python: str | None = None
    versions: dict[str, str] = {}
    conflicts: tuple[str, ...] = ()
    device: str | None = None
    trouble: str | None = None


class _Kept(Struct, frozen=True, kw_only=True):
    python: str
    made_ns: int
    look: Look
    stale_at_us: int


def install_path(data_dir: Path, name: EngineName) -> Path:
    return data_dir / "engines" / name.value


def python_in(environment: Path) -> Path:
    """As python -m venv lays it out."""
    return environment / "bin" / "python"


class EngineEnvironments:
    """The look at each engine, one at a time."""

    def __init__(self, settings: LocalSettings, data_dir: Path, now_us: Callable[[], int]) -> None:
        self._settings, self._data_dir, self._now_us = settings, data_dir, now_us
        self._kept: dict[EngineName, _Kept] = {}
        self._asking = anyio.Lock()

    def named(self, name: EngineName) -> str | None:
        """Its own interpreter, as configured or installed; None where it has none. Blocking."""
        place = self._settings.engines.get(name.value)
        if place is not None:
            return place.python
        installed = python_in(install_path(self._data_dir, name))
        return str(installed) if installed.exists() else None

    async def offers(self, probe: Probe, main: str) -> dict[EngineName, Availability]:
        """probe, main: of the interpreter that trains with TRL."""
        async with self._asking:
            return {name: await self._offer(engine, probe, main) for name, engine in ENGINES.items()}

    async def _offer(self, engine: Engine, probe: Probe, main: str) -> Availability:
        path = str(install_path(self._data_dir, engine.name))
        if engine.name is EngineName.TRL:
            return _of_trl(probe, main, path)
        machine = machine_of(probe)
        own = await anyio.to_thread.run_sync(self.named, engine.name)
        recipe = RECIPES[engine.name]
        remedy = f"genome engine install {engine.name.value}, or name its interpreter in providers.local.engines"
        found = Availability(python=own, install_path=path, methods=_methods(engine, machine))
        if (lacking := _no_device(engine, machine)) is not None:
            return _not(found, Obstacle.NO_ACCELERATOR, lacking, None)
        inside = engine.in_main and own is None and has_all(recipe, probe.versions)
        if inside:
            look = Look(python=probe.python, versions={k: v for k, v in probe.versions.items() if v is not None})
            return _judged(engine, found, look, main, remedy)
        if own is None:
            return _not(found, Obstacle.NOT_INSTALLED, f"{engine.name.value} is not installed", remedy)
        if self._settings.launch != SPAWN:
            return _not(found, Obstacle.NOT_STARTABLE, ONE_INTERPRETER, "set launch to spawn, or leave it to auto")
        look = await self._look(engine, own, device=machine.device == "cuda")
        return _judged(engine, found, look, own, remedy)

    async def _look(self, engine: Engine, python: str, *, device: bool) -> Look:
        made_ns = await anyio.to_thread.run_sync(_made_ns, python)
        kept = self._kept.get(engine.name)
        if kept is None or (kept.python, kept.made_ns) != (python, made_ns) or self._now_us() >= kept.stale_at_us:
            look = await self._ask(engine, python, device=device)
            ttl_s = BAD_NEWS_TTL_S if look.trouble or look.conflicts else self._settings.probe_ttl_s
            stale_at_us = self._now_us() + int(ttl_s * 1e6)
            kept = _Kept(python=python, made_ns=made_ns, look=look, stale_at_us=stale_at_us)
            self._kept[engine.name] = kept
        return kept.look

    async def _ask(self, engine: Engine, python: str, *, device: bool) -> Look:
        names = dict.fromkeys(package.name for package in RECIPES[engine.name].needed)
        options = [f"--own={name}" for name in engine.asks] + ["--device"] * device
        command = [python, str(ENGINE_PROBE), *names, *options]
        environment = worker_environment(os.environ, allow_hub=False)
        try:
            with anyio.fail_after(self._settings.probe_timeout_s):
                done = await anyio.run_process(command, env=environment, check=False)
        except TimeoutError:  # before OSError, whose child it is
            return Look(trouble=f"the interpreter {python} said nothing in {self._settings.probe_timeout_s} s")
        except OSError as broken:
            return Look(trouble=f"the interpreter {python} cannot be started: {broken}")
        lines = done.stdout.strip().splitlines()
        try:
            return msgspec.json.decode(lines[-1] if lines else b"", type=Look)
        except msgspec.MsgspecError as broken:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            return Look(trouble=f"the look at {python} ended with {done.returncode} ({broken}); {' '.join(last)}")


def machine_of(probe: Probe) -> Machine:
    kind = probe.device.kind
    if kind == "cuda":
        return Machine(device="cuda", gpus=max(1, probe.device.count))
    return Machine(device="mps" if kind == "mps" else "cpu")


def has_all(recipe: Recipe, versions: dict[str, str | None]) -> bool:
    return all(versions.get(package.name) for package in recipe.needed)


def _of_trl(probe: Probe, main: str, path: str) -> Availability:
    versions = {name: there for name, there in probe.versions.items() if there is not None}
    found = Availability(python=main, versions=versions, methods=methods(probe), install_path=path)
    return found if probe.reason is None else _not(found, Obstacle.NOT_INSTALLED, probe.reason, None)


def _no_device(engine: Engine, machine: Machine) -> str | None:
    if machine.device in engine.devices or "cpu" in engine.devices:
        return None
    wanted = " or ".join(
        {"cuda": "a CUDA GPU", "mps": "Apple silicon", "cpu": "a CPU"}[kind] for kind in engine.devices
    )
    return f"{engine.name.value} needs {wanted}, and this machine has {machine.in_words()}"


def _methods(engine: Engine, machine: Machine) -> tuple[TrainingMethod, ...]:
    """4 bits need bitsandbytes' CUDA kernels."""
    return tuple(each for each in engine.methods if each is not TrainingMethod.QLORA or machine.device == "cuda")


def _judged(engine: Engine, found: Availability, look: Look, python: str, remedy: str) -> Availability:
    recipe = RECIPES[engine.name]
    names = {package.name for package in recipe.needed}
    versions = {name: there for name, there in look.versions.items() if name in names}
    seen = msgspec.structs.replace(found, python=python, versions=versions)
    if look.trouble is not None:
        return _not(seen, Obstacle.NOT_STARTABLE, look.trouble, remedy)
    if missing := sorted(names - versions.keys()):
        return _not(seen, Obstacle.NOT_INSTALLED, f"{', '.join(missing)} not installed in {python}", remedy)
    wrong = [told for package in recipe.needed if (told := package.conflict(versions[package.name])) is not None]
    wrong += look.conflicts
    if look.python is not None and not supports_python(recipe, look.python):
        wrong.append(f"Python {look.python} is not one of {recipe.python[0]} to below {recipe.python[1]}")
    if wrong:
        return _not(seen, Obstacle.VERSION_CONFLICT, "; ".join(dict.fromkeys(wrong)), remedy)
    if look.device is not None and look.device not in engine.devices:
        return _not(seen, Obstacle.NO_ACCELERATOR, f"the torch of {python} sees no GPU", "install a torch for this GPU")
    return seen


def _not(found: Availability, obstacle: Obstacle, reason: str, remedy: str | None) -> Availability:
    return msgspec.structs.replace(found, obstacle=obstacle, reason=reason, remedy=remedy)


def _made_ns(python: str) -> int:
    """When the environment was made or last installed into: a venv's marker and the folder of its programs."""
    programs = Path(python).parent
    return max(
        (path.stat().st_mtime_ns for path in (programs, programs.parent / "pyvenv.cfg") if path.exists()), default=0
    )
