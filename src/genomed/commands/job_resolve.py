"""genome/job-resolve: settle a submission whose outcome is unknown and whose provider cannot be asked.

A person looks at the provider's own page and says what is there; only then does the job go on.
"""

from msgspec import Struct

from genomed.commands.context import Context, Decided, load_job
from genomed.commands.job_control import Result, decided
from genomed.entities.configuration import Name
from genomed.entities.errors import Conflict
from genomed.entities.events import JobSubmitted, SubmissionNotFound
from genomed.entities.types import Role

__all__ = ["NAME", "ROLE", "SUMMARY", "Params", "Result", "run"]

NAME = "genome/job-resolve"
SUMMARY = "Say what became of a submission that cannot be looked up."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """providerJobId: the job that was found at the provider; null: it is certain that there is none."""

    job_id: Name
    provider_job_id: Name | None = None


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, or Conflict when nothing is uncertain about the job."""
    job, version = await load_job(context, params.job_id)
    attempt = job.attempt
    if attempt is None or attempt.state != "uncertain":
        raise Conflict(f"nothing is uncertain about job {params.job_id}: it is {job.status}, {job.phase}")
    if params.provider_job_id is None:
        gone = SubmissionNotFound(attempt=attempt.number)
        return decided(context, params.job_id, job, version, gone, message="the job is submitted again")
    found = JobSubmitted(attempt=attempt.number, provider_job_id=params.provider_job_id, adopted=True)
    return decided(context, params.job_id, job, version, found, message="the job goes on with what was found")
