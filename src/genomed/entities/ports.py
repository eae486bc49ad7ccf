"""What the rooms ask of the outside. Adapters and the daemon fulfil these; commands only use them.

Each docstring states the law that the contract tests check.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from genomed.entities.capabilities import ProviderCapabilities, Translation, ValidationResult
from genomed.entities.configuration import JobConfiguration
from genomed.entities.envelope import Appended, Blob, Cause, Envelope, Head, Receipt, Write
from genomed.entities.errors import ErrorBody
from genomed.entities.facts import Artifact, DatasetFacts, EffectiveField, Judgement, Progress
from genomed.entities.types import EventLevel, JobPhase, JobStatus, RowKind

SqlValue = str | int | float | bytes | None


class SideWrite(Struct, frozen=True, kw_only=True):
    """Rows for a table that is not derived from the log (metric points, cursors), in the same transaction."""

    sql: str
    rows: tuple[tuple[SqlValue, ...], ...]


class Loaded(Struct, frozen=True, kw_only=True):
    """A stream's folded state and the version it stands at; state is None and version 0 for a new stream."""

    version: int
    state: object | None


class Journal(Protocol):
    """The append-only store of events."""

    async def append(
        self,
        writes: Sequence[Write],
        *,
        cause: Cause,
        receipt: Receipt | None = None,
        blobs: Sequence[Blob] = (),
        side: Sequence[SideWrite] = (),
    ) -> Appended:
        """All of it durably, or none. Raises StreamConflict when any stream is not at its expected version."""
        ...

    async def load(self, stream: str) -> Loaded: ...

    async def read(self, stream: str, *, after_version: int = 0, limit: int = 1000) -> list[Envelope]: ...

    async def read_all(self, *, after: int = 0, limit: int = 1000) -> list[Envelope]: ...

    async def blob(self, sha256: str) -> bytes | None:
        """The body, or None when it was erased or never stored."""
        ...

    async def receipt(self, key: str) -> Receipt | None: ...

    async def query(self, sql: str, parameters: Sequence[SqlValue] = ()) -> list[tuple[SqlValue, ...]]:
        """Read-only SQL over the read models, as of the last commit."""
        ...

    def head(self) -> Head: ...


class Submission(Struct, frozen=True, kw_only=True):
    """One attempt to hand a job to a provider. Paths are local files; payload is what `translate` gave.

    parent_layer_path: the layer to beat (and, with warm_start, to go on from). resume: from the last checkpoint.
    """

    job_id: str
    attempt: int
    key: str
    configuration: JobConfiguration
    payload: dict[str, object]
    row_kind: RowKind
    train_path: str
    eval_path: str | None
    rows: int
    eval_rows: int
    dataset_sha256: str
    parent_layer_path: str | None = None
    warm_start: bool = False
    resume: bool = False


class Accepted(Struct, frozen=True, kw_only=True):
    provider_job_id: str
    adopted: bool = False


class Rejected(Struct, frozen=True, kw_only=True):
    """A final no. error.retryable False."""

    error: ErrorBody


class Deferred(Struct, frozen=True, kw_only=True):
    """Certainly not accepted, and asking later can help (429, busy, too little memory now)."""

    reason: str
    retry_after_s: float | None = None


class Ambiguous(Struct, frozen=True, kw_only=True):
    """Sent, outcome unknown: lost reply, timeout, 5xx on create."""

    reason: str


SubmitOutcome = Accepted | Rejected | Deferred | Ambiguous


class Found(Struct, frozen=True, kw_only=True):
    provider_job_id: str


class Absent(Struct, frozen=True, kw_only=True):
    """Looked up with certainty: the provider never took it."""


class Unsearchable(Struct, frozen=True, kw_only=True):
    """This provider cannot be asked by key."""


LookupOutcome = Found | Absent | Unsearchable


class MetricPoint(Struct, frozen=True, kw_only=True):
    """One measured value. name: loss, val_loss, accuracy, val_accuracy, learning_rate, grad_norm, tokens_per_s..."""

    name: str
    step: int
    value: float
    at_us: int


class Notice(Struct, frozen=True, kw_only=True):
    level: EventLevel
    code: str
    message: str


class Checkpoint(Struct, frozen=True, kw_only=True):
    step: int
    path: str
    sha256: str
    loss: float | None = None


class Snapshot(Struct, frozen=True, kw_only=True):
    """What a provider knows of a job now. Points, notices, checkpoints: those since the cursor.

    status None: a word we do not know. worker_lost: a local worker is gone without an ending.
    cursor: opaque; given back at the next poll, stored together with what this snapshot led to.
    next_poll_s: the server's own hint.
    """

    status: JobStatus | None
    provider_status: str
    phase: JobPhase | None = None
    message: str | None = None
    progress: Progress | None = None
    points: tuple[MetricPoint, ...] = ()
    notices: tuple[Notice, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()
    judgements: dict[str, Judgement] = {}
    effective: tuple[EffectiveField, ...] = ()
    artifact: Artifact | None = None
    error: ErrorBody | None = None
    worker_lost: str | None = None
    cursor: str = ""
    next_poll_s: float | None = None


class PublishedLayer(Struct, frozen=True, kw_only=True):
    """A layer as it lies on disk: complete, verified, atomically renamed into place."""

    path: str
    manifest_sha256: str
    artifact: Artifact


class LayerRequest(Struct, frozen=True, kw_only=True):
    """Where a layer is to be published and what its manifest says of its origin."""

    layer_id: str
    destination: str
    lineage: dict[str, object]


class Provider(Protocol):
    """Where a job runs. One instance per daemon; methods may be called concurrently for different jobs."""

    name: str

    async def capabilities(self) -> ProviderCapabilities:
        """What it can do here and now. Never raises for an absent package or key: that is `available=False`."""
        ...

    async def check(self, configuration: JobConfiguration, dataset: DatasetFacts) -> ValidationResult:
        """Everything this provider would refuse, at once, beyond the universal ranges. Changes nothing."""
        ...

    def translate(self, configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]) -> Translation:
        """Pure. Accounts for every field of CONFIGURATION_FIELDS and of metadata, exactly once."""
        ...

    async def submit(self, submission: Submission) -> SubmitOutcome:
        """Start it. Calling twice with one key starts one job. A lost reply is Ambiguous, not an exception."""
        ...

    async def find(self, key: str, *, job_id: str) -> LookupOutcome: ...

    async def poll(self, provider_job_id: str, *, job_id: str, attempt: int, cursor: str) -> Snapshot:
        """Raises Transient (with a hint) on network trouble: that is never a verdict."""
        ...

    async def cancel(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:
        """Ask it to stop; the next polls tell what came of it. Asking twice is harmless."""
        ...

    async def pause(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:
        """Raises Unsupported where it cannot be paused."""
        ...

    async def publish(self, request: LayerRequest, *, artifact: Artifact, job_id: str, attempt: int) -> PublishedLayer:
        """Put the result under destination, whole or not at all; doing it again finds it there."""
        ...


class ProviderContext(Struct, frozen=True, kw_only=True):
    """What an adapter is given when it is made.

    settings: its own section of the daemon's configuration, as TOML gave it.
    jobs_dir: where it may keep one folder per job. layers_dir: where layers are published, one folder per layer id.
    """

    jobs_dir: str
    layers_dir: str
    settings: dict[str, object]
    now_us: Callable[[], int]
