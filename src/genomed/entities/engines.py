"""What trains on this machine: an engine is an interpreter with an environment of its own, and a program of the worker.

Names and facts only. Which engines exist, how they are looked at and which one a job gets is the provider's to know.
"""

from enum import StrEnum

from msgspec import Struct

from genomed.entities.types import RowKind, TrainingMethod


class EngineName(StrEnum):
    TRL = "trl"
    UNSLOTH = "unsloth"
    MLX = "mlx"
    AXOLOTL = "axolotl"
    TORCHTUNE = "torchtune"


class Obstacle(StrEnum):
    """Why an engine cannot be used here. Wire-stable."""

    NO_ACCELERATOR = "no_accelerator"
    NOT_INSTALLED = "not_installed"
    VERSION_CONFLICT = "version_conflict"
    NOT_STARTABLE = "not_startable"


class EngineOffer(Struct, frozen=True, kw_only=True, rename="camel"):
    """One engine as it is here and now. reason: a sentence; remedy: what to do; both null where it is available.

    python: the interpreter that would run it; null where there is none. install_path: where `genome engine install`
    puts its environment. devices: what it can train on.
    """

    name: EngineName
    title: str
    available: bool
    obstacle: Obstacle | None = None
    reason: str | None = None
    remedy: str | None = None
    python: str | None = None
    versions: dict[str, str] = {}
    row_kinds: tuple[RowKind, ...] = ()
    methods: tuple[TrainingMethod, ...] = ()
    devices: tuple[str, ...] = ()
    install_path: str | None = None


class EngineChoice(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a job gets, and why. processes: of one job, one for each GPU that it uses."""

    engine: EngineName
    reason: str
    processes: int = 1
