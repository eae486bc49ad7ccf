"""Gathers what one scrape tells: the parts' own counters, and what an index of the read models answers at once.

Knows where each number is kept, and what must run before work is welcome. Knows no format.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from genomed import __version__
from genomed.daemon.assembly import Parts
from genomed.daemon.doors.reception import Reception
from genomed.daemon.journal.journal import Journal, Subscription
from genomed.daemon.observation.metrics import Gauge
from genomed.entities.budget import MICROS
from genomed.entities.spend import Ledger, ledger_stream
from genomed.entities.types import TERMINAL, JobStatus

if TYPE_CHECKING:  # the page is made of the client library, which loads with the first scrape
    from genomed.daemon.observation.metrics_page import Labelled, Told

_OPEN = tuple(status.value for status in JobStatus if status not in TERMINAL)
_JOBS = f"""
SELECT provider, phase, status, count(*) FROM jobs WHERE status IN ({",".join("?" * len(_OPEN))})
GROUP BY provider, phase, status
"""  # noqa: S608  (question marks)
_LEDGERS = "SELECT stream FROM ledgers WHERE open > 0"

LOCAL = "local"


@dataclass(frozen=True, kw_only=True)
class Sources:
    """subscribers: by door. reception: null where nobody counts connections."""

    journal: Journal
    parts: Parts
    subscribers: Mapping[str, Gauge]
    reception: Reception | None
    now_us: Callable[[], int]

    def followers(self) -> dict[str, Subscription | None]:
        """Those that follow the log; null: not yet."""
        return {"courier": self.parts.courier.following, "triggers": self.parts.triggers.following}


async def told(sources: Sources) -> "Told":
    from genomed.daemon.observation.metrics_page import Told  # noqa: PLC0415  (see above; loaded in a thread before)

    journal, parts = sources.journal, sources.parts
    rows = await journal.query(_JOBS, _OPEN)
    jobs: Counter[tuple[str, ...]] = Counter()
    for provider, phase, _, number in rows:
        jobs[str(provider), str(phase)] += int(number or 0)
    errors: Counter[tuple[str, ...]] = Counter()
    for part in (parts.courier, parts.deployments):
        errors.update(part.metrics.errors)
    reserved, settled = await _money(sources)
    head = journal.head().position
    following = {name: one for name, one in sources.followers().items() if one is not None}
    return Told(
        version=__version__,
        position=head,
        read_only=journal.read_only() is not None,
        commits=journal.commits(),
        queue_depth=journal.waiting(),
        wal_bytes=await journal.wal_bytes(),
        append_seconds=journal.metrics.seconds.buckets(),
        append_batch=journal.metrics.batch.buckets(),
        command_seconds={labels: one.buckets() for labels, one in parts.dispatch.metrics.seconds.items()},
        commands_running=parts.dispatch.metrics.running,
        connections=sources.reception.open if sources.reception is not None else 0,
        workers=sum(int(row[3] or 0) for row in rows if row[0] == LOCAL and row[2] == JobStatus.RUNNING),
        events=_by_one(journal.metrics.events),
        refusals=_by_one(parts.dispatch.gate.refusals.counted),
        subscribers={(name,): gauge.value for name, gauge in sources.subscribers.items()},
        follower_lag={(name,): max(0, head - one.position) for name, one in following.items()},
        jobs=dict(jobs),
        questions=_by_one(parts.courier.metrics.questions),
        errors=errors,
        tokens=_by_one(journal.metrics.tokens),
        reserved_usd=_by_one(reserved, divisor=MICROS),
        settled_usd=_by_one(settled, divisor=MICROS),
    )


async def _money(sources: Sources) -> tuple[Counter[str], Counter[str]]:
    """Millionths of a dollar, reserved and settled, by provider."""
    this_month = ledger_stream(sources.now_us())
    streams = {this_month, *(str(stream) for (stream,) in await sources.journal.query(_LEDGERS))}
    reserved: Counter[str] = Counter()
    settled: Counter[str] = Counter()
    for stream in streams:
        ledger = (await sources.journal.load(stream)).state
        if not isinstance(ledger, Ledger):
            continue
        for held in ledger.open.values():
            reserved[held.provider] += held.micros or 0
        for sums in ledger.days.values() if stream == this_month else ():
            settled.update(sums.providers)
    return reserved, settled


def _by_one(counts: Mapping[str, int], *, divisor: int = 1) -> "Labelled":
    return {(name,): count / divisor for name, count in counts.items()}


def not_ready(sources: Sources) -> Sequence[str]:
    """Why nobody should send work here now; empty where everything runs.

    The read models are written in the transaction of their events, so that they are behind only where the log is.
    """
    reasons = []
    if read_only := sources.journal.read_only():
        reasons.append(f"the log takes no writes: {read_only}")
    head = sources.journal.head().position
    for name, following in sources.followers().items():
        if following is None:
            reasons.append(f"{name}: not running yet")
        elif (behind := head - following.position) > MOST_BEHIND:
            reasons.append(f"{name}: {behind} events behind the log")
    return reasons


MOST_BEHIND = 10_000
"""Events. Followers read in portions of 256, and a flood of captures is looked at every 200 ms: this is far beyond."""
