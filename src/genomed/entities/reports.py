"""What a provider's snapshot means as events. Pure; coalesces progress and ignores what comes after the end."""

from genomed.entities.confinement_events import WorkerConfined
from genomed.entities.errors import ErrorBody, ErrorKind
from genomed.entities.events import (
    CheckpointCommitted,
    ConfigurationResolved,
    JobCancelled,
    JobEvent,
    JobFailed,
    JobNoted,
    JobPaused,
    LateReportIgnored,
    ProgressReported,
    SideJudged,
    StatusReported,
    TrainingFinished,
    UnknownStatusReported,
    WorkerLost,
)
from genomed.entities.facts import Progress
from genomed.entities.job import Job
from genomed.entities.ports import Snapshot
from genomed.entities.provision_events import CostReported
from genomed.entities.types import TERMINAL, EventLevel, JobPhase, JobStatus

PROGRESS_SHARE = 0.05
PROGRESS_INTERVAL_US = 30_000_000
"""A progress event at most every 5 % or 30 s (reference/eventlog.md 4.2)."""


def events_of(job: Job, snapshot: Snapshot, *, attempt: int, now_us: int) -> list[JobEvent]:
    """What this snapshot adds to the job's stream; empty when it tells nothing new."""
    if job.terminal:
        return [LateReportIgnored(attempt=attempt, provider_status=snapshot.provider_status)]
    told: list[JobEvent] = []
    if snapshot.confinement is not None:
        confined = WorkerConfined(attempt=attempt, confinement=snapshot.confinement)
        told += [confined] if confined != job.confined else []
    if snapshot.effective:
        told.append(ConfigurationResolved(attempt=attempt, source="echo", fields=snapshot.effective))
    told += [JobNoted(level=n.level, message=n.message, code=n.code) for n in snapshot.notices]
    told += _status(job, snapshot, attempt)
    over = snapshot.status in TERMINAL
    if snapshot.progress and _worth_telling(job, snapshot.progress, now_us, over=over):
        told.append(ProgressReported(attempt=attempt, progress=snapshot.progress))
    told += [
        CheckpointCommitted(attempt=attempt, step=c.step, path=c.path, sha256=c.sha256, loss=c.loss)
        for c in snapshot.checkpoints
        if job.checkpoint is None or (job.checkpoint.attempt, job.checkpoint.path) != (attempt, c.path)
    ]
    told += [
        SideJudged(attempt=attempt, side=side, judgement=judgement)
        for side, judgement in snapshot.judgements.items()
        if job.judgements.get(side) != judgement
    ]
    if snapshot.status in TERMINAL and snapshot.cost_usd is not None and snapshot.cost_usd != job.cost_usd:
        told.append(CostReported(attempt=attempt, usd=snapshot.cost_usd))
    return told + _ending(job, snapshot, attempt)


def _status(job: Job, snapshot: Snapshot, attempt: int) -> list[JobEvent]:
    if snapshot.status is None:
        if job.provider_status == snapshot.provider_status:
            return []
        return [UnknownStatusReported(attempt=attempt, provider_status=snapshot.provider_status)]
    if snapshot.status in TERMINAL or (snapshot.status is JobStatus.PAUSED and not snapshot.held):
        return []
    phase = snapshot.phase or (JobPhase.PAUSED if snapshot.held else JobPhase.SUBMITTED)
    if _same(job, snapshot, phase):
        return []
    return [
        StatusReported(
            attempt=attempt,
            status=snapshot.status,
            phase=phase,
            provider_status=snapshot.provider_status,
            message=snapshot.message,
        )
    ]


def _same(job: Job, snapshot: Snapshot, phase: JobPhase) -> bool:
    shown = job.phase in (phase, JobPhase.PAUSING, JobPhase.RESUMING, JobPhase.CANCELLING)
    return shown and job.status is snapshot.status and job.provider_status == snapshot.provider_status


def _worth_telling(job: Job, progress: Progress, now_us: int, *, over: bool) -> bool:
    last = job.progress
    if last is None or progress.step < last.step:
        return True
    if progress.step == last.step:
        return False
    if over or (progress.total_steps and progress.step >= progress.total_steps):
        return True
    if now_us - (job.progress_us or 0) >= PROGRESS_INTERVAL_US:
        return True
    fraction, before = progress.fraction, last.fraction
    if fraction is None or before is None:
        return fraction is not before  # the total became known, or was lost again
    return fraction - before >= PROGRESS_SHARE


def _ending(job: Job, snapshot: Snapshot, attempt: int) -> list[JobEvent]:
    if snapshot.worker_lost is not None:
        if job.pending_cancel:
            return [JobCancelled(attempt=attempt, reason="cancelled; its worker is gone")]
        return [WorkerLost(attempt=attempt, reason=snapshot.worker_lost)]
    match snapshot.status:
        case JobStatus.SUCCEEDED:
            return _finished(job, snapshot, attempt)
        case JobStatus.FAILED:
            error = snapshot.error or ErrorBody(
                kind=ErrorKind.TRAINING_FAILED,
                message=snapshot.message or f"the provider says {snapshot.provider_status}",
                retryable=False,
                provider=job.provider,
            )
            return [JobFailed(attempt=attempt, error=error, provider_status=snapshot.provider_status)]
        case JobStatus.CANCELLED:
            reason = snapshot.message or "cancelled"
            return [JobCancelled(attempt=attempt, reason=reason, provider_status=snapshot.provider_status)]
        case JobStatus.PAUSED if not snapshot.held:
            step = snapshot.progress.step if snapshot.progress else None
            return [JobPaused(attempt=attempt, step=step)]
        case _:
            return []


def _finished(job: Job, snapshot: Snapshot, attempt: int) -> list[JobEvent]:
    """Success needs the artifact: without one the job stays open and is asked again."""
    if snapshot.artifact is None:
        return []
    told: list[JobEvent] = []
    if job.pending_cancel:
        told.append(
            JobNoted(
                level=EventLevel.INFO,
                code="cancel_too_late",
                message="the job had already finished when the cancel arrived",
            )
        )
    finished = TrainingFinished(attempt=attempt, artifact=snapshot.artifact, provider_status=snapshot.provider_status)
    return [*told, finished]
