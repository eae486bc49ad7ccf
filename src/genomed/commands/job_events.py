"""genome/job-events: what happened to a job, from a cursor on, in sentences."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, Paged, load_job
from genomed.commands.job_history import JobEventView, event_view
from genomed.entities.configuration import Name
from genomed.entities.types import Role

NAME = "genome/job-events"
SUMMARY = "Show what happened to a job."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """after: version within the job of the last event already seen; 0 for all."""

    job_id: Name
    after: Annotated[int, Meta(ge=0)] = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 200


class Result(Paged, frozen=True, kw_only=True, rename="camel"):
    events: tuple[JobEventView, ...]


async def run(params: Params, context: Context) -> Result:
    """Raises NotFound."""
    _, version = await load_job(context, params.job_id)
    as_of = context.log.head().position
    read = await context.log.read(f"job/{params.job_id}", after_version=params.after, limit=params.limit)
    last = read[-1].version if read else params.after
    return Result(
        events=tuple(event_view(one) for one in read),
        next_cursor=str(last) if last < version else None,
        as_of=as_of,
    )
