"""genome/job-reject: refuse what an agent or a trigger asked for. The job is cancelled; nothing of it was sent.

What it held goes back in the same append: the examples to their bucket, the money to the ledger.
"""

from msgspec import Struct

from genomed.commands.context import Context, Decided, load_job
from genomed.commands.job_control import Result, decided, released
from genomed.commands.spending import settled_with
from genomed.entities.configuration import Name
from genomed.entities.errors import Conflict
from genomed.entities.provision_events import ApprovalDenied
from genomed.entities.types import Role

__all__ = ["NAME", "ROLE", "SUMMARY", "Params", "Result", "run"]

NAME = "genome/job-reject"
SUMMARY = "Refuse a job that waits for an operator."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    job_id: Name
    reason: Name = "rejected by hand"


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, or Conflict for a job that does not wait for approval."""
    job, version = await load_job(context, params.job_id)
    if job.terminal or not job.awaiting_approval:
        raise Conflict(
            f"job {params.job_id} does not wait for approval: it is {job.status}, {job.phase}",
            remedy="end a job that has begun with genome/job-cancel",
        )
    event = ApprovalDenied(reason=params.reason)
    more = (
        *await released(context, params.job_id, job, reason=f"rejected: {params.reason}"),
        *await settled_with(context.log, params.job_id, job, ended_by=(event,)),
    )
    message = "the job is cancelled; nothing was sent"
    return decided(context, params.job_id, job, version, event, message=message, more=more)
