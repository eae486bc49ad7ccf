"""genome/job-cancel: stop a job, at its provider too. A job that has just ended says so and changes nothing."""

from msgspec import Struct

from genomed.commands.context import Context, Decided, load_job
from genomed.commands.job_control import Result, decided, unchanged
from genomed.entities.configuration import Name
from genomed.entities.events import CancelRequested
from genomed.entities.types import Role

__all__ = ["NAME", "ROLE", "SUMMARY", "Params", "Result", "run"]

NAME = "genome/job-cancel"
SUMMARY = "Stop a job; its examples go back to their bucket."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    job_id: Name
    reason: Name = "asked for by hand"


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound."""
    job, version = await load_job(context, params.job_id)
    if job.terminal:
        return unchanged(params.job_id, job, f"the job had already ended: {job.status}")
    if job.pending_cancel:
        return unchanged(params.job_id, job, "the cancel was already asked for")
    event = CancelRequested(reason=params.reason)
    return decided(context, params.job_id, job, version, event, message="the job stops at the end of its current step")
