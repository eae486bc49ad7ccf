"""What the rooms ask of a provider, and what it is given. Adapters fulfil it; the daemon and commands use it.

Each docstring states the law that the contract tests check.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from genomed.entities.capabilities import ProviderCapabilities, Translation, ValidationResult
from genomed.entities.configuration import JobConfiguration
from genomed.entities.confinement_events import Confinement
from genomed.entities.errors import ErrorBody
from genomed.entities.facts import Artifact, DatasetFacts, EffectiveField, Estimate, Judgement, Progress
from genomed.entities.rows import Message, Row
from genomed.entities.types import EventLevel, JobPhase, JobStatus, RowKind


class Submission(Struct, frozen=True, kw_only=True):
    """One attempt to hand a job to a provider. Paths are local files; payload is what `translate` gave.

    parent_layer_path: the layer to beat (and, with warm_start, to go on from); its sha256: of its manifest; parent: its
    artifact as its provider named it. resume: from the last checkpoint; previous_job_id: the provider's id of the one
    before. files: what it calls each uploaded part (`train`, `eval`).
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
    parent_layer_sha256: str | None = None
    warm_start: bool = False
    resume: bool = False
    files: dict[str, str] = {}
    parent: Artifact | None = None
    previous_job_id: str | None = None


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


class UploadFile(Struct, frozen=True, kw_only=True):
    """A part of a dataset in the provider's own form, ready on disk. name: by content, `gn-` and 16 hex digits.

    The name fits every provider's rules; the same bytes have the same name, so what is there already is adopted.
    """

    name: str
    path: str
    sha256: str
    size_bytes: int
    rows: int
    row_kind: RowKind


class Uploaded(Struct, frozen=True, kw_only=True):
    """provider_file_id: what create calls name it by."""

    provider_file_id: str
    adopted: bool = False


UploadOutcome = Uploaded | Rejected | Deferred | Ambiguous


class UploadState(Struct, frozen=True, kw_only=True):
    """ready: a job may name it now. error: it will never be. gone: the provider has it no more."""

    ready: bool
    provider_status: str
    error: ErrorBody | None = None
    gone: bool = False
    next_poll_s: float | None = None


class Uploads(Protocol):
    """How a provider that trains on files it was sent takes them."""

    def line(self, row: Row, *, configuration: JobConfiguration) -> bytes:
        """The row as this provider reads it for such a job: one line of JSON, without the newline. Pure."""
        ...

    async def find(self, file: UploadFile) -> Uploaded | None:
        """The same content, sent before and still usable; None when it is not there. Raises Transient."""
        ...

    async def put(self, file: UploadFile) -> UploadOutcome:
        """Send it, streamed with bounded memory. A lost reply is Ambiguous: `find` is asked before it is sent again."""
        ...

    async def state(self, provider_file_id: str) -> UploadState:
        """Whether it is ready. Raises Transient."""
        ...


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
    """sha256: empty where the provider keeps the checkpoint and path is its name for it."""

    step: int
    path: str
    sha256: str
    loss: float | None = None


class Snapshot(Struct, frozen=True, kw_only=True):
    """What a provider knows of a job now. Points, notices, checkpoints: those since the cursor.

    status None: a word we do not know. worker_lost: a local worker is gone without an ending.
    held: with status PAUSED, the provider keeps the job and `proceed` lets the same one go on; not held, a resume is a
    new attempt. cost_usd: what the provider says that it cost, so far or in all; null while it does not say.
    confinement: of this attempt's local worker. cursor: opaque; given back at the next poll, stored together with what
    this snapshot led to. next_poll_s: the server's own hint.
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
    confinement: Confinement | None = None
    held: bool = False
    cost_usd: float | None = None
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


class DeploymentRequest(Struct, frozen=True, kw_only=True):
    """A wish to have a layer answer requests. key: ours, found again by it. accelerator: the provider's word for it."""

    key: str
    layer_id: str
    artifact: Artifact
    base_model: str
    accelerator: str | None = None
    accelerators: int = 1


class DeploymentState(Struct, frozen=True, kw_only=True):
    """model: what inference calls name. phase: `creating`, `ready`, `failed`, `gone`, `unknown`.

    base_model: what inference calls name the untuned model there; null where the deployment does not serve it.
    """

    phase: str
    provider_status: str
    model: str | None = None
    base_model: str | None = None
    message: str | None = None
    error: ErrorBody | None = None


class Answer(Struct, frozen=True, kw_only=True):
    """What a served model said. tokens: as the server counted them; seconds: until the answer was whole."""

    text: str
    seconds: float
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Serving(Protocol):
    """How a provider that serves results is asked to. Deploying costs money by the hour: never done unasked."""

    async def hourly_usd(self, request: DeploymentRequest) -> Estimate:
        """The price of one hour, from the price table in config; usd null where it has no entry."""
        ...

    async def deploy(self, request: DeploymentRequest) -> SubmitOutcome:
        """Accepted.provider_job_id is the deployment's id. Calling twice with one key makes one deployment."""
        ...

    async def find(self, key: str) -> LookupOutcome: ...

    async def state(self, provider_id: str, *, request: DeploymentRequest) -> DeploymentState:
        """Raises Transient. May take further idempotent steps towards `ready` (loading the layer)."""
        ...

    async def undeploy(self, provider_id: str, *, request: DeploymentRequest) -> None:
        """Ask for its end; asking twice, or for one that is gone, is harmless."""
        ...

    async def remove(self, model: str) -> None:
        """Delete a result that the provider keeps; one that is gone is harmless.

        model: as the artifact names it. Raises Unsupported where it cannot be deleted.
        """
        ...

    async def answer(self, model: str, prompt: Sequence[Message], *, max_tokens: int) -> Answer:
        """One chat completion. Raises Transient, ProviderRejected or MissingCredentials."""
        ...


class Provider(Protocol):
    """Where a job runs. One instance per daemon; methods may be called concurrently for different jobs.

    uploads: how it is sent files; None where it reads ours. serving: how its results are made to answer; None where
    they are not served there.
    """

    name: str

    @property
    def uploads(self) -> Uploads | None: ...

    @property
    def serving(self) -> Serving | None: ...

    async def capabilities(self) -> ProviderCapabilities:
        """What it can do here and now. Never raises for an absent package or key: that is `available=False`."""
        ...

    async def check(
        self, configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]
    ) -> ValidationResult:
        """Everything this provider would refuse, at once, beyond the universal ranges. Changes nothing.

        asked: wire paths of what the caller gave, as in `translate`. What was asked for and has no equal there is
        refused, also where it is the universal default; a default that nobody asked for never is.
        """
        ...

    def translate(self, configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]) -> Translation:
        """Pure. Accounts for every field of CONFIGURATION_FIELDS and of metadata, exactly once.

        Raises nothing for what `check_configuration` and `check` let pass with the same `asked`.
        """
        ...

    async def estimate(self, configuration: JobConfiguration, dataset: DatasetFacts) -> Estimate:
        """What it would cost, from the price table; asks nobody. usd 0 with source `free` where it costs nothing."""
        ...

    async def quote(self, submission: Submission) -> Estimate | None:
        """The provider's own price, asked after the uploads and before the create call; None where it has none."""
        ...

    async def submit(self, submission: Submission) -> SubmitOutcome:
        """Start it. Calling twice with one key starts one job. A lost reply is Ambiguous, not an exception."""
        ...

    async def find(self, key: str, *, job_id: str, intended_us: int) -> LookupOutcome:
        """Whether the create call of that key went through. intended_us: when the intention was written.

        Absent only when that is certain: a provider whose lists lag raises Transient until they must have caught up.
        """
        ...

    async def poll(self, provider_job_id: str, *, job_id: str, attempt: int, cursor: str) -> Snapshot:
        """Raises Transient (with a hint) on network trouble: that is never a verdict."""
        ...

    async def cancel(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:
        """Ask it to stop; the next polls tell what came of it. Asking twice is harmless."""
        ...

    async def pause(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:
        """Raises Unsupported where it cannot be paused."""
        ...

    async def proceed(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:
        """Let go on what the provider holds: a paused job, or one that waits for its start. Twice is harmless.

        Raises Unsupported where the provider holds nothing.
        """
        ...

    async def publish(self, request: LayerRequest, *, artifact: Artifact, job_id: str, attempt: int) -> PublishedLayer:
        """Put the result under destination, whole or not at all; doing it again finds it there."""
        ...

    async def close(self) -> None:
        """Give connections back. Called once, at the end of the daemon."""
        ...


class Secrets(Protocol):
    """Secrets by reference: `env:NAME`, `cred:NAME` (systemd credential), `file:/path` (mode 0600)."""

    async def present(self, reference: str) -> bool: ...

    async def reveal(self, reference: str) -> str:
        """Raises MissingCredentials with the remedy. What was revealed is redacted from then on."""
        ...

    def redact(self, text: str) -> str:
        """The text without any secret that was revealed so far."""
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
    secrets: Secrets
