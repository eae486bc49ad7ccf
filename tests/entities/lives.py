"""Lives of jobs for tests: an opening, what may follow it, and the fold over both.

Knows events and the fold; every event comes one second after the one before it.
"""

from collections.abc import Iterable
from typing import get_args

from hypothesis import strategies as st

from genomed.entities.checking import convert
from genomed.entities.configuration import JobConfiguration
from genomed.entities.confinement_events import Confinement, WorkerConfined
from genomed.entities.errors import ErrorBody, ErrorKind
from genomed.entities.events import (
    CancelRequested,
    CheckpointCommitted,
    ConfigurationResolved,
    JobCancelled,
    JobCreated,
    JobEvent,
    JobFailed,
    JobNoted,
    JobPaused,
    JobSubmitted,
    JobSucceeded,
    LateReportIgnored,
    PauseRequested,
    ProgressReported,
    ResumeRequested,
    RetryRequested,
    SideJudged,
    StatusReported,
    SubmissionDeferred,
    SubmissionIntended,
    SubmissionNotFound,
    SubmissionUnknown,
    TrainingFinished,
    UnknownStatusReported,
    VerdictReached,
    WorkerLost,
)
from genomed.entities.facts import Artifact, Estimate, Judgement, Progress, Verdict
from genomed.entities.ids import submission_key
from genomed.entities.job import Job, evolve
from genomed.entities.provision_events import (
    ApprovalDenied,
    ApprovalGranted,
    CostQuoted,
    CostReported,
    JobStalled,
    UploadAccepted,
    UploadIntended,
    UploadLost,
    UploadReady,
)
from genomed.entities.types import EventLevel, JobPhase, JobStatus, RowKind

SECOND_US = 1_000_000
JOB = "job-01jd0000000000000000000000"
JSON_CONFIGURATION: dict[str, object] = {
    "model": {"baseModel": "tiny"},
    "datasets": {"trainingFileId": "ds-1"},
    "method": {"type": "lora"},
}
CONFIGURATION = convert(JSON_CONFIGURATION, JobConfiguration)

CREATED = JobCreated(
    persona_id="ada",
    provider="local",
    configuration=CONFIGURATION,
    asked=("model.baseModel",),
    dataset_id="ds-1",
    row_kind=RowKind.CHAT,
    rows=40,
    eval_rows=10,
    origin="command",
    domain="cooking",
)
ARTIFACT = Artifact(format="peft_lora", location="/result")
VERDICT = Verdict(
    adopt=True,
    metric="exactMatch",
    candidate=Judgement(rows=10, exact_match=1.0),
    baseline=Judgement(rows=10, exact_match=0.0),
    baseline_layer_id=None,
    lift=1.0,
    loss_change=None,
    reasons=("exactMatch rose",),
)
ERROR = ErrorBody(kind=ErrorKind.TRAINING_FAILED, message="the loss diverged", retryable=False)


def intended(attempt: int = 1, *, resume: bool = False) -> SubmissionIntended:
    key = submission_key(JOB, attempt)
    return SubmissionIntended(attempt=attempt, submission_key=key, payload_sha256="0" * 64, resume=resume)


def checkpoint(step: int, *, attempt: int = 1, loss: float | None = None) -> CheckpointCommitted:
    return CheckpointCommitted(attempt=attempt, step=step, path=f"/checkpoint-{step}", sha256="0" * 64, loss=loss)


def reported(status: JobStatus = JobStatus.RUNNING, phase: JobPhase = JobPhase.TRAINING) -> StatusReported:
    return StatusReported(attempt=1, status=status, phase=phase, provider_status="training")


def progressed(step: int, total_steps: int | None = None) -> ProgressReported:
    return ProgressReported(attempt=1, progress=Progress(step=step, total_steps=total_steps))


def upload_intended(role: str = "train") -> UploadIntended:
    return UploadIntended(role=role, name=f"gn-{role}", sha256="0" * 64, size_bytes=10, rows=40)


CONFINEMENT = Confinement(level="landlock", network="closed", missing=("bubblewrap is missing",))
ESTIMATE = Estimate(usd=1.25, basis="a price list", source="price_table")
SUBMITTED = JobSubmitted(attempt=1, provider_job_id="theirs-1")
LOST = WorkerLost(attempt=1, reason="signal 9")
FINISHED = TrainingFinished(attempt=1, artifact=ARTIFACT)
SUCCEEDED = JobSucceeded(attempt=1, layer_id="ly-1", adopted=True)
FAILED = JobFailed(attempt=1, error=ERROR)
CANCELLED = JobCancelled(attempt=1, reason="asked for")
PAUSED = JobPaused(attempt=1, step=3)
CANCEL = CancelRequested(reason="asked for")
PAUSE = PauseRequested(reason="asked for")
RESUME = ResumeRequested(reason="asked for")
RETRY = RetryRequested(reason="asked for")

RUNNING: tuple[JobEvent, ...] = (CREATED, intended(), SUBMITTED, reported())
ENDINGS: tuple[JobEvent, ...] = (SUCCEEDED, FAILED, CANCELLED)


def fold(events: Iterable[JobEvent], *, start_us: int = 0) -> Job:
    job: Job | None = None
    for n, event in enumerate(events):
        job = evolve(job, event, at_us=start_us + n * SECOND_US)
    assert job is not None
    return job


def _followers() -> dict[type, st.SearchStrategy[JobEvent]]:
    attempts = st.integers(1, 4)
    numbers = st.none() | st.floats(0, 10)
    words = st.sampled_from(["", "running", "odd"])
    roles = st.sampled_from(["train", "eval"])
    open_statuses = st.sampled_from([JobStatus.VALIDATING_FILES, JobStatus.QUEUED, JobStatus.RUNNING])
    open_phases = [phase for phase in JobPhase if phase is not JobPhase.ENDED]
    progress = st.builds(
        Progress, step=st.integers(0, 99), total_steps=st.none() | st.integers(0, 99), epoch=numbers, loss=numbers
    )
    judgements = st.builds(Judgement, rows=st.integers(0, 99), loss=numbers, exact_match=numbers)
    return {
        ConfigurationResolved: st.builds(ConfigurationResolved, attempt=attempts, source=words, fields=st.just(())),
        SubmissionIntended: st.builds(intended, attempts, resume=st.booleans()),
        SubmissionUnknown: st.builds(SubmissionUnknown, attempt=attempts, reason=words, searchable=st.booleans()),
        SubmissionNotFound: st.builds(SubmissionNotFound, attempt=attempts),
        SubmissionDeferred: st.builds(
            SubmissionDeferred, reason=words, not_before_us=st.none() | st.integers(0, 99 * SECOND_US)
        ),
        JobSubmitted: st.builds(JobSubmitted, attempt=attempts, provider_job_id=words, adopted=st.booleans()),
        StatusReported: st.builds(reported, open_statuses, st.sampled_from(open_phases)),
        UnknownStatusReported: st.builds(UnknownStatusReported, attempt=attempts, provider_status=words),
        ProgressReported: st.builds(ProgressReported, attempt=attempts, progress=progress),
        CheckpointCommitted: st.builds(checkpoint, st.integers(0, 99), attempt=attempts, loss=numbers),
        WorkerConfined: st.builds(WorkerConfined, attempt=attempts, confinement=st.just(CONFINEMENT)),
        WorkerLost: st.builds(WorkerLost, attempt=attempts, reason=words),
        JobNoted: st.builds(JobNoted, level=st.sampled_from(EventLevel), message=words, code=words),
        SideJudged: st.builds(
            SideJudged, attempt=attempts, side=st.sampled_from(["baseline", "candidate"]), judgement=judgements
        ),
        TrainingFinished: st.builds(TrainingFinished, attempt=attempts, artifact=st.just(ARTIFACT)),
        VerdictReached: st.builds(VerdictReached, attempt=attempts, verdict=st.just(VERDICT)),
        JobSucceeded: st.builds(JobSucceeded, attempt=attempts, layer_id=words, adopted=st.booleans()),
        JobFailed: st.builds(JobFailed, attempt=attempts, error=st.just(ERROR)),
        PauseRequested: st.builds(PauseRequested, reason=words, until_us=st.none() | st.integers(0, 99 * SECOND_US)),
        JobPaused: st.builds(JobPaused, attempt=attempts, step=st.none() | st.integers(0, 99)),
        ResumeRequested: st.builds(ResumeRequested, reason=words),
        RetryRequested: st.builds(RetryRequested, reason=words),
        CancelRequested: st.builds(CancelRequested, reason=words),
        JobCancelled: st.builds(JobCancelled, attempt=attempts, reason=words),
        LateReportIgnored: st.builds(LateReportIgnored, attempt=attempts, provider_status=words),
        ApprovalGranted: st.builds(ApprovalGranted, reason=words),
        ApprovalDenied: st.builds(ApprovalDenied, reason=words),
        UploadIntended: st.builds(upload_intended, roles),
        UploadAccepted: st.builds(UploadAccepted, role=roles, provider_file_id=words, adopted=st.booleans()),
        UploadReady: st.builds(UploadReady, role=roles, provider_status=words),
        UploadLost: st.builds(UploadLost, role=roles, reason=words),
        CostQuoted: st.builds(CostQuoted, attempt=attempts, estimate=st.just(ESTIMATE)),
        CostReported: st.builds(CostReported, attempt=attempts, usd=st.floats(0, 99)),
        JobStalled: st.builds(JobStalled, kind=st.just(ErrorKind.MISSING_CREDENTIALS), message=words),
    }


FOLLOWERS = _followers()
"""What may come after job.created, by event type: all of them, with values that need not fit together."""

assert set(FOLLOWERS) == set(get_args(JobEvent)) - {JobCreated}, "a new event needs its line in FOLLOWERS"

ANY_EVENT: st.SearchStrategy[JobEvent] = st.one_of(*FOLLOWERS.values())
ANY_REPORT: st.SearchStrategy[JobEvent] = st.one_of(
    *(made for kind, made in FOLLOWERS.items() if kind not in (ResumeRequested, RetryRequested))
)
