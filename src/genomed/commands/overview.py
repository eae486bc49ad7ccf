"""genome/overview: one snapshot for a monitor: open and recent jobs, buckets, active layers, totals."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands import bucket_status, job_list, layer_list
from genomed.commands.bucket_status import BucketView
from genomed.commands.context import Context, as_int, as_text
from genomed.commands.job_view import JobView
from genomed.commands.layer_show import LayerView
from genomed.commands.metric_series import MetricPointView, read_series, thinned
from genomed.entities.configuration import Name
from genomed.entities.types import Role

NAME = "genome/overview"
SUMMARY = "Show jobs, buckets, layers and totals in one snapshot."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    persona_id: Name | None = None
    recent_jobs: Annotated[int, Meta(ge=0, le=100)] = 20
    max_points: Annotated[int, Meta(ge=1, le=1000)] = 60


class Totals(Struct, frozen=True, kw_only=True, rename="camel"):
    """Over everything, not only what this snapshot lists."""

    jobs_by_status: dict[str, int]
    interactions: int
    examples_by_state: dict[str, int]
    datasets: int
    layers: int
    personas: int
    events: int


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """asOf: log position; a stream of events from there on continues it. loss: by job id, thinned."""

    as_of: int
    jobs: tuple[JobView, ...]
    loss: dict[str, tuple[MetricPointView, ...]]
    buckets: tuple[BucketView, ...]
    active_layers: tuple[LayerView, ...]
    totals: Totals


async def run(params: Params, context: Context) -> Result:
    as_of = context.log.head().position
    jobs: tuple[JobView, ...] = ()
    if params.recent_jobs:
        listed = await job_list.run(job_list.Params(persona_id=params.persona_id, limit=params.recent_jobs), context)
        jobs = listed.jobs
    loss = {}
    for job in jobs:
        series = await read_series(context, job.job_id, names=("loss",))
        if "loss" in series:
            loss[job.job_id] = thinned(series["loss"], params.max_points)
    buckets = await bucket_status.run(bucket_status.Params(persona_id=params.persona_id), context)
    layers = await layer_list.run(layer_list.Params(persona_id=params.persona_id, active=True, limit=200), context)
    return Result(
        as_of=as_of,
        jobs=jobs,
        loss=loss,
        buckets=buckets.buckets,
        active_layers=layers.layers,
        totals=await _totals(context, as_of),
    )


async def _totals(context: Context, as_of: int) -> Totals:
    async def by(sql: str) -> dict[str, int]:
        return {as_text(name): as_int(count) for name, count in await context.log.query(sql)}

    async def count(sql: str) -> int:
        return as_int((await context.log.query(sql))[0][0])

    examples = await by("SELECT state, count(*) FROM examples GROUP BY state")
    return Totals(
        jobs_by_status=await by("SELECT status, count(*) FROM jobs GROUP BY status"),
        interactions=sum(examples.values()),
        examples_by_state=examples,
        datasets=await count("SELECT count(*) FROM datasets"),
        layers=await count("SELECT count(*) FROM layers"),
        personas=await count("SELECT count(DISTINCT persona_id) FROM buckets"),
        events=as_of,
    )
