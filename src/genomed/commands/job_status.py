"""genome/job-status: where a job stands, with metrics and latest events; on request, freshly asked of its provider."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, load_job
from genomed.commands.job_history import JobEventView, event_view
from genomed.commands.job_view import JobView, job_view
from genomed.commands.metric_series import JobMetrics, job_metrics, read_series
from genomed.entities.configuration import Name
from genomed.entities.types import JobStatus, Role

NAME = "genome/job-status"
SUMMARY = "Show where a job stands."
ROLE = Role.READ

RECENT_EVENTS = 20


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """refresh: ask the provider now and wait for the answer, rather than tell what the log knows."""

    job_id: Name
    refresh: bool = False
    max_points: Annotated[int, Meta(ge=1, le=5000)] = 200


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """progress: 0 to 1, null while unknown. estimatedTimeRemaining: seconds. refreshed: the provider answered."""

    status: JobStatus
    progress: float | None
    metrics: JobMetrics
    events: tuple[JobEventView, ...]
    estimated_time_remaining: float | None
    refreshed: bool
    job: JobView
    as_of: int


async def run(params: Params, context: Context) -> Result:
    """Raises NotFound."""
    job, version = await load_job(context, params.job_id)
    refreshed = False
    if params.refresh and not job.terminal:
        refreshed = await context.maintenance.refresh(params.job_id)
        job, version = await load_job(context, params.job_id)
    as_of = context.log.head().position
    series = await read_series(context, params.job_id)
    recent = await context.log.read(f"job/{params.job_id}", after_version=max(0, version - RECENT_EVENTS))
    return Result(
        status=job.status,
        progress=1.0 if job.status is JobStatus.SUCCEEDED else job.progress.fraction if job.progress else None,
        metrics=job_metrics(series, params.max_points),
        events=tuple(event_view(one) for one in recent),
        estimated_time_remaining=job.progress.eta_s if job.progress and not job.terminal else None,
        refreshed=refreshed,
        job=job_view(params.job_id, job),
        as_of=as_of,
    )
