"""Metric points of a job, read back and thinned. Shared by job-metrics, job-status and overview."""

from collections.abc import Sequence

from msgspec import Struct, field

from genomed.commands.context import Context, as_int, as_text


class MetricPointView(Struct, frozen=True, kw_only=True, rename="camel"):
    """timestamp: microseconds since 1970."""

    step: int
    value: float
    timestamp: int


class JobMetrics(Struct, frozen=True, kw_only=True, rename="camel"):
    """The seed's four series. Empty means: nothing measured."""

    loss: tuple[MetricPointView, ...] = ()
    accuracy: tuple[MetricPointView, ...] = ()
    val_loss: tuple[MetricPointView, ...] = field(default=())
    val_accuracy: tuple[MetricPointView, ...] = ()


_POINTS = """
SELECT name, step, value, at_us FROM metric_points AS point
WHERE job_id = ? AND step > ? AND NOT EXISTS (
  SELECT 1 FROM metric_points AS later
  WHERE later.job_id = point.job_id AND later.name = point.name
    AND later.attempt > point.attempt AND later.step <= point.step
)
ORDER BY name, step
"""
"""A later attempt replaces what earlier ones measured from its own first step on; what lies before it stands."""

Series = dict[str, tuple[MetricPointView, ...]]


async def read_series(context: Context, job_id: str, *, names: Sequence[str] = (), after_step: int = -1) -> Series:
    """All points by metric name, in step order."""
    rows = await context.log.query(_POINTS, (job_id, after_step))
    series: dict[str, list[MetricPointView]] = {}
    for name, step, value, at_us in rows:
        if names and name not in names:
            continue
        if not isinstance(value, int | float):
            continue
        point = MetricPointView(step=as_int(step), value=float(value), timestamp=as_int(at_us))
        series.setdefault(as_text(name), []).append(point)
    return {name: tuple(points) for name, points in series.items()}


def thinned(points: tuple[MetricPointView, ...], most: int) -> tuple[MetricPointView, ...]:
    """At most `most` points: of each of equal stretches the last, so that the first and the final value stand."""
    if len(points) <= most:
        return points
    if most == 1:
        return points[-1:]
    inner = most - 1
    picked = [points[0]]
    picked += [points[(len(points) - 1) * n // inner] for n in range(1, inner + 1)]
    return tuple(picked)


def job_metrics(series: Series, most: int) -> JobMetrics:
    def part(name: str) -> tuple[MetricPointView, ...]:
        return thinned(series.get(name, ()), most)

    return JobMetrics(
        loss=part("loss"), accuracy=part("accuracy"), val_loss=part("val_loss"), val_accuracy=part("val_accuracy")
    )
