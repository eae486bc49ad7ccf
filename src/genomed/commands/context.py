"""What a command is given and what it gives back. A command decides; the daemon makes it durable.

A command is a module with NAME, SUMMARY, ROLE, Params, Result and `run`. One that changes something returns Decided:
its events and its result go into the log in one transaction, so that a replayed command gets the same answer.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, Protocol, TypeVar

from msgspec import Meta, Struct

from genomed.entities.activity import Activities
from genomed.entities.budget import Budget
from genomed.entities.configured import Configuration
from genomed.entities.dataset_port import DatasetFolder
from genomed.entities.envelope import Blob, Envelope, Head, Write
from genomed.entities.errand_port import ErrandDesk
from genomed.entities.errors import NotFound
from genomed.entities.guards import Guards
from genomed.entities.inference_port import Inference
from genomed.entities.job import Job
from genomed.entities.journal_port import Loaded, SqlValue
from genomed.entities.log_report import BackupMade, VerifyReport
from genomed.entities.ports import Provider
from genomed.entities.presets import Shelf
from genomed.entities.recipe_shelf import ModelShelf, RecipePlanner, RecipeShelf
from genomed.entities.retention import Retained
from genomed.entities.trace import TraceShelf
from genomed.entities.trigger_rule import TriggerRule
from genomed.entities.types import Role

AbsolutePath = Annotated[str, Meta(pattern=r"^/[^\x00]*$", max_length=4096)]

Tell = Callable[[Struct], Awaitable[None]]
"""To whoever asked, through whichever door. Waits for a slow reader; raises CallerGone when nobody listens."""


class CallerGone(Exception):
    """Whoever asked went away before the result was whole: nobody needs it, and nobody hears of it."""


async def unheard(_: Struct) -> None:
    """The way of pieces where the caller takes none."""


R = TypeVar("R")
S = TypeVar("S")


@dataclass(frozen=True, kw_only=True)
class Decided(Generic[R]):
    """What a command decided. settle: awaited after the append, for callers who asked to wait; gives a newer result.

    overtaken: awaited where somebody wrote first and it is decided again: lets go of what was kept for this decision.
    """

    result: R
    writes: tuple[Write, ...]
    blobs: tuple[Blob, ...] = ()
    settle: Callable[[], Awaitable[R]] | None = None
    overtaken: Callable[[], Awaitable[None]] | None = None


class Caller(Struct, frozen=True, kw_only=True):
    """Who asks, as the socket knows it: `uid:1000`, `token:tok-...`, or a part of the daemon.

    personas: whom it may act for and read of; null: everybody. traceparent: the span that this request is part of
    (W3C trace context); what it leads to is kept with it.
    """

    actor: str
    role: Role
    personas: frozenset[str] | None = None
    traceparent: str | None = None

    @property
    def agent(self) -> bool:
        """Whether it speaks for personas rather than for the house: what it says of itself is its own word."""
        return self.personas is not None or self.role in (Role.READ, Role.CAPTURE)


class LogReader(Protocol):
    """The journal without its pen."""

    async def load(self, stream: str) -> Loaded: ...

    async def read(self, stream: str, *, after_version: int = 0, limit: int = 1000) -> list[Envelope]: ...

    async def blob(self, sha256: str) -> bytes | None: ...

    async def query(self, sql: str, parameters: Sequence[SqlValue] = ()) -> list[tuple[SqlValue, ...]]: ...

    def head(self) -> Head: ...


class Providers(Protocol):
    """The providers the operator allows. get raises NotFound naming those that exist."""

    def names(self) -> tuple[str, ...]: ...

    def get(self, name: str) -> Provider: ...

    def complaints(self) -> tuple[str, ...]:
        """Sentences about plug-ins that were left out."""
        ...


class Presets(Protocol):
    """Named beginnings of jobs and sets of prompts: what ships with the daemon and what its configuration adds."""

    async def shelf(self) -> Shelf: ...


class Maintenance(Protocol):
    """Work on the log as a whole, and on the courier's rounds."""

    def stopped(self) -> str | None:
        """Why the log takes no more writes; None while it does."""
        ...

    def short_of_space(self) -> str | None:
        """Why commands that write are refused until the disk has space; None while they are taken."""
        ...

    async def anchored(self) -> Head | None:
        """The head that the anchor outside of the log vouches for; None where it is absent or spoiled."""
        ...

    async def rebuild(self) -> None:
        """Read models and indices are made anew from the events; appends wait meanwhile."""
        ...

    async def verify(self) -> VerifyReport: ...

    async def export(self, path: str) -> Head: ...

    async def backup(self, path: str) -> Head:
        """The head before the copy began."""
        ...

    async def back_up(self, path: str, *, checkpoints: bool) -> BackupMade:
        """The whole house, into a folder."""
        ...

    async def retain(self, *, dry: bool) -> Retained:
        """One sweep over what is over."""
        ...

    async def refresh(self, job_id: str) -> bool:
        """Ask the job's provider now; True when an answer came in time."""
        ...

    async def forgotten(self, forget_id: str, *, timeout_s: float) -> bool:
        """Wait until a wish to forget is carried out; False when the time was over first."""
        ...

    async def until(self, job_id: str, wanted: Callable[[Job], bool], *, timeout_s: float) -> Job:
        """The job as soon as it is as wanted, or as it is when the time is over."""
        ...


@dataclass(frozen=True, kw_only=True)
class Context:
    """Everything a command may use. Time, ids and salt are read here, so that a test can fix them.

    budget: the configuration's caps. confirm: provider -> whether jobs that triggers start there wait for an operator,
    as the configuration says; where it says nothing, those that cost money do.
    waiting: run of a recipe -> which of its models does not answer now; null where it waits for none.
    guards: what the operator lets no agent lower.
    job_secrets: references that jobs may name, for integrations. given: the params as they came over the wire, before
    defaults. inference: models and layers that answer on this machine. tell: takes the pieces of a result that comes in
    pieces.
    """

    log: LogReader
    providers: Providers
    datasets: DatasetFolder
    maintenance: Maintenance
    errands: ErrandDesk
    activities: Activities
    presets: Presets
    recipes: RecipeShelf
    models: ModelShelf
    planner: RecipePlanner
    traces: TraceShelf
    waiting: Callable[[str], str | None]
    now_us: Callable[[], int]
    new_id: Callable[[str], str]
    salt: Callable[[], str]
    caller: Caller
    default_base_model: str | None
    default_rule: TriggerRule
    budget: Budget
    guards: Guards
    confirm: Mapping[str, bool]
    job_secrets: frozenset[str]
    configuration: Configuration
    catalogue: Callable[[], Sequence["CommandModule"]]
    given: dict[str, object]
    inference: Inference
    tell: Tell = unheard


class CommandModule(Protocol):
    """The shape of every module in this room that defines NAME."""

    NAME: str
    SUMMARY: str
    ROLE: Role
    Params: type[Struct]
    Result: type[Struct]
    run: Callable[..., Awaitable[object]]


class Paged(Struct, frozen=True, kw_only=True, rename="camel"):
    """nextCursor: give it back as cursor for the next page; null at the end. asOf: log position of the answer."""

    next_cursor: str | None
    as_of: int


async def load_as(context: Context, stream: str, wanted: type[S], *, what: str) -> tuple[S, int]:
    """The folded state of a stream and its version. Raises NotFound in the words of `what`."""
    loaded = await context.log.load(stream)
    if not isinstance(loaded.state, wanted):
        raise NotFound(f"there is no {what}")
    return loaded.state, loaded.version


async def load_job(context: Context, job_id: str) -> tuple[Job, int]:
    return await load_as(context, f"job/{job_id}", Job, what=f"job {job_id}")


def as_text(value: SqlValue) -> str:
    """A text column. Raises TypeError when the read model holds anything else."""
    if not isinstance(value, str):
        raise TypeError(f"expected text from the read model, got {value!r}")
    return value


def as_int(value: SqlValue) -> int:
    """An integer column. Raises TypeError when the read model holds anything else."""
    if not isinstance(value, int):
        raise TypeError(f"expected an integer from the read model, got {value!r}")
    return value
