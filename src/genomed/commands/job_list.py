"""genome/job-list: jobs by persona, provider, status or bucket, newest first, page by page."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, Paged, as_text
from genomed.commands.job_view import JobView, job_view
from genomed.entities.configuration import Name
from genomed.entities.job import Job
from genomed.entities.types import JobStatus, Role

NAME = "genome/job-list"
SUMMARY = "List jobs, newest first."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """cursor: nextCursor of the page before. createdAfterUs: microseconds since 1970."""

    persona_id: Name | None = None
    provider: Name | None = None
    status: JobStatus | None = None
    bucket_id: Name | None = None
    created_after_us: int | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Name | None = None


class Result(Paged, frozen=True, kw_only=True, rename="camel"):
    jobs: tuple[JobView, ...]


_PAGE = """
SELECT job_id FROM jobs
WHERE (?1 IS NULL OR persona_id = ?1) AND (?2 IS NULL OR provider = ?2) AND (?3 IS NULL OR status = ?3)
  AND (?4 IS NULL OR bucket_id = ?4) AND (?5 IS NULL OR created_us > ?5) AND (?6 IS NULL OR job_id < ?6)
ORDER BY job_id DESC LIMIT ?7
"""


async def run(params: Params, context: Context) -> Result:
    as_of = context.log.head().position
    rows = await context.log.query(
        _PAGE,
        (
            params.persona_id,
            params.provider,
            params.status.value if params.status else None,
            params.bucket_id,
            params.created_after_us,
            params.cursor,
            params.limit + 1,
        ),
    )
    ids = [as_text(row[0]) for row in rows]
    shown = ids[: params.limit]
    views = []
    for job_id in shown:
        loaded = await context.log.load(f"job/{job_id}")
        if isinstance(loaded.state, Job):
            views.append(job_view(job_id, loaded.state))
    return Result(jobs=tuple(views), next_cursor=shown[-1] if len(ids) > params.limit else None, as_of=as_of)
