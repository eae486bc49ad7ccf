"""What the daemon counts while it works: plain numbers, kept by the part that they are about.

Knows how to count, on the event loop alone, and nothing of who reads it; `metrics_page` does. That costs a fraction of
a microsecond per observation, so that nobody pays for metrics whom nobody asks.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter

from msgspec import Struct

from genomed.entities.envelope import Envelope
from genomed.entities.events import TrainingFinished

COMMAND_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""From a null command on a fast machine to one that waits (`waitS`)."""

APPEND_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""From an NVMe with a battery to a disk that takes three seconds for a sync."""

BATCH_APPENDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Appends that shared a transaction; the last is the writer's own limit."""

UNKNOWN = "unknown"
"""Label of every command that does not exist: what a client makes up must not make a new time series."""


class Buckets(Struct, frozen=True):
    """A histogram as it stood: upper bounds with the number at or below each, the last without a bound; the sum."""

    bounds: tuple[float, ...]
    cumulative: tuple[int, ...]
    total: float


class Histogram:
    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._total = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def buckets(self) -> Buckets:
        running, cumulative = 0, []
        for count in self._counts:
            running += count
            cumulative.append(running)
        return Buckets(self._bounds, tuple(cumulative), self._total)


class Gauge:
    """How many there are now."""

    def __init__(self) -> None:
        self.value = 0

    @contextmanager
    def one_more(self) -> Iterator[None]:
        self.value += 1
        try:
            yield
        finally:
            self.value -= 1


class CommandMetrics:
    """seconds: by command and by what came of it: `ok`, `replayed`, `cancelled` or the kind of the error."""

    def __init__(self) -> None:
        self.running = 0
        self.seconds: dict[tuple[str, str], Histogram] = {}

    def began(self) -> float:
        self.running += 1
        return perf_counter()

    def ended(self, command: str, outcome: str, began: float) -> None:
        self.running -= 1
        histogram = self.seconds.get((command, outcome))
        if histogram is None:
            histogram = self.seconds[command, outcome] = Histogram(COMMAND_SECONDS)
        histogram.observe(perf_counter() - began)


class AppendMetrics:
    """Of the journal's writer. seconds: from the beginning of a transaction until it is durable; batch: its appends.

    events: by type, as they became durable. tokens: in trainings that ended well, by provider, where it says how many.
    """

    def __init__(self) -> None:
        self.seconds = Histogram(APPEND_SECONDS)
        self.batch = Histogram(BATCH_APPENDS)
        self.events: Counter[str] = Counter()
        self.tokens: Counter[str] = Counter()

    @contextmanager
    def committing(self, appends: int) -> Iterator[None]:
        """Around a transaction; one that fails is not counted."""
        began = perf_counter()
        yield
        self.seconds.observe(perf_counter() - began)
        self.batch.observe(appends)

    def saw(self, envelopes: Sequence[Envelope]) -> None:
        for envelope in envelopes:
            self.events[envelope.type] += 1
            if isinstance(envelope.event, TrainingFinished):
                self.tokens[envelope.actor.removeprefix("provider:")] += envelope.event.artifact.tokens_seen or 0


class ProviderMetrics:
    """What the courier, deployments and withdrawals asked of providers, and what kinds of trouble came back."""

    def __init__(self) -> None:
        self.questions: Counter[str] = Counter()
        self.errors: Counter[tuple[str, str]] = Counter()
