"""A job as it stands: what the fold in `job` makes of its events. Data only; what it needs next is in `decisions`."""

from msgspec import Struct

from genomed.entities.configuration import JobConfiguration
from genomed.entities.confinement_events import WorkerConfined
from genomed.entities.errors import ErrorBody
from genomed.entities.facts import Artifact, Estimate, Judgement, Progress, Verdict
from genomed.entities.types import TERMINAL, JobPhase, JobStatus, RowKind


class Attempt(Struct, frozen=True, kw_only=True, rename="camel"):
    """One submission.

    intended_us: when the intention was written. state: `intended` (outcome not in the log), `unknown` (ask by key),
    `uncertain` (cannot be asked), `absent` (asked: not there), `accepted`, `ended`.
    """

    number: int
    submission_key: str
    state: str
    resume: bool
    provider_job_id: str | None = None
    intended_us: int = 0


class Upload(Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of the dataset on its way. state: `intended` (prepared, perhaps sent), `accepted`, `ready`."""

    name: str
    sha256: str
    size_bytes: int
    rows: int
    state: str
    provider_file_id: str | None = None


class CheckpointRecord(Struct, frozen=True, kw_only=True, rename="camel"):
    step: int
    path: str
    sha256: str
    loss: float | None
    attempt: int


class Job(Struct, frozen=True, kw_only=True, rename="camel"):
    """All that is known of a job. Times in microseconds since 1970; null until they happened.

    resume_next: the next attempt goes on from the last checkpoint. pending_pause, pending_cancel, pending_resume: asked
    for and not yet true. wanted_uploads: parts that the provider is sent first; uploads: those on their way, by part.
    ledger: the spend stream with this attempt's reservation. quote: the provider's own price. automatic_resumes:
    attempts opened because a worker was lost. progress_us: when progress was last told. confined: how
    the last worker was.
    """

    persona_id: str
    provider: str
    configuration: JobConfiguration
    asked: tuple[str, ...]
    dataset_id: str
    row_kind: RowKind
    rows: int
    eval_rows: int
    origin: str
    domain: str | None
    bucket_id: str | None
    parent_layer_id: str | None
    warm_start: bool
    simulated: bool
    created_us: int
    updated_us: int
    status: JobStatus = JobStatus.QUEUED
    phase: JobPhase = JobPhase.ACCEPTED
    provider_status: str | None = None
    message: str | None = None
    attempts: tuple[Attempt, ...] = ()
    resume_next: bool = False
    not_before_us: int | None = None
    automatic_resumes: int = 0
    progress: Progress | None = None
    progress_us: int | None = None
    checkpoint: CheckpointRecord | None = None
    judgements: dict[str, Judgement] = {}
    artifact: Artifact | None = None
    verdict: Verdict | None = None
    layer_id: str | None = None
    adopted: bool | None = None
    error: ErrorBody | None = None
    pending_pause: bool = False
    pause_until_us: int | None = None
    pending_cancel: bool = False
    pending_resume: bool = False
    awaiting_approval: bool = False
    wanted_uploads: tuple[str, ...] = ()
    uploads: dict[str, Upload] = {}
    estimate: Estimate | None = None
    quote: Estimate | None = None
    ledger: str | None = None
    cost_usd: float | None = None
    migrated_from: str | None = None
    confined: WorkerConfined | None = None
    started_us: int | None = None
    finished_us: int | None = None

    @property
    def attempt(self) -> Attempt | None:
        """The last attempt, ended or not; None while none was opened."""
        return self.attempts[-1] if self.attempts else None

    @property
    def terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def held(self) -> bool:
        """Paused at the provider, which keeps it: the same job can go on there."""
        return self.status is JobStatus.PAUSED and self.attempt is not None and self.attempt.state == "accepted"

    @property
    def unready_upload(self) -> str | None:
        """The first part that the provider must have before the job can be sent; None when all are ready."""
        waiting = (
            part for part in self.wanted_uploads if part not in self.uploads or self.uploads[part].state != "ready"
        )
        return next(waiting, None)
