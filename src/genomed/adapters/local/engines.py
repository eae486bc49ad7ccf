"""The engines of this machine as a table, and which one a job gets. Pure.

A named engine is given or refused, with the reason; only `auto` looks further, and what it would have liked is said.
Rows that are no text for a language model are trained by TRL's interpreter, where the libraries for them are.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from genomed.entities.engines import EngineChoice, EngineName, EngineOffer, Obstacle
from genomed.entities.errors import Problem
from genomed.entities.types import RowKind, TrainingMethod

DeviceKind = Literal["cpu", "cuda", "mps"]
FIELD = "metadata.engine"
AUTO = "auto"

LORA, QLORA, FULL = TrainingMethod.LORA, TrainingMethod.QLORA, TrainingMethod.FULL
TEXTS = (RowKind.CHAT, RowKind.PREFERENCE, RowKind.LABELLED, RowKind.RAFT)
OTHERS = (RowKind.TRIPLET, RowKind.RANKING, RowKind.VECTOR_PAIR)


class Engine(Struct, frozen=True, kw_only=True):
    """What an engine serves. module: of the training room; None: which one goes by the rows.

    in_main: whether it may live in the daemon's own interpreter. asks: its distribution whose own requirements are
    looked at. gpus: how many of them one job can use.
    """

    name: EngineName
    title: str
    rows: tuple[RowKind, ...]
    methods: tuple[TrainingMethod, ...]
    devices: tuple[DeviceKind, ...]
    module: str | None
    in_main: bool = False
    asks: tuple[str, ...] = ()
    gpus: int = 1


ENGINES: Mapping[EngineName, Engine] = {
    engine.name: engine
    for engine in (
        Engine(
            name=EngineName.TRL, title="TRL with PEFT", rows=(*TEXTS, *OTHERS), methods=(FULL, LORA, QLORA),
            devices=("cpu", "cuda", "mps"), module=None, in_main=True, gpus=1024,
        ),
        Engine(
            name=EngineName.UNSLOTH, title="Unsloth", rows=(RowKind.CHAT, RowKind.PREFERENCE), methods=(LORA, QLORA),
            devices=("cuda",), module="engines.unsloth_run", asks=("unsloth", "unsloth_zoo"),
        ),
        Engine(
            name=EngineName.MLX, title="MLX", rows=(RowKind.CHAT,), methods=(LORA,),
            devices=("mps", "cpu"), module="engines.mlx_run", in_main=True, asks=("mlx-lm",),
        ),
        Engine(
            name=EngineName.AXOLOTL, title="Axolotl", rows=(RowKind.CHAT,), methods=(LORA, QLORA),
            devices=("cuda", "cpu"), module="engines.axolotl_run", asks=("axolotl",),
        ),
        Engine(
            name=EngineName.TORCHTUNE, title="torchtune", rows=(RowKind.CHAT,), methods=(LORA,),
            devices=("cuda", "cpu"), module="engines.torchtune_run", asks=("torchtune",),
        ),
    )
}  # fmt: skip


class Availability(Struct, frozen=True, kw_only=True):
    """reason: a sentence, and None where it can be used; remedy: what to do. methods: what it can do here and now."""

    obstacle: Obstacle | None = None
    reason: str | None = None
    remedy: str | None = None
    python: str | None = None
    versions: dict[str, str] = {}
    methods: tuple[TrainingMethod, ...] = ()
    install_path: str | None = None

    @property
    def available(self) -> bool:
        return self.obstacle is None


class Machine(Struct, frozen=True, kw_only=True):
    """device: what there is to train on. gpus: of a CUDA machine."""

    device: DeviceKind = "cpu"
    gpus: int = 0

    def in_words(self) -> str:
        match self.device:
            case "mps":
                return "Apple silicon"
            case "cuda" if self.gpus > 1:
                return f"{self.gpus} CUDA GPUs"
            case "cuda":
                return "one CUDA GPU"
            case _:
                return "a CPU and no GPU"


class Refusal(Struct, frozen=True, kw_only=True):
    """obstacle: None where the engine is there and the job is not for it."""

    field: str
    message: str
    remedy: str | None = None
    obstacle: Obstacle | None = None

    def as_problem(self) -> Problem:
        return Problem(field=self.field, message=self.message, remedy=self.remedy)


class Work(Struct, frozen=True, kw_only=True):
    """What of a job decides. gpus: as asked for; None: as many as the engine can use and a batch can be shared by."""

    rows: RowKind
    method: TrainingMethod
    gpus: int | None = None
    batch_size: int = 1


Offers = Mapping[EngineName, Availability]


def choose(wish: str, default: str, machine: Machine, offers: Offers, work: Work) -> EngineChoice | Refusal:
    """wish: of the job, default: of the operator; a name, or `auto`."""
    if wish != AUTO:
        return _named(EngineName(wish), "the job names it", machine, offers, work, field=FIELD)
    if default == AUTO:
        return _by_machine(machine, offers, work)
    name = EngineName(default)
    if (unfit := unserved(name, work)) is None:
        return _named(name, "the operator's default", machine, offers, work, field="providers.local.engine")
    return _plain(f"{unfit}, though it is the operator's default", machine, offers, work)


def _named(
    name: EngineName, why: str, machine: Machine, offers: Offers, work: Work, *, field: str
) -> EngineChoice | Refusal:
    offer = offers[name]
    if (unfit := unserved(name, work)) is not None:
        return Refusal(field=field, message=unfit, remedy="leave it to auto")
    if offer.obstacle is not None:
        return Refusal(
            field=field,
            message=f"{name.value} cannot be used here ({offer.obstacle.value}): {offer.reason}",
            remedy=offer.remedy or "leave it to auto",
            obstacle=offer.obstacle,
        )
    if work.method not in offer.methods:
        able = ", ".join(method.value for method in offer.methods)
        message = f"{name.value} cannot train {work.method.value} on this machine; it can train {able}"
        return Refusal(field="method.type", message=message, remedy="use another method, or leave the engine to auto")
    return _with_processes(name, why, machine, work)


def _by_machine(machine: Machine, offers: Offers, work: Work) -> EngineChoice | Refusal:
    here = f"this machine has {machine.in_words()}"
    preferred = preference(machine)
    if work.rows in OTHERS:
        return _plain(f"{work.rows.value} rows are trained by it alone", machine, offers, work)
    if preferred is EngineName.TRL:
        return _plain(here, machine, offers, work)
    if (unfit := unserved(preferred, work)) is not None:
        return _plain(f"{here}, which would suit {preferred.value}, but {unfit}", machine, offers, work)
    offer = offers[preferred]
    if offer.obstacle is not None:
        return _plain(f"{here}, which would suit {preferred.value}; {offer.reason}", machine, offers, work)
    if work.method not in offer.methods:
        lacks = f"{preferred.value} cannot train {work.method.value} here"
        return _plain(f"{here}, which would suit {preferred.value}, but {lacks}", machine, offers, work)
    return _with_processes(preferred, here, machine, work)


def preference(machine: Machine) -> EngineName:
    """What suits a machine best, whether it is there or not."""
    match machine.device:
        case "mps":
            return EngineName.MLX
        case "cuda" if machine.gpus == 1:
            return EngineName.UNSLOTH
        case _:
            return EngineName.TRL


def _plain(why: str, machine: Machine, offers: Offers, work: Work) -> EngineChoice | Refusal:
    """TRL, or why not even that: nothing is left to look at."""
    offer = offers[EngineName.TRL]
    if offer.obstacle is not None:
        return Refusal(
            field="", message=f"local training is not available: {offer.reason}", remedy=offer.remedy,
            obstacle=offer.obstacle,
        )  # fmt: skip
    if work.method not in offer.methods:
        message = f"{work.method.value} needs a CUDA device and bitsandbytes; the device here is {machine.device}"
        return Refusal(field="method.type", message=message, remedy="use lora")
    return _with_processes(EngineName.TRL, why, machine, work)


def _with_processes(name: EngineName, why: str, machine: Machine, work: Work) -> EngineChoice | Refusal:
    able = machine.gpus if name is EngineName.TRL and work.rows in TEXTS else min(1, machine.gpus)
    if work.gpus is not None and work.gpus > max(able, 0):
        can = f"a {work.rows.value} job with {name.value} can use {able} here" if able else "there is no CUDA GPU here"
        message = f"{work.gpus} GPUs are asked for; {can}"
        return Refusal(field="hardware.numGPUs", message=message, remedy="leave it out")
    even = [count for count in range(1, max(1, able) + 1) if work.batch_size % count == 0]
    processes = work.gpus or max(even)
    if processes > 1:
        why = f"{why}; accelerate runs {processes} processes"
    return EngineChoice(engine=name, reason=why, processes=processes)


def unserved(name: EngineName, work: Work) -> str | None:
    """Why such work is not for the engine on any machine."""
    engine = ENGINES[name]
    if work.rows not in engine.rows:
        return f"{name.value} does not train {work.rows.value} rows"
    if work.method not in engine.methods:
        return f"{name.value} does not train with {work.method.value}"
    return None


def offer_of(name: EngineName, found: Availability) -> EngineOffer:
    """For those who ask what there is."""
    engine = ENGINES[name]
    return EngineOffer(
        name=name,
        title=engine.title,
        available=found.available,
        obstacle=found.obstacle,
        reason=found.reason,
        remedy=found.remedy,
        python=found.python,
        versions=found.versions,
        row_kinds=engine.rows,
        methods=found.methods,
        devices=engine.devices,
        install_path=found.install_path,
    )
