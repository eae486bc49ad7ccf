"""genome/job-retry: start a failed or cancelled job over, from its first step, as a new attempt of the same job."""

from msgspec import Struct

from genomed.commands.consenting import consent_by_name
from genomed.commands.context import Context, Decided, load_as, load_job
from genomed.commands.job_control import Result, decided, reserved_again
from genomed.commands.spending import reservation_again
from genomed.entities.configuration import Name
from genomed.entities.envelope import Write
from genomed.entities.errors import Conflict
from genomed.entities.events import RetryRequested
from genomed.entities.job import Job
from genomed.entities.layer import Layer, refuse_withdrawn
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

    A conflict: a job that has not failed or been cancelled, or goes on from a layer that was withdrawn.
    """
    job, version = await load_job(context, params.job_id)
    if job.status not in (JobStatus.FAILED, JobStatus.CANCELLED):
        raise Conflict(f"job {params.job_id} is {job.status}; only a failed or cancelled job is retried")
    if len(job.attempts) >= MAX_ATTEMPTS:
        raise Conflict(f"job {params.job_id} had {MAX_ATTEMPTS} attempts", remedy="create a new job")
    unwithdrawn = await _parent_kept(context, job)
    consent = await consent_by_name(context, params.job_id, job, reason=params.reason)
    reserved = await reservation_again(context, params.job_id, job, attempt_of="retry")
    more = (*unwithdrawn, *await reserved_again(context, params.job_id, job), *reserved.writes, *consent)
    event = RetryRequested(reason=params.reason, ledger=reserved.ledger)
    message = "a new attempt starts from the first step"
    return decided(context, params.job_id, job, version, event, message=message, more=more)


async def _parent_kept(context: Context, job: Job) -> tuple[Write, ...]:
    """That the layer which it goes on from can still be used, as the condition of a write."""
    if not job.warm_start or job.parent_layer_id is None:
        return ()
    stream = f"layer/{job.parent_layer_id}"
    layer, version = await load_as(context, stream, Layer, what=f"layer {job.parent_layer_id}")
    refuse_withdrawn(job.parent_layer_id, layer)
    return (Write(stream=stream, expected=version, events=()),)
