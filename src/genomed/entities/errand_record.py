"""One errand as the log tells it, what may be asked of it, and what it needs next. Pure."""

from enum import StrEnum
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from genomed.entities.errand_events import (
    ErrandCancelled,
    ErrandCancelRequested,
    ErrandEvent,
    ErrandFailed,
    ErrandFinished,
    ErrandLost,
    ErrandNoted,
    ErrandRemovalRequested,
    ErrandRemoved,
    ErrandRequested,
    ErrandStarted,
)
from genomed.entities.errors import Conflict, ErrorBody

MAX_RESTARTS = 2
"""How often a lost errand is started again before it fails: it begins anew each time, unlike a job."""

MAX_NOTES = 50
"""That a record keeps; all of them are in the log."""


class ErrandState(StrEnum):
    REQUESTED = "requested"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({ErrandState.FINISHED, ErrandState.FAILED, ErrandState.CANCELLED})


class ErrandRecord(Struct, frozen=True, kw_only=True, rename="camel"):
    """Times in microseconds since 1970; null until they happened. attempt: the newest; 0 before the first.

    lost: why its process was lost, as often as it was. removal_us: its files are to go; removed_us: they are gone.
    """

    requested: ErrandRequested
    requested_us: int
    state: ErrandState = ErrandState.REQUESTED
    attempt: int = 0
    started_us: int | None = None
    ended_us: int | None = None
    removal_us: int | None = None
    removed_us: int | None = None
    bytes_freed: int | None = None
    lost: tuple[str, ...] = ()
    notes: tuple[ErrandNoted, ...] = ()
    cancel_reason: str | None = None
    finished: ErrandFinished | None = None
    error: ErrorBody | None = None

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def export(self) -> tuple[str, str] | None:
        """Where its result lies, and the sha256 of the manifest there; None where there is none, or none any more."""
        done = self.finished
        if done is None or done.path is None or done.manifest_sha256 is None or self.removal_us is not None:
            return None
        return done.path, done.manifest_sha256


def evolve(record: ErrandRecord | None, event: ErrandEvent, *, at_us: int) -> ErrandRecord:
    """Raises ValueError for anything before the errand was requested. An ending is final."""
    if isinstance(event, ErrandRequested):
        return record or ErrandRecord(requested=event, requested_us=at_us)
    if record is None:
        raise ValueError("an errand's stream opens with errand.requested")
    if isinstance(event, ErrandRemovalRequested):
        return replace(record, removal_us=at_us)
    if isinstance(event, ErrandRemoved):
        return replace(record, removed_us=at_us, bytes_freed=event.bytes_freed)
    if isinstance(event, ErrandNoted):
        return replace(record, notes=(*record.notes, event)[-MAX_NOTES:])
    return record if record.ended else _moved(record, event, at_us=at_us)


def _moved(
    record: ErrandRecord,
    event: ErrandStarted | ErrandLost | ErrandFinished | ErrandFailed | ErrandCancelRequested | ErrandCancelled,
    *,
    at_us: int,
) -> ErrandRecord:
    match event:
        case ErrandStarted(attempt=attempt):
            first = at_us if record.started_us is None else record.started_us
            return replace(record, state=ErrandState.RUNNING, attempt=attempt, started_us=first)
        case ErrandLost(reason=reason):
            return replace(record, state=ErrandState.REQUESTED, lost=(*record.lost, reason))
        case ErrandCancelRequested(reason=reason):
            return replace(record, cancel_reason=reason)
        case ErrandFinished():
            return replace(record, state=ErrandState.FINISHED, finished=event, ended_us=at_us)
        case ErrandFailed(error=error):
            return replace(record, state=ErrandState.FAILED, error=error, ended_us=at_us)
        case ErrandCancelled(reason=reason):
            return replace(record, state=ErrandState.CANCELLED, cancel_reason=reason, ended_us=at_us)
        case _:
            assert_never(event)


def cancel(record: ErrandRecord, *, reason: str) -> list[ErrandEvent]:
    """Nothing when it was asked for before. Raises Conflict when the errand is over."""
    if record.state is ErrandState.CANCELLED:
        return []
    if record.ended:
        raise Conflict(f"the errand has {record.state} already: there is nothing to cancel")
    return [] if record.cancel_reason is not None else [ErrandCancelRequested(reason=reason)]


def remove(record: ErrandRecord, *, reason: str) -> list[ErrandEvent]:
    """Nothing when it was asked for before. Raises Conflict when nothing was published."""
    if record.removal_us is not None:
        return []
    if record.export is None:
        raise Conflict(f"the errand published nothing (it is {record.state}): there is nothing to remove")
    return [ErrandRemovalRequested(reason=reason)]


class Rest(Struct, frozen=True):
    """It is over."""


class Begin(Struct, frozen=True):
    """Write down that this attempt starts, then start it. Needs a free place."""

    attempt: int


class Attend(Struct, frozen=True):
    """Start the attempt if that did not happen yet, and look at it. cancel: tell it to stop first."""

    attempt: int
    cancel: bool = False


class CancelUnstarted(Struct, frozen=True):
    """Nothing runs: it is simply cancelled."""

    reason: str


class GiveUp(Struct, frozen=True):
    message: str


Step = Rest | Begin | Attend | CancelUnstarted | GiveUp


def next_step(record: ErrandRecord) -> Step:
    """The one thing to do now."""
    if record.ended:
        return Rest()
    if record.state is ErrandState.RUNNING:
        return Attend(record.attempt, cancel=record.cancel_reason is not None)
    if record.cancel_reason is not None:
        return CancelUnstarted(record.cancel_reason)
    if len(record.lost) > MAX_RESTARTS:
        return GiveUp(f"its process was lost {len(record.lost)} times; last: {record.lost[-1]}")
    return Begin(record.attempt + 1)
