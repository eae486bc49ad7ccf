"""genome/job-approve: let go what an agent or a trigger asked for; only then anything of it is sent."""

from msgspec import Struct

from genomed.commands.consenting import consent_by_name
from genomed.commands.context import Context, Decided, load_job
from genomed.commands.job_control import Result, decided
from genomed.entities.configuration import Name
from genomed.entities.errors import Conflict
from genomed.entities.provision_events import ApprovalGranted
from genomed.entities.types import Role

__all__ = ["NAME", "ROLE", "SUMMARY", "Params", "Result", "run"]

NAME = "genome/job-approve"
SUMMARY = "Let a job begin that waits for an operator."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    job_id: Name
    reason: Name = "approved by hand"


async def run(params: Params, context: Context) -> Decided[Result]:
    """The first approval of a persona's job at a provider is the consent to send its rows there.

    Raises NotFound, Conflict for a job that does not wait for approval, Forbidden where the consent was withdrawn.
    """
    job, version = await load_job(context, params.job_id)
    if job.terminal or not job.awaiting_approval:
        raise Conflict(f"job {params.job_id} does not wait for approval: it is {job.status}, {job.phase}")
    consent = await consent_by_name(context, params.job_id, job, reason=params.reason)
    event = ApprovalGranted(reason=params.reason)
    return decided(context, params.job_id, job, version, event, message="the job begins", more=consent)
