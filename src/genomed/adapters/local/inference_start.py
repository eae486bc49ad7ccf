"""How an inference worker is to be started: its folder, what it is told, its command, as confined as the other workers.

Blocking. Starts nothing. Knows files and grants; what the worker answers is not its business.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from genomed.adapters._durable_files import write_atomically
from genomed.adapters.local import control_group, grants, memory
from genomed.adapters.local.control_group import NoGroup
from genomed.adapters.local.sandbox import Choice
from genomed.adapters.local.settings import LocalSettings
from genomed.adapters.local.worker_policy import Policy, confined_command, limits
from genomed.adapters.local.worker_process import worker_environment
from genomed.entities.errors import InvalidRequest, Unsupported
from genomed.entities.inference_port import InferenceEngine, InferenceKind, Question

PROTOCOL = 1
FP32_BYTES = 4
"""On a CPU the worker holds weights in fp32, whatever they are stored in."""


class ServeSpec(Struct, frozen=True, kw_only=True, rename="camel"):
    """serve.json, in the worker's own names (training/inference/asked.py)."""

    protocol: int
    engine: InferenceEngine
    base_model: str
    kind: InferenceKind
    layers_at_most: int
    offline: bool
    idle_s: float
    revision: str | None
    threads: int | None


class Prepared(Struct, frozen=True, kw_only=True):
    """folder: the worker's own; gone with it."""

    command: tuple[str, ...]
    environment: dict[str, str]
    folder: Path
    policy: Path
    group: str | None = None

    @property
    def log(self) -> Path:
        return self.folder / "worker.log"

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.policy.unlink(missing_ok=True)
        if self.group is not None:
            control_group.Group(self.group).remove()


def prepared(
    question: Question, folder: Path, *, layers_dir: Path, choice: Choice, settings: LocalSettings, device: str
) -> Prepared:
    """Raises OSError, InvalidRequest for a model that does not exist, Unsupported for one that may not be loaded."""
    _demand_model(question, settings)
    folder.mkdir(parents=True, exist_ok=True)
    spec = folder / "serve.json"
    write_atomically(spec, msgspec.json.encode(_spec(question, settings)))
    environment = worker_environment(os.environ, allow_hub=settings.allow_hub)
    if settings.allow_hub:
        environment |= grants.hub_caches(os.environ)
    policy_path = folder.with_name(f"{folder.name}.policy.json")
    command: tuple[str, ...] = (settings.worker, "serve", str(spec))
    if choice.level == "none":
        return Prepared(command=(settings.python, *command), environment=environment, folder=folder, policy=policy_path)
    reads, writes = _grants(question, folder, layers_dir, settings, environment) if choice.confines else ((), ())
    group = _group(folder, settings)
    policy = Policy(
        level=choice.level,
        network=settings.allow_hub or not choice.confines,
        hub=settings.allow_hub,
        reads=reads,
        writes=writes,
        devices=grants.devices() if choice.confines else (),
        bubblewrap=shutil.which("bwrap"),
        cgroup=group,
        limits=limits(settings, device=device),
        folder=str(folder),
        progress=None,
        command=command,
    )
    confined = confined_command(policy, policy_path, python=settings.python)
    return Prepared(command=confined, environment=environment, folder=folder, policy=policy_path, group=group)


def need_bytes(question: Question) -> int:
    """What the worker will hold: its process, and the weights in fp32. 0 weights for a model that is no folder yet."""
    folder = Path(question.base_model)
    size = sum(file.stat().st_size for file in _near(folder) if file.suffix in WEIGHTS) if folder.is_dir() else 0
    return memory.PROCESS_BYTES + size * _growth(folder)


def _near(folder: Path) -> Iterator[Path]:
    """Of the folder and of those right below it, where parts of encoders are: never a whole disk."""
    for place in (folder, *(path for path in folder.iterdir() if path.is_dir())):
        if os.access(place, os.R_OK | os.X_OK):
            yield from (path for path in place.iterdir() if path.is_file())


WEIGHTS = (".safetensors", ".onnx", ".data", ".onnx_data")


def _growth(folder: Path) -> int:
    """Stored in 16 bits, held in 32."""
    try:
        config = msgspec.json.decode((folder / "config.json").read_bytes(), type=_Stored)
    except (OSError, msgspec.MsgspecError):
        return 1
    return 2 if (config.dtype or config.torch_dtype) in ("bfloat16", "float16") else 1


class _Stored(Struct, frozen=True):
    dtype: str | None = None
    torch_dtype: str | None = None


def _spec(question: Question, settings: LocalSettings) -> ServeSpec:
    return ServeSpec(
        protocol=PROTOCOL,
        engine=question.engine,
        base_model=question.base_model,
        kind=question.kind,
        layers_at_most=settings.inference_layers,
        offline=not settings.allow_hub,
        idle_s=settings.inference_idle_s,
        revision=question.revision,
        threads=settings.threads,
    )


def _demand_model(question: Question, settings: LocalSettings) -> None:
    if Path(question.base_model).is_dir():
        return
    if question.base_model.startswith(("/", ".")):
        raise InvalidRequest(f"there is no model folder {question.base_model}", field="baseModel", provider="local")
    if not settings.allow_hub:
        raise Unsupported(
            f"{question.base_model} is no folder on this machine, and allow_hub is false",
            field="baseModel",
            provider="local",
            remedy="name the model's folder, or set allow_hub for provider local",
        )


def _grants(
    question: Question, folder: Path, layers_dir: Path, settings: LocalSettings, environment: dict[str, str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The base model, all layers, and its own folder; nothing of jobs or of the journal. Raises PermissionError."""
    base_model = Path(question.base_model)
    if opened := grants.covering([str(base_model), *settings.readable], layers_dir.parent):
        raise PermissionError(f"{opened[0]} would be readable by the worker, and holds the data folder")
    reads = [*grants.system_reads(settings), str(folder / "serve.json"), str(layers_dir)]
    if base_model.is_dir():
        reads += [str(base_model), *grants.hub_blobs(base_model)]
    if question.layer is not None:
        reads.append(question.layer)
    writes = [str(folder), *settings.writable]
    if settings.allow_hub:
        writes += grants.hub_caches(environment).values()
    return grants.existing(reads), grants.existing(writes)


def _group(folder: Path, settings: LocalSettings) -> str | None:
    try:
        return control_group.make(
            control_group.place(),
            f"inference-{folder.name}",
            memory_bytes=settings.memory_limit_bytes,
            tasks=settings.tasks,
        ).path
    except NoGroup:
        return None
