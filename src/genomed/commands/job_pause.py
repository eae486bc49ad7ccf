"""genome/job-pause: stop a job at its next checkpoint, to go on later; with ttlS it goes on by itself."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, Decided, load_job
from genomed.commands.job_control import Result, decided, unchanged
from genomed.entities.configuration import Name
from genomed.entities.errors import Conflict, Unsupported
from genomed.entities.events import PauseRequested
from genomed.entities.types import JobStatus, Role

__all__ = ["NAME", "ROLE", "SUMMARY", "Params", "Result", "run"]

NAME = "genome/job-pause"
SUMMARY = "Pause a job, for a time or until it is resumed."
ROLE = Role.OPERATE

MAX_TTL_S = 7 * 86_400
"""A longer pause is a cancel that was forgotten; it is refused, not shortened."""


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    job_id: Name
    reason: Name = "asked for by hand"
    ttl_s: Annotated[float, Meta(gt=0, le=MAX_TTL_S)] | None = None


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, Conflict for an ended job, Unsupported where the provider cannot pause."""
    job, version = await load_job(context, params.job_id)
    if job.terminal:
        raise Conflict(f"job {params.job_id} has ended: {job.status}")
    if job.status is JobStatus.PAUSED or job.pending_pause:
        return unchanged(params.job_id, job, "the job is paused or about to be")
    able = await context.providers.get(job.provider).capabilities()
    if not able.features.pause:
        raise Unsupported(f"{job.provider} cannot pause a job", provider=job.provider, remedy="cancel it instead")
    until = None if params.ttl_s is None else context.now_us() + int(params.ttl_s * 1_000_000)
    event = PauseRequested(reason=params.reason, until_us=until)
    return decided(context, params.job_id, job, version, event, message="the job pauses at the end of its current step")
