"""The page of metrics as Prometheus reads it: what the parts counted, and what the read models say at this moment.

Imports the client library, so it is itself imported by the first scrape. No label names a job or a persona: their
number has no bound, and a monitoring system keeps every value that a label ever had.
"""

from collections.abc import Iterator, Mapping

from msgspec import Struct
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from genomed.daemon.observation.metrics import Buckets

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
Labelled = Mapping[tuple[str, ...], float]


class Told(Struct, frozen=True, kw_only=True):
    """One scrape. Counters count from the start of this daemon; what is about the log or money is the log's own.

    jobs: open ones by provider and phase. follower_lag: events that a follower of the log has not seen yet.
    subscribers: by door. reserved_usd, settled_usd: by provider, of the month that runs (UTC); what is reserved may be
    of an earlier one.
    """

    version: str
    position: int
    read_only: bool
    commits: int
    queue_depth: int
    wal_bytes: int
    append_seconds: Buckets
    append_batch: Buckets
    command_seconds: Mapping[tuple[str, ...], Buckets]
    commands_running: int
    connections: int
    workers: int
    events: Labelled
    refusals: Labelled
    subscribers: Labelled
    follower_lag: Labelled
    jobs: Labelled
    questions: Labelled
    errors: Labelled
    tokens: Labelled
    reserved_usd: Labelled
    settled_usd: Labelled


def page(told: Told) -> bytes:
    """Reads files of /proc: not for the event loop."""
    registry = CollectorRegistry()
    registry.register(_Families(told))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return generate_latest(registry)


class _Families(Collector):
    def __init__(self, told: Told) -> None:
        self._told = told

    def collect(self) -> Iterator[Metric]:
        yield from _of_commands(self._told)
        yield from _of_the_log(self._told)
        yield from _of_clients(self._told)
        yield from _of_work(self._told)


def _of_commands(told: Told) -> Iterator[Metric]:
    what = "Time of a command, by command and by what came of it: ok, replayed, cancelled or the kind of the error."
    seconds = HistogramMetricFamily("genomed_command_duration_seconds", what, labels=("command", "outcome"))
    for labels, buckets in told.command_seconds.items():
        _add(seconds, labels, buckets)
    yield seconds
    yield GaugeMetricFamily("genomed_commands_running", "Commands under way.", told.commands_running)
    yield _counters("genomed_refusals", "Requests refused for lack of rights, by reason.", ("reason",), told.refusals)


def _of_the_log(told: Told) -> Iterator[Metric]:
    yield _gauges("genomed_build_info", "1, with the version.", ("version",), {(told.version,): 1})
    yield GaugeMetricFamily("genomed_log_position", "Position of the last event of the log.", told.position)
    yield GaugeMetricFamily("genomed_read_only", "1 when the log takes no more writes.", int(told.read_only))
    yield CounterMetricFamily("genomed_commits", "Transactions since the start.", told.commits)
    yield GaugeMetricFamily("genomed_append_queue_depth", "Appends that wait for the disk.", told.queue_depth)
    yield GaugeMetricFamily("genomed_wal_bytes", "Size of the write-ahead log's file.", told.wal_bytes)
    seconds = HistogramMetricFamily("genomed_append_duration_seconds", "Time of a transaction until it was durable.")
    _add(seconds, (), told.append_seconds)
    batch = HistogramMetricFamily("genomed_append_batch_size", "Appends that shared a transaction.")
    _add(batch, (), told.append_batch)
    yield from (seconds, batch)
    yield _counters("genomed_events", "Events written since the start, by type.", ("type",), told.events)
    lag = "Events that a follower of the log has not seen yet."
    yield _gauges("genomed_follower_lag_events", lag, ("follower",), told.follower_lag)


def _of_clients(told: Told) -> Iterator[Metric]:
    yield GaugeMetricFamily("genomed_connections_open", "Open connections.", told.connections)
    yield _gauges("genomed_subscribers", "Open event streams, by door.", ("door",), told.subscribers)


def _of_work(told: Told) -> Iterator[Metric]:
    phase, provider = ("provider", "phase"), ("provider",)
    yield _gauges("genomed_jobs_open", "Jobs that have not ended, by provider and phase.", phase, told.jobs)
    yield GaugeMetricFamily("genomed_workers_running", "Trainings that run on this machine.", told.workers)
    asked = "Questions that providers were asked since the start."
    yield _counters("genomed_provider_questions", asked, provider, told.questions)
    failed = "Questions that ended in an error, by provider and kind."
    yield _counters("genomed_provider_errors", failed, ("provider", "kind"), told.errors)
    trained = "Tokens of trainings that ended well since the start, where the provider tells them."
    yield _counters("genomed_trained_tokens", trained, provider, told.tokens)
    yield _gauges("genomed_spend_reserved_usd", "US dollars held for work under way.", provider, told.reserved_usd)
    settled = "US dollars that work begun in this UTC month came to."
    yield _gauges("genomed_spend_settled_usd", settled, provider, told.settled_usd)


def _add(family: HistogramMetricFamily, labels: tuple[str, ...], buckets: Buckets) -> None:
    bounds = [*map(floatToGoString, buckets.bounds), "+Inf"]
    family.add_metric(labels, list(zip(bounds, map(float, buckets.cumulative), strict=True)), sum_value=buckets.total)


def _gauges(name: str, what: str, labels: tuple[str, ...], values: Labelled) -> Metric:
    family = GaugeMetricFamily(name, what, labels=labels)
    for named, value in values.items():
        family.add_metric(named, value)
    return family


def _counters(name: str, what: str, labels: tuple[str, ...], values: Labelled) -> Metric:
    family = CounterMetricFamily(name, what, labels=labels)
    for named, value in values.items():
        family.add_metric(named, value)
    return family
