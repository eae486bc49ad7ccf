"""The operator's settings of local training."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from genomed.entities.checking import convert
from genomed.entities.errors import InvalidRequest, Problem

WORKER = Path(__file__).parents[2] / "training" / "__main__.py"
"""Started by path: the interpreter may be one in which genomed is not installed."""

GIB = 1 << 30
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Patience = Annotated[float, Meta(ge=0, le=31_536_000)]
AbsolutePath = Annotated[str, Meta(pattern="^/.")]
Launch = Annotated[str, Meta(pattern="^(spawn|socket:/.+)$")]
EngineKey = Literal["trl", "unsloth", "mlx", "axolotl", "torchtune"]
EngineWish = Literal["auto", "trl", "unsloth", "mlx", "axolotl", "torchtune"]
Sandbox = Literal["auto", "none", "rlimits", "landlock", "bubblewrap"]


class EngineSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """python: the interpreter of an engine's own environment."""

    python: AbsolutePath


class LocalSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The provider's section of the daemon's configuration.

    python, worker: interpreter and program of the worker. allow_hub: may base models come from the network;
    allow_unpinned: without naming a commit.
    memory_reserve_bytes: what jobs must leave free. stall_after_s: silence after which a worker counts as stalled.
    idle_after_s: how long it may live without any progress until it does, too. hang_after_s: how long a worker may be
    stalled until it is ended and replaced. 0: for ever.
    allow_full_tuning: a LoRA job whose LoRA cannot be put on the model may train every weight instead, and says so.
    warm: keep a worker with its libraries loaded for the next job, where memory allows and bubblewrap does not confine;
    warm_idle_s: how long it waits for one.
    cancel_grace_s: how long a cancelled worker may take to stop by itself. threads: null leaves it to the engine.
    poll_s: how often a running worker is looked at. probe_timeout_s, probe_ttl_s: of the look at the interpreter.
    launch: `spawn` makes workers children of the daemon; `socket:PATH` asks a service manager for each (python and
    worker are then its unit's).

    engine: what trains where a job does not say; `auto` goes by the machine. engines: their interpreters, by name;
    those that `genome engine install` made need not be named.

    sandbox: the strongest level that is wanted; a weaker one is taken where it does not work, unless require_sandbox
    (then a job is refused that landlock or bubblewrap cannot hold). readable, writable: further paths for workers.
    memory_limit_bytes: of a worker with all its children. address_space_bytes: RLIMIT_AS, without CUDA only.
    largest_file_bytes, tasks: what one worker may write into one file, and its processes and threads.

    inference_workers: models that are kept in memory for answering, at most. inference_idle_s: how long one stays that
    nobody asks. inference_layers: layers loaded over one model at a time.
    """

    python: str = sys.executable
    worker: str = str(WORKER)
    allow_hub: bool = False
    allow_unpinned: bool = False
    memory_reserve_bytes: Annotated[int, Meta(ge=0)] = GIB
    stall_after_s: Seconds = 120
    idle_after_s: Patience = 86_400
    hang_after_s: Patience = 3600
    cancel_grace_s: Seconds = 60
    threads: Annotated[int, Meta(ge=1, le=1024)] | None = None
    allow_full_tuning: bool = False
    warm: bool = False
    warm_idle_s: Seconds = 3600
    poll_s: Seconds = 0.5
    probe_timeout_s: Seconds = 120
    probe_ttl_s: Seconds = 600
    launch: Launch = "spawn"
    engine: EngineWish = "auto"
    engines: dict[EngineKey, EngineSettings] = {}
    sandbox: Sandbox = "auto"
    require_sandbox: bool = False
    readable: tuple[AbsolutePath, ...] = ()
    writable: tuple[AbsolutePath, ...] = ()
    memory_limit_bytes: Annotated[int, Meta(ge=1 << 20)] | None = None
    address_space_bytes: Annotated[int, Meta(ge=1 << 26)] | None = None
    largest_file_bytes: Annotated[int, Meta(ge=1 << 20)] | None = 1 << 40
    tasks: Annotated[int, Meta(ge=16)] | None = 4096
    inference_workers: Annotated[int, Meta(ge=1, le=64)] = 2
    inference_idle_s: Seconds = 300
    inference_layers: Annotated[int, Meta(ge=1, le=256)] = 8


def settings_from(section: dict[str, object]) -> LocalSettings:
    """Raises InvalidRequest that names every problem."""
    settings = convert(section, LocalSettings, root="providers.local")
    if settings.require_sandbox and settings.sandbox in ("none", "rlimits"):
        problem = Problem(
            field="providers.local.require_sandbox",
            message=f"is true, and sandbox is {settings.sandbox}, which is no sandbox",
            remedy="set sandbox to auto, landlock or bubblewrap",
        )
        raise InvalidRequest.of([problem])
    return settings
