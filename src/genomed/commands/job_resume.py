"""genome/job-resume: go on with a paused, failed or cancelled job from its last good checkpoint, as a new attempt.

A paused job goes on with the money that is reserved for it; one that had ended needs a new reservation.
"""

from msgspec import Struct

from genomed.commands.consenting import consent_by_name
from genomed.commands.context import Context, Decided, load_job
from genomed.commands.job_control import Result, decided, reserved_again
from genomed.commands.job_sources import sources_still_kept
from genomed.commands.spending import reservation_again
from genomed.entities.configuration import Name
from genomed.entities.errors import Conflict, Unsupported
from genomed.entities.events import ResumeRequested
from genomed.entities.types import JobStatus, Role

__all__ = ["NAME", "ROLE", "SUMMARY", "Params", "Result", "run"]

NAME = "genome/job-resume"
SUMMARY = "Go on with a job from its last checkpoint."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    job_id: Name
    reason: Name = "asked for by hand"


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, BudgetExceeded, Unsupported, or Conflict.

    A conflict: a job that runs, succeeded or left no checkpoint, or what it begins from is gone.
    """
    job, version = await load_job(context, params.job_id)
    if job.status is JobStatus.PAUSED:
        event = ResumeRequested(reason=params.reason, ledger=job.ledger)
        return decided(context, params.job_id, job, version, event, message="the job goes on")
    if job.status not in (JobStatus.FAILED, JobStatus.CANCELLED):
        raise Conflict(f"job {params.job_id} is {job.status}; only a paused, failed or cancelled job is resumed")
    if job.checkpoint is None:
        raise Conflict(
            f"job {params.job_id} left no checkpoint to go on from",
            remedy="start over with genome/job-retry",
        )
    able = await context.providers.get(job.provider).capabilities()
    if not able.features.continues:
        raise Unsupported(
            f"{job.provider} cannot go on from a checkpoint of a job that has ended",
            provider=job.provider,
            remedy="start over with genome/job-retry",
        )
    kept = await sources_still_kept(context, job)
    consent = await consent_by_name(context, params.job_id, job, reason=params.reason)
    reserved = await reservation_again(context, params.job_id, job, attempt_of="resume")
    more = (*kept, *await reserved_again(context, params.job_id, job), *reserved.writes, *consent)
    event = ResumeRequested(reason=params.reason, ledger=reserved.ledger)
    message = f"a new attempt goes on from step {job.checkpoint.step}"
    return decided(context, params.job_id, job, version, event, message=message, more=more)
