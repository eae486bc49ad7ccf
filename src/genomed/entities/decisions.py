"""What a job needs next. Pure: the courier carries the one step out and appends what came of it."""

from msgspec import Struct

from genomed.entities.clock_jumps import still_ahead
from genomed.entities.ids import submission_key
from genomed.entities.job import Attempt, Job
from genomed.entities.types import JobPhase, JobStatus

MAX_AUTOMATIC_RESUMES = 3
"""How often a lost worker is replaced before the job fails (reference/continuum.md c.6)."""


class Rest(Struct, frozen=True):
    """Nothing to do until an event or a time. until_us null: until an event."""

    until_us: int | None = None


class Defer(Struct, frozen=True):
    """Say, once, that the job waits for a free slot of its provider."""

    reason: str


class Submit(Struct, frozen=True):
    """Write the intention down, then create."""

    attempt: int
    key: str
    resume: bool


class PrepareUpload(Struct, frozen=True):
    """Write a part of the dataset in the provider's form, check it, and the intention to send it down."""

    role: str


class SendUpload(Struct, frozen=True):
    """Adopt what the provider has of this content, or send it."""

    role: str


class CheckUpload(Struct, frozen=True):
    """Ask whether a job may name it now."""

    role: str
    provider_file_id: str


class LookUp(Struct, frozen=True):
    """Ask the provider by key whether the create call went through. intended_us: when that was intended."""

    attempt: int
    key: str
    intended_us: int


class Poll(Struct, frozen=True):
    attempt: int
    provider_job_id: str


class AskToCancel(Struct, frozen=True):
    attempt: int
    provider_job_id: str


class AskToPause(Struct, frozen=True):
    attempt: int
    provider_job_id: str


class AskToProceed(Struct, frozen=True):
    """Let go on what the provider holds: a paused job, or one that waits for its start."""

    attempt: int
    provider_job_id: str


class CancelUnsent(Struct, frozen=True):
    """Nothing runs anywhere: the job is simply cancelled."""


class PauseUnsent(Struct, frozen=True):
    """Nothing runs anywhere: the job is simply paused."""


class EndPause(Struct, frozen=True):
    """The pause was given a time, and it has come."""


class GiveUp(Struct, frozen=True):
    message: str


class Conclude(Struct, frozen=True):
    """Publish the artifact, reach the verdict, end the job."""

    attempt: int


Step = (
    Rest
    | Defer
    | PrepareUpload
    | SendUpload
    | CheckUpload
    | Submit
    | LookUp
    | Poll
    | AskToCancel
    | AskToPause
    | AskToProceed
    | CancelUnsent
    | PauseUnsent
    | EndPause
    | GiveUp
    | Conclude
)


def next_step(job_id: str, job: Job, *, now_us: int, slot_free: bool) -> Step:
    """The one thing to do now. slot_free: may this provider take one more running job?"""
    if job.terminal:
        return Rest()
    if job.artifact is not None:
        return Conclude(job.attempts[-1].number)
    attempt = job.attempt
    if attempt is None or attempt.state in ("ended", "absent"):
        return _without_submission(job_id, job, attempt, now_us=now_us, slot_free=slot_free)
    if attempt.state in ("intended", "unknown"):
        return LookUp(attempt.number, attempt.submission_key, attempt.intended_us)
    if attempt.state == "uncertain" or attempt.provider_job_id is None:
        return Rest()
    return _at_the_provider(job, attempt.number, attempt.provider_job_id, now_us=now_us)


def _at_the_provider(job: Job, attempt: int, provider_job_id: str, *, now_us: int) -> Step:
    if job.pending_cancel:
        return AskToCancel(attempt, provider_job_id)
    if job.pending_pause:
        return AskToPause(attempt, provider_job_id)
    if job.held and job.pause_until_us is not None and now_us >= job.pause_until_us:
        return EndPause()
    if job.pending_resume or job.phase is JobPhase.AWAITING_START:
        return AskToProceed(attempt, provider_job_id)
    return Poll(attempt, provider_job_id)


def _without_submission(job_id: str, job: Job, attempt: Attempt | None, *, now_us: int, slot_free: bool) -> Step:
    if job.pending_cancel:
        return CancelUnsent()
    if job.awaiting_approval:
        return Rest()
    if job.status is JobStatus.PAUSED:
        if job.pause_until_us is not None and now_us >= job.pause_until_us:
            return EndPause()
        return Rest(job.pause_until_us)
    if job.pending_pause:
        return PauseUnsent()
    if job.automatic_resumes > MAX_AUTOMATIC_RESUMES:
        return GiveUp(f"its worker was lost {job.automatic_resumes} times; last: {job.message}")
    if job.not_before_us is not None and still_ahead(job.not_before_us, now_us=now_us):
        return Rest(job.not_before_us)
    if not slot_free:
        return Defer(f"all slots of {job.provider} are taken")
    if job.unready_upload is not None:
        return _upload_step(job, job.unready_upload)
    number, resume = 1, False
    if attempt is not None:
        number = attempt.number if attempt.state == "absent" else attempt.number + 1
        resume = attempt.resume if attempt.state == "absent" else job.resume_next
    return Submit(number, submission_key(job_id, number), resume)


def _upload_step(job: Job, role: str) -> Step:
    """Nothing leaves before every part was found fit to leave."""
    unseen = next((part for part in job.wanted_uploads if part not in job.uploads), None)
    if unseen is not None:
        return PrepareUpload(unseen)
    upload = job.uploads[role]
    if upload.state == "intended" or upload.provider_file_id is None:
        return SendUpload(role)
    return CheckUpload(role, upload.provider_file_id)
