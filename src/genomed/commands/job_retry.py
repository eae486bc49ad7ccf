"""genome/job-retry: start a failed or cancelled job over, from its first step, as a new attempt of the same job."""

from msgspec import Struct

from genomed.commands.consenting import consent_by_name
from genomed.commands.context import Context, Decided, load_job
from genomed.commands.job_control import Result, decided, reserved_again
from genomed.commands.job_sources import sources_still_kept
from genomed.commands.spending import reservation_again
from genomed.entities.configuration import Name
from genomed.entities.errors import Conflict
from genomed.entities.events import RetryRequested
from genomed.entities.types import JobStatus, Role

__all__ = ["NAME", "ROLE", "SUMMARY", "Params", "Result", "run"]

NAME = "genome/job-retry"
SUMMARY = "Start a failed or cancelled job over."
ROLE = Role.OPERATE

MAX_ATTEMPTS = 20
"""A job that needs more is not helped by another; a new job says so more clearly."""


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    job_id: Name
    reason: Name = "asked for by hand"


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, BudgetExceeded, or Conflict.

    A conflict: a job that has not failed or been cancelled, or what it begins from is gone.
    """
    job, version = await load_job(context, params.job_id)
    if job.status not in (JobStatus.FAILED, JobStatus.CANCELLED):
        raise Conflict(f"job {params.job_id} is {job.status}; only a failed or cancelled job is retried")
    if len(job.attempts) >= MAX_ATTEMPTS:
        raise Conflict(f"job {params.job_id} had {MAX_ATTEMPTS} attempts", remedy="create a new job")
    kept = await sources_still_kept(context, job)
    consent = await consent_by_name(context, params.job_id, job, reason=params.reason)
    reserved = await reservation_again(context, params.job_id, job, attempt_of="retry")
    more = (*kept, *await reserved_again(context, params.job_id, job), *reserved.writes, *consent)
    event = RetryRequested(reason=params.reason, ledger=reserved.ledger)
    message = "a new attempt starts from the first step"
    return decided(context, params.job_id, job, version, event, message=message, more=more)
