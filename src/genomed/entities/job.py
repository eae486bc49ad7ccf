"""A job is a fold over its events. Pure: no clock, no IO, no randomness.

Terminal is terminal: after an ending, reports change nothing; only an explicit resume or retry opens a new attempt.
"""

from typing import assert_never

from msgspec.structs import replace

from genomed.entities.confinement_events import WorkerConfined
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
from genomed.entities.job_state import Attempt, CheckpointRecord, Job, Upload
from genomed.entities.provision import closed_attempts, evolve_provision
from genomed.entities.types import TERMINAL, JobPhase, JobStatus

__all__ = ["Attempt", "CheckpointRecord", "Job", "Upload", "evolve"]


def evolve(job: Job | None, event: JobEvent, *, at_us: int) -> Job:
    """The job after `event`.

    Raises ValueError for a stream that does not open with job.created, or that tells the outcome of a submission
    before any was intended.
    """
    if isinstance(event, ProgressReported) and job is not None:  # most of a log by far, so it is asked first
        return job if job.status in TERMINAL else _progressed(job, event, at_us)
    if isinstance(event, JobCreated):
        return job or _created(event, at_us)
    if job is None:
        raise ValueError(f"a job's stream opens with job.created, not {type(event).__name__}")
    if isinstance(event, ResumeRequested) and job.held:
        return replace(job, updated_us=at_us, pending_resume=True, pause_until_us=None, phase=JobPhase.RESUMING)
    if isinstance(event, (ResumeRequested, RetryRequested)):
        return replace(_reopened(job, event), updated_us=at_us)
    if job.terminal:
        return job
    return _moved(job, event, at_us)


def _created(event: JobCreated, at_us: int) -> Job:
    return Job(
        persona_id=event.persona_id,
        provider=event.provider,
        configuration=event.configuration,
        asked=event.asked,
        dataset_id=event.dataset_id,
        row_kind=event.row_kind,
        rows=event.rows,
        eval_rows=event.eval_rows,
        origin=event.origin,
        domain=event.domain,
        bucket_id=event.bucket_id,
        parent_layer_id=event.parent_layer_id,
        warm_start=event.warm_start,
        simulated=event.simulated,
        created_us=at_us,
        updated_us=at_us,
        phase=JobPhase.AWAITING_APPROVAL if event.approval_needed else JobPhase.ACCEPTED,
        awaiting_approval=event.approval_needed,
        wanted_uploads=event.uploads,
        estimate=event.estimate,
        ledger=event.ledger,
        migrated_from=event.migrated_from,
    )


def _reopened(job: Job, event: ResumeRequested | RetryRequested) -> Job:
    """Back to the queue: the next attempt is due. A retry forgets what the last attempts measured."""
    again = replace(
        job,
        status=JobStatus.QUEUED,
        phase=JobPhase.ACCEPTED,
        message=None,
        resume_next=isinstance(event, ResumeRequested) and job.checkpoint is not None,
        not_before_us=None,
        automatic_resumes=0,
        error=None,
        artifact=None,
        verdict=None,
        judgements={},
        pending_pause=False,
        pause_until_us=None,
        pending_cancel=False,
        pending_resume=False,
        awaiting_approval=False,
        uploads={},
        quote=None,
        ledger=event.ledger or (None if job.terminal else job.ledger),
        cost_usd=None,
        finished_us=None,
        attempts=closed_attempts(job.attempts),
    )
    if isinstance(event, RetryRequested):
        return replace(again, progress=None, progress_us=None, checkpoint=None)
    return again


def _with_attempt(job: Job, state: str, provider_job_id: str | None = None) -> tuple[Attempt, ...]:
    if not job.attempts:
        raise ValueError("a submission's outcome without a submission_intended")
    last = job.attempts[-1]
    return (
        *job.attempts[:-1],
        replace(last, state=state, provider_job_id=provider_job_id or last.provider_job_id),
    )


def _moved(job: Job, event: JobEvent, at_us: int) -> Job:
    match event:
        case CheckpointCommitted() | SideJudged() | TrainingFinished() | VerdictReached():
            return _measured(job, event, at_us)
        case ProgressReported():
            return _progressed(job, event, at_us)
        case SubmissionIntended() | SubmissionUnknown() | SubmissionNotFound() | SubmissionDeferred() | JobSubmitted():
            return _submission(job, event, at_us)
        case StatusReported() | UnknownStatusReported():
            return _reported(job, event, at_us)
        case PauseRequested() | CancelRequested():
            return _asked(job, event, at_us)
        case WorkerLost(reason=reason):
            return replace(
                job,
                updated_us=at_us,
                status=JobStatus.QUEUED,
                phase=JobPhase.ACCEPTED,
                message=reason,
                resume_next=job.checkpoint is not None,
                automatic_resumes=job.automatic_resumes + 1,
                attempts=closed_attempts(job.attempts),
            )
        case JobPaused():
            return replace(
                job,
                updated_us=at_us,
                status=JobStatus.PAUSED,
                phase=JobPhase.PAUSED,
                pending_pause=False,
                attempts=closed_attempts(job.attempts),
            )
        case JobSucceeded() | JobFailed() | JobCancelled():
            return _ended(job, event, at_us)
        case ConfigurationResolved() | JobNoted() | LateReportIgnored():
            return replace(job, updated_us=at_us)
        case WorkerConfined():
            return replace(job, updated_us=at_us, confined=event)
        case JobCreated() | ResumeRequested() | RetryRequested():
            raise ValueError(f"{type(event).__name__} is not a move")
        case _:
            return evolve_provision(job, event, at_us=at_us)


def _progressed(job: Job, event: ProgressReported, at_us: int) -> Job:
    return replace(
        job, updated_us=at_us, progress=event.progress, progress_us=at_us, started_us=job.started_us or at_us
    )


MeasuredEvent = CheckpointCommitted | SideJudged | TrainingFinished | VerdictReached


def _measured(job: Job, event: MeasuredEvent, at_us: int) -> Job:
    match event:
        case CheckpointCommitted():
            record = CheckpointRecord(
                step=event.step, path=event.path, sha256=event.sha256, loss=event.loss, attempt=event.attempt
            )
            return replace(job, updated_us=at_us, checkpoint=record)
        case SideJudged(side=side, judgement=judgement):
            return replace(job, updated_us=at_us, judgements={**job.judgements, side: judgement})
        case TrainingFinished(artifact=artifact):
            word = event.provider_status or job.provider_status
            return replace(job, updated_us=at_us, artifact=artifact, phase=JobPhase.FETCHING, provider_status=word)
        case VerdictReached(verdict=verdict):
            return replace(job, updated_us=at_us, verdict=verdict)
        case _:
            assert_never(event)


def _asked(job: Job, event: PauseRequested | CancelRequested, at_us: int) -> Job:
    if isinstance(event, CancelRequested):
        return replace(job, updated_us=at_us, pending_cancel=True, phase=JobPhase.CANCELLING)
    return replace(job, updated_us=at_us, pending_pause=True, pause_until_us=event.until_us, phase=JobPhase.PAUSING)


SubmissionEvent = SubmissionIntended | SubmissionUnknown | SubmissionNotFound | SubmissionDeferred | JobSubmitted


def _submission(job: Job, event: SubmissionEvent, at_us: int) -> Job:
    match event:
        case SubmissionIntended():
            attempt = Attempt(
                number=event.attempt,
                submission_key=event.submission_key,
                state="intended",
                resume=event.resume,
                intended_us=at_us,
            )
            kept = job.attempts if not job.attempts or job.attempts[-1].number != event.attempt else job.attempts[:-1]
            return replace(
                job, attempts=(*kept, attempt), phase=JobPhase.SUBMITTING, resume_next=False, not_before_us=None
            )
        case SubmissionUnknown(reason=reason, searchable=searchable):
            phase = JobPhase.SUBMITTING if searchable else JobPhase.SUBMISSION_UNCERTAIN
            state = "unknown" if searchable else "uncertain"
            return replace(job, updated_us=at_us, phase=phase, message=reason, attempts=_with_attempt(job, state))
        case SubmissionNotFound():
            return replace(job, updated_us=at_us, attempts=_with_attempt(job, "absent"))
        case SubmissionDeferred(reason=reason, not_before_us=until):
            attempts = _with_attempt(job, "absent") if job.attempts and not _over(job.attempts[-1]) else job.attempts
            return replace(
                job,
                updated_us=at_us,
                phase=JobPhase.WAITING_CAPACITY,
                message=reason,
                not_before_us=until,
                attempts=attempts,
            )
        case JobSubmitted(provider_job_id=theirs):
            return replace(
                job,
                updated_us=at_us,
                phase=JobPhase.SUBMITTED,
                message=None,
                not_before_us=None,
                attempts=_with_attempt(job, "accepted", theirs),
            )
        case _:
            assert_never(event)


def _over(attempt: Attempt) -> bool:
    return attempt.state == "ended"


def _reported(job: Job, event: StatusReported | UnknownStatusReported, at_us: int) -> Job:
    if isinstance(event, UnknownStatusReported):
        return replace(job, updated_us=at_us, provider_status=event.provider_status)
    started = job.started_us
    if event.status is JobStatus.RUNNING and started is None:
        started = at_us
    paused = event.status is JobStatus.PAUSED
    phase = event.phase
    if job.pending_cancel:
        phase = JobPhase.CANCELLING
    elif job.pending_pause and not paused:
        phase = JobPhase.PAUSING
    elif job.pending_resume and paused:
        phase = JobPhase.RESUMING
    return replace(
        job,
        updated_us=at_us,
        status=event.status,
        phase=phase,
        provider_status=event.provider_status,
        message=event.message,
        started_us=started,
        pending_pause=job.pending_pause and not paused,
        pending_resume=job.pending_resume and paused,
        pause_until_us=job.pause_until_us if paused or job.pending_pause else None,
    )


def _ended(job: Job, event: JobSucceeded | JobFailed | JobCancelled, at_us: int) -> Job:
    ended = replace(
        job,
        updated_us=at_us,
        phase=JobPhase.ENDED,
        finished_us=at_us,
        pending_pause=False,
        pending_cancel=False,
        pending_resume=False,
        awaiting_approval=False,
        pause_until_us=None,
        attempts=closed_attempts(job.attempts),
    )
    match event:
        case JobSucceeded():
            return replace(
                ended, status=JobStatus.SUCCEEDED, layer_id=event.layer_id, adopted=event.adopted, message=None
            )
        case JobFailed(error=error):
            word = event.provider_status or job.provider_status
            return replace(ended, status=JobStatus.FAILED, error=error, message=error.message, provider_status=word)
        case JobCancelled(reason=reason):
            word = event.provider_status or job.provider_status
            return replace(ended, status=JobStatus.CANCELLED, message=reason, provider_status=word)
        case _:
            assert_never(event)
