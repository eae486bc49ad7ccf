"""What approval, uploads, prices and stalls make of a job: the part of its fold around a submission. Pure."""

from typing import assert_never

from msgspec.structs import replace

from genomed.entities.job_state import Attempt, Job, Upload
from genomed.entities.provision_events import (
    ApprovalDenied,
    ApprovalGranted,
    CostQuoted,
    CostReported,
    JobStalled,
    ProvisionEvent,
    UploadAccepted,
    UploadIntended,
    UploadLost,
    UploadReady,
)
from genomed.entities.types import JobPhase, JobStatus

UploadEvent = UploadIntended | UploadAccepted | UploadReady | UploadLost


def evolve_provision(job: Job, event: ProvisionEvent, *, at_us: int) -> Job:
    """The open job after `event`. The fate of an upload of an earlier attempt, told late, changes nothing."""
    match event:
        case ApprovalGranted():
            phase = JobPhase.ACCEPTED if job.phase is JobPhase.AWAITING_APPROVAL else job.phase
            return replace(job, updated_us=at_us, awaiting_approval=False, phase=phase)
        case ApprovalDenied(reason=reason):
            return _denied(job, reason, at_us)
        case UploadIntended() | UploadAccepted() | UploadReady() | UploadLost():
            return replace(_uploaded(job, event), updated_us=at_us)
        case CostQuoted(estimate=quote):
            return replace(job, updated_us=at_us, quote=quote)
        case CostReported(usd=usd):
            return replace(job, updated_us=at_us, cost_usd=usd)
        case JobStalled(message=message):
            return replace(job, updated_us=at_us, phase=JobPhase.STALLED, message=message)
        case _:
            assert_never(event)


def closed_attempts(attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """The last one ended, whatever it was."""
    if not attempts or attempts[-1].state == "ended":
        return attempts
    return (*attempts[:-1], replace(attempts[-1], state="ended"))


def _denied(job: Job, reason: str, at_us: int) -> Job:
    return replace(
        job,
        updated_us=at_us,
        finished_us=at_us,
        status=JobStatus.CANCELLED,
        phase=JobPhase.ENDED,
        message=reason,
        awaiting_approval=False,
        pending_pause=False,
        pending_cancel=False,
        attempts=closed_attempts(job.attempts),
    )


def _uploaded(job: Job, event: UploadEvent) -> Job:
    if isinstance(event, UploadIntended):
        upload = Upload(
            name=event.name, sha256=event.sha256, size_bytes=event.size_bytes, rows=event.rows, state="intended"
        )
        return _with_upload(job, event.role, upload, JobStatus.QUEUED, JobPhase.UPLOADING)
    before = job.uploads.get(event.role)
    if before is None:
        return job
    match event:
        case UploadAccepted(provider_file_id=theirs):
            upload = replace(before, state="accepted", provider_file_id=theirs)
            return _with_upload(job, event.role, upload, JobStatus.VALIDATING_FILES, JobPhase.CHECKING_UPLOADS)
        case UploadReady():
            return _with_upload(job, event.role, replace(before, state="ready"), JobStatus.QUEUED, JobPhase.ACCEPTED)
        case UploadLost(reason=reason):
            upload = replace(before, state="intended", provider_file_id=None)
            lost = _with_upload(job, event.role, upload, JobStatus.QUEUED, JobPhase.UPLOADING)
            return replace(lost, message=reason)
        case _:
            assert_never(event)


def _with_upload(job: Job, role: str, upload: Upload, status: JobStatus, phase: JobPhase) -> Job:
    if job.pending_cancel:
        phase = JobPhase.CANCELLING
    elif job.pending_pause:
        phase = JobPhase.PAUSING
    return replace(job, uploads={**job.uploads, role: upload}, status=status, phase=phase, message=None)
