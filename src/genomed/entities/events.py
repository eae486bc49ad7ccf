"""Everything that can have happened. Past tense, immutable, never renamed; `event_codec` reads and writes them.

An event gains fields only with a default; anything else is a new schema version with an upcaster. Texts of people
are never in an event: bodies are blobs, events hold their sha256. Here: the life of a job, then datasets and
layers. What agents tell us is in `experience_events`.
"""

from msgspec import Struct

from genomed.entities.access_events import AccessEvent
from genomed.entities.cleaning import CleaningStep
from genomed.entities.configuration import JobConfiguration
from genomed.entities.configuration_events import DaemonConfigured
from genomed.entities.confinement_events import WorkerConfined
from genomed.entities.deployment_events import DeploymentEvent, LayerCompared, WithdrawalEvent
from genomed.entities.draft_events import DraftEvent
from genomed.entities.errand_events import ErrandEvent
from genomed.entities.errors import ErrorBody
from genomed.entities.experience_events import ExperienceEvent
from genomed.entities.facts import Artifact, DatasetSource, EffectiveField, Estimate, Judgement, Progress, Verdict
from genomed.entities.forget_events import DatasetArchived, ForgetEvent, RowsForgotten
from genomed.entities.guard_events import GuardEvent
from genomed.entities.layer_keeping_events import LayerKeepingEvent
from genomed.entities.provision_events import ProvisionEvent
from genomed.entities.recipe_events import RecipeEvent, RecipeItemEvent
from genomed.entities.retention_events import RetentionEvent
from genomed.entities.review_events import ItemEvent, ReviewEvent
from genomed.entities.self_task_events import SelfTaskEvent
from genomed.entities.spend_events import SpendEvent
from genomed.entities.trace_events import TraceEvent
from genomed.entities.types import EventLevel, JobPhase, JobStatus, RowKind


class JobCreated(Struct, frozen=True, kw_only=True, rename="camel", tag="job.created"):
    """A wish to train. asked: the wire paths the caller gave; the rest of the configuration are defaults.

    parent_layer_id: the active layer the result must beat (null: the base model). warm_start: training goes on
    from that layer's weights. origin: `command`, `train`, `trigger`, `flush` or `migrate`. uploads: the parts of the
    dataset that the provider must be sent first. approval_needed: an agent asked, or nobody let the rows leave the
    house yet (consent_missing); an operator decides. ledger: the spend stream that holds the reservation of `estimate`;
    null where nothing is paid. migrated_from: another job.
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
    domain: str | None = None
    bucket_id: str | None = None
    parent_layer_id: str | None = None
    warm_start: bool = False
    simulated: bool = False
    legacy_session_id: str | None = None
    uploads: tuple[str, ...] = ()
    approval_needed: bool = False
    consent_missing: bool = False
    estimate: Estimate | None = None
    ledger: str | None = None
    migrated_from: str | None = None


class ConfigurationResolved(Struct, frozen=True, kw_only=True, rename="camel", tag="job.configuration_resolved"):
    """What was asked for, sent, and echoed back. source: `translation` (ours) or `echo` (the trainer's or API's)."""

    attempt: int
    source: str
    fields: tuple[EffectiveField, ...]


class SubmissionIntended(Struct, frozen=True, kw_only=True, rename="camel", tag="job.submission_intended"):
    """Durable before the create call. submission_key travels to the provider and can be looked up there."""

    attempt: int
    submission_key: str
    payload_sha256: str
    resume: bool = False


class SubmissionUnknown(Struct, frozen=True, kw_only=True, rename="camel", tag="job.submission_unknown"):
    """The create call's outcome is unknown; searchable says whether the provider can be asked by key."""

    attempt: int
    reason: str
    searchable: bool


class SubmissionNotFound(Struct, frozen=True, kw_only=True, rename="camel", tag="job.submission_not_found"):
    """The provider was asked by key and has nothing: sending it (again) is safe."""

    attempt: int


class SubmissionDeferred(Struct, frozen=True, kw_only=True, rename="camel", tag="job.submission_deferred"):
    """Not sent yet: no free slot, a rate limit, too little memory. not_before_us: null waits for a slot."""

    reason: str
    not_before_us: int | None = None


class JobSubmitted(Struct, frozen=True, kw_only=True, rename="camel", tag="job.submitted"):
    """The provider has it. adopted: found by key rather than answered by the create call."""

    attempt: int
    provider_job_id: str
    adopted: bool = False


class StatusReported(Struct, frozen=True, kw_only=True, rename="camel", tag="job.status_reported"):
    """The provider's status or our phase changed. provider_status: the provider's own word, verbatim."""

    attempt: int
    status: JobStatus
    phase: JobPhase
    provider_status: str
    message: str | None = None


class UnknownStatusReported(Struct, frozen=True, kw_only=True, rename="camel", tag="job.unknown_status_reported"):
    """A word we do not know: the job stays open as it is."""

    attempt: int
    provider_status: str


class ProgressReported(Struct, frozen=True, kw_only=True, rename="camel", tag="job.progress_reported"):
    """Coalesced: at most one per 5 % or 30 s. The full series is in the metric points."""

    attempt: int
    progress: Progress


class CheckpointCommitted(Struct, frozen=True, kw_only=True, rename="camel", tag="job.checkpoint_committed"):
    """A verified state to go on from. sha256: of the checkpoint's own list of file hashes."""

    attempt: int
    step: int
    path: str
    sha256: str
    loss: float | None = None


class WorkerLost(Struct, frozen=True, kw_only=True, rename="camel", tag="job.worker_lost"):
    """A local worker died without saying how it ended."""

    attempt: int
    reason: str


class JobNoted(Struct, frozen=True, kw_only=True, rename="camel", tag="job.noted"):
    """Something a person should see that changes no state."""

    level: EventLevel
    message: str
    code: str


class SideJudged(Struct, frozen=True, kw_only=True, rename="camel", tag="job.side_judged"):
    """One side was measured on the held-out rows. side: `baseline` or `candidate`."""

    attempt: int
    side: str
    judgement: Judgement


class TrainingFinished(Struct, frozen=True, kw_only=True, rename="camel", tag="job.training_finished"):
    """The run ended well; its artifact is not yet published as a layer. provider_status: its last word, verbatim."""

    attempt: int
    artifact: Artifact
    provider_status: str | None = None


class VerdictReached(Struct, frozen=True, kw_only=True, rename="camel", tag="job.verdict_reached"):
    attempt: int
    verdict: Verdict


class JobSucceeded(Struct, frozen=True, kw_only=True, rename="camel", tag="job.succeeded"):
    """Trained, published as a layer, judged. adopted: the layer is now active."""

    attempt: int
    layer_id: str
    adopted: bool


class JobFailed(Struct, frozen=True, kw_only=True, rename="camel", tag="job.failed"):
    """provider_status: the provider's last word, where it was its verdict."""

    attempt: int
    error: ErrorBody
    provider_status: str | None = None


class PauseRequested(Struct, frozen=True, kw_only=True, rename="camel", tag="job.pause_requested"):
    """until_us: when the pause ends by itself; null: when somebody resumes."""

    reason: str
    until_us: int | None = None


class JobPaused(Struct, frozen=True, kw_only=True, rename="camel", tag="job.paused"):
    attempt: int
    step: int | None = None


class ResumeRequested(Struct, frozen=True, kw_only=True, rename="camel", tag="job.resume_requested"):
    """Go on: from the last good checkpoint as a new attempt, or with the very job that the provider holds paused.

    ledger: the spend stream with the new attempt's reservation; null where nothing more is paid.
    """

    reason: str
    ledger: str | None = None


class RetryRequested(Struct, frozen=True, kw_only=True, rename="camel", tag="job.retry_requested"):
    """Start over as a new attempt of the same job, from the first step. ledger: as for a resume."""

    reason: str
    ledger: str | None = None


class CancelRequested(Struct, frozen=True, kw_only=True, rename="camel", tag="job.cancel_requested"):
    reason: str


class JobCancelled(Struct, frozen=True, kw_only=True, rename="camel", tag="job.cancelled"):
    """provider_status: the provider's last word, where it had the job."""

    attempt: int
    reason: str
    provider_status: str | None = None


class LateReportIgnored(Struct, frozen=True, kw_only=True, rename="camel", tag="job.late_report_ignored"):
    """A report about a job that had already ended. Terminal is terminal."""

    attempt: int
    provider_status: str


class DatasetFrozen(Struct, frozen=True, kw_only=True, rename="camel", tag="dataset.frozen"):
    """A content-addressed version of rows. sizes in bytes; eval rows are held out and never trained on.

    eval_share and split_seed reproduce the split; duplicates and unusable count what was left out. steps: what cleaning
    did, in order. draft_id, version: of the draft that it is a version of. held_out_with: earlier datasets whose
    held-out groups are held out here too. self_generated: rows that a recipe wrote. features: `tools`, `weights`, what
    rows hold beside plain turns.
    """

    name: str
    persona_id: str
    row_kind: RowKind
    rows: int
    eval_rows: int
    train_sha256: str
    eval_sha256: str | None
    lineage_sha256: str
    size_bytes: int
    source: DatasetSource
    eval_share: float
    split_seed: int
    duplicates: int = 0
    unusable: int = 0
    longest_row_bytes: int = 0
    draft_id: str | None = None
    version: int | None = None
    steps: tuple[CleaningStep, ...] = ()
    held_out_with: tuple[str, ...] = ()
    self_generated: int = 0
    features: tuple[str, ...] = ()


class LayerPublished(Struct, frozen=True, kw_only=True, rename="camel", tag="layer.published"):
    """A layer lies complete at path. manifest_sha256: of its manifest, which lists every file with its hash.

    job_id, dataset_id: empty, and attempt 0, of one that was made elsewhere (layer.imported follows).
    """

    persona_id: str
    domain: str
    base_model: str
    job_id: str
    attempt: int
    provider: str
    dataset_id: str
    row_kind: RowKind
    artifact: Artifact
    path: str
    manifest_sha256: str
    parent_layer_id: str | None = None
    simulated: bool = False


class LayerJudged(Struct, frozen=True, kw_only=True, rename="camel", tag="layer.judged"):
    verdict: Verdict


class LayerActivated(Struct, frozen=True, kw_only=True, rename="camel", tag="genome.layer_activated"):
    """layer_id is now what (domain, base_model) of this persona uses. forced: against or without a verdict."""

    layer_id: str
    domain: str
    base_model: str
    previous_layer_id: str | None
    reason: str
    forced: bool = False


class LayerRolledBack(Struct, frozen=True, kw_only=True, rename="camel", tag="genome.layer_rolled_back"):
    """layer_id was taken out; restored_layer_id is active again (null: the plain base model)."""

    layer_id: str
    domain: str
    base_model: str
    restored_layer_id: str | None
    reason: str


JobEvent = (
    JobCreated
    | ConfigurationResolved
    | SubmissionIntended
    | SubmissionUnknown
    | SubmissionNotFound
    | SubmissionDeferred
    | JobSubmitted
    | StatusReported
    | UnknownStatusReported
    | ProgressReported
    | CheckpointCommitted
    | WorkerConfined
    | WorkerLost
    | JobNoted
    | SideJudged
    | TrainingFinished
    | VerdictReached
    | JobSucceeded
    | JobFailed
    | PauseRequested
    | JobPaused
    | ResumeRequested
    | RetryRequested
    | CancelRequested
    | JobCancelled
    | LateReportIgnored
    | ProvisionEvent
)
LayerEvent = LayerPublished | LayerJudged | LayerCompared | WithdrawalEvent | LayerKeepingEvent
GenomeEvent = LayerActivated | LayerRolledBack
DatasetEvent = DatasetFrozen | RowsForgotten | DatasetArchived
CurationEvent = DraftEvent | ReviewEvent | ItemEvent | RecipeEvent | RecipeItemEvent | ForgetEvent
Event = (
    JobEvent
    | DatasetEvent
    | LayerEvent
    | GenomeEvent
    | DeploymentEvent
    | ExperienceEvent
    | CurationEvent
    | SelfTaskEvent
    | ErrandEvent
    | SpendEvent
    | TraceEvent
    | GuardEvent
    | AccessEvent
    | DaemonConfigured
    | RetentionEvent
)


class UnknownEvent(Struct, frozen=True, kw_only=True):
    """An event that this build does not know (a newer one wrote it): kept, counted, reported, never dropped."""

    type: str
    schema: int
    data: bytes
