"""Whether the configured interpreter can train, asked of itself in a short process; and what that lets us offer.

The answer is kept for a while, a bad one shortly, so that an installation is noticed. Imports no engine.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from genomed.adapters import _parameters
from genomed.adapters.local.parameters import LocalParameters
from genomed.adapters.local.settings import LocalSettings
from genomed.adapters.local.trainer_socket import SPAWN, ask_probe, socket_of
from genomed.adapters.local.worker_process import worker_environment
from genomed.entities.capabilities import Features, ProviderCapabilities, WarmStart
from genomed.entities.configuration import Scalar
from genomed.entities.engines import EngineChoice, EngineOffer
from genomed.entities.types import LRSchedulerType, ModelPrecision, OptimizationFeature, RowKind, TrainingMethod

BAD_NEWS_TTL_S = 15.0
TRAINED = (
    RowKind.CHAT,
    RowKind.PREFERENCE,
    RowKind.LABELLED,
    RowKind.RAFT,
    RowKind.TRIPLET,
    RowKind.RANKING,
    RowKind.VECTOR_PAIR,
)
NEEDED = ("torch", "transformers", "trl", "peft")


class Device(Struct, frozen=True, kw_only=True, rename="camel"):
    kind: str = "unknown"
    name: str | None = None
    memory_bytes: int | None = None
    count: int = 1


class Probe(Struct, frozen=True, kw_only=True, rename="camel"):
    """What the interpreter said of itself. problems: sentences; none means that it can train.

    interpreter: who said it, by path, as we asked for it; whatever stands there in its own words.
    """

    python: str | None = None
    interpreter: str = ""
    versions: dict[str, str | None] = {}
    device: Device = Device()
    bf16: bool = False
    fp16: bool = False
    qlora: bool = False
    flash_attention: bool = False
    liger: bool = False
    problems: tuple[str, ...] = ()

    @property
    def reason(self) -> str | None:
        """Why it cannot train, and what to do; None when it can."""
        missing = [name for name in NEEDED if not self.versions.get(name)]
        problems = self.problems or ((f"{', '.join(missing)} not installed",) if missing else ())
        if not problems:
            return None
        return f"{'; '.join(problems)}. Install it with: pip install 'genomed[local]'"


class Interpreter:
    """The look at an interpreter, one at a time."""

    def __init__(self, settings: LocalSettings, now_us: Callable[[], int], *, installed: Path | None = None) -> None:
        """installed: TRL's own environment below the data folder, taken where the one of the settings cannot train."""
        self._settings, self._installed = settings, installed
        self._now_us = now_us
        self._asking = anyio.Lock()
        self._known: Probe | None = None
        self._stale_at_us = 0

    async def probe(self) -> Probe:
        async with self._asking:
            if self._known is None or self._now_us() >= self._stale_at_us:
                self._known = await self._ask()
                ttl_s = self._settings.probe_ttl_s if self._known.reason is None else BAD_NEWS_TTL_S
                self._stale_at_us = self._now_us() + int(ttl_s * 1e6)
            return self._known

    async def _ask(self) -> Probe:
        settings = self._settings
        python = settings.engines["trl"].python if "trl" in settings.engines else settings.python
        if settings.launch != SPAWN:
            return replace(await self._ask_trainer(settings.launch), interpreter=python)
        probe = replace(await self._ask_of(python), interpreter=python)
        if probe.reason is None or "trl" in settings.engines or not await self._is_installed():
            return probe
        other = replace(await self._ask_of(str(self._installed)), interpreter=str(self._installed))
        return probe if other.reason is not None else other

    async def _is_installed(self) -> bool:
        return self._installed is not None and await anyio.to_thread.run_sync(self._installed.exists)

    async def _ask_of(self, python: str) -> Probe:
        settings = self._settings
        command = [python, settings.worker, "probe"]
        environment = worker_environment(os.environ, allow_hub=settings.allow_hub)
        try:
            with anyio.fail_after(settings.probe_timeout_s):
                done = await anyio.run_process(command, env=environment, check=False)
        except TimeoutError:  # before OSError, whose child it is
            return Probe(problems=(f"the interpreter {python} said nothing in {settings.probe_timeout_s} s",))
        except OSError as broken:
            return Probe(problems=(f"the interpreter {python} cannot be started: {broken}",))
        return read_probe(done.stdout, done.stderr, done.returncode)

    async def _ask_trainer(self, launch: str) -> Probe:
        """The interpreter behind the trainer's socket: what it can use is not what we can."""
        ask = partial(ask_probe, socket_of(launch), timeout_s=self._settings.probe_timeout_s)
        try:
            return read_probe(await anyio.to_thread.run_sync(ask), b"", 0)
        except OSError as broken:
            return Probe(problems=(str(broken),))


def read_probe(stdout: bytes, stderr: bytes, code: int) -> Probe:
    """The last line that an interpreter printed, for libraries may chatter before it."""
    lines = stdout.strip().splitlines()
    try:
        return msgspec.json.decode(lines[-1] if lines else b"", type=Probe)
    except msgspec.MsgspecError as broken:
        last = stderr.decode(errors="replace").strip().splitlines()[-1:]
        return Probe(problems=(f"the worker's probe ended with {code} and no answer ({broken}); {' '.join(last)}",))


def methods(probe: Probe) -> tuple[TrainingMethod, ...]:
    base = (TrainingMethod.FULL, TrainingMethod.LORA)
    return (*base, TrainingMethod.QLORA) if probe.qlora else base


def precisions(probe: Probe) -> tuple[ModelPrecision, ...]:
    offered = {ModelPrecision.FP32: True, ModelPrecision.FP16: probe.fp16, ModelPrecision.BF16: probe.bf16}
    return tuple(precision for precision, there in offered.items() if there)


def optimizations(probe: Probe) -> tuple[OptimizationFeature, ...]:
    cuda = probe.device.kind == "cuda"
    offered = {
        OptimizationFeature.GRADIENT_CHECKPOINTING: True,
        OptimizationFeature.DYNAMIC_PADDING: True,
        OptimizationFeature.FLASH_ATTENTION: cuda and probe.flash_attention,
        OptimizationFeature.SEQUENCE_PACKING: cuda and probe.flash_attention,
        OptimizationFeature.OPTIMIZER_8BIT: cuda and probe.qlora,
        OptimizationFeature.PAGED_OPTIMIZER: cuda and probe.qlora,
        OptimizationFeature.FUSED_KERNELS: cuda and probe.liger,
        OptimizationFeature.ACTIVATION_OFFLOADING: cuda,
    }
    return tuple(feature for feature, there in offered.items() if there)


def capabilities_of(
    probe: Probe,
    *,
    memory_bytes: int | None,
    confinement: dict[str, Scalar] | None = None,
    engines: Sequence[EngineOffer] = (),
    choice: EngineChoice | None = None,
) -> ProviderCapabilities:
    """memory_bytes: of this machine, as jobs may count on it. confinement: of workers, shown beside the hardware.

    engines: each as it is here. choice: what a job of chat rows gets by itself.
    """
    able = {*methods(probe)}.union(*(engine.methods for engine in engines if engine.available))
    hardware: dict[str, Scalar] = {
        "device": probe.device.kind,
        "deviceName": probe.device.name,
        "deviceMemoryBytes": probe.device.memory_bytes,
        "gpus": probe.device.count if probe.device.kind == "cuda" else 0,
        "memoryBytes": memory_bytes,
        "cpus": os.cpu_count(),
        **(confinement or {}),
    }
    versions: dict[str, Scalar] = {"python": probe.python, **probe.versions}
    return ProviderCapabilities(
        provider="local",
        available=probe.reason is None or any(engine.available for engine in engines),
        reason=None if any(engine.available for engine in engines) else probe.reason,
        description="This machine, in a worker process of its own that a restart of the daemon does not disturb.",
        supported_methods=tuple(each for each in TrainingMethod if each in able),
        supported_optimizations=optimizations(probe),
        supported_precisions=precisions(probe),
        supported_schedulers=tuple(LRSchedulerType),
        supported_row_kinds=TRAINED,
        custom_parameters=_parameters.definitions(LocalParameters),
        features=Features(
            pause=True,
            resume=True,
            continues=True,
            judgement=True,
            warm_start=WarmStart.FILES,
            tools=True,
            message_weights=True,
        ),
        hardware=hardware,
        versions=versions,
        engines=tuple(engines),
        engine=choice,
    )
