"""genome/job-metrics: the measured series of a job, thinned to what a chart can show."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, load_job
from genomed.commands.metric_series import MetricPointView, read_series, thinned
from genomed.entities.configuration import Name
from genomed.entities.types import Role

NAME = "genome/job-metrics"
SUMMARY = "Show the measured series of a job."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """names: loss, val_loss, learning_rate, grad_norm, tokens_per_s...; none given: all. afterStep: only later ones."""

    job_id: Name
    names: tuple[Name, ...] = ()
    after_step: int = -1
    max_points: Annotated[int, Meta(ge=1, le=5000)] = 500


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """total: points measured, before thinning, by name."""

    series: dict[str, tuple[MetricPointView, ...]]
    total: dict[str, int]
    simulated: bool
    as_of: int


async def run(params: Params, context: Context) -> Result:
    """Raises NotFound."""
    job, _ = await load_job(context, params.job_id)
    as_of = context.log.head().position
    series = await read_series(context, params.job_id, names=params.names, after_step=params.after_step)
    return Result(
        series={name: thinned(points, params.max_points) for name, points in series.items()},
        total={name: len(points) for name, points in series.items()},
        simulated=job.simulated,
        as_of=as_of,
    )
