"""How far a job of Together's has been told: what makes each event, point and checkpoint told once.

Their events have no id and come whole in every answer, so an event is known by what it says. Bounded: of the events
only the newest are remembered one by one; older ones are known by their time.
"""

from collections.abc import Iterable
from hashlib import sha256

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from genomed.adapters.together.wire import CheckpointEntry, JobEvent, at_us

MOST_EVENTS = 128
MOST_CHECKPOINTS = 64
MOST_SERIES = 48
RESTARTED = "job_restarted"


class Cursor(Struct, frozen=True, kw_only=True, array_like=True):
    """events: (time, fingerprint), oldest first. floor_us: what happened up to then counts as told.

    steps: series -> last step told. loss: the last training loss told. echoed: their settings were told.
    """

    events: tuple[tuple[int, str], ...] = ()
    floor_us: int = -1
    steps: dict[str, int] = {}
    checkpoints: tuple[str, ...] = ()
    loss: float | None = None
    echoed: bool = False

    @property
    def since(self) -> int:
        """The first step of which something may be untold."""
        return min(self.steps.values(), default=0)


class Fresh(Struct, frozen=True, kw_only=True):
    """What was not told yet, oldest first, and the cursor after telling it."""

    events: tuple[JobEvent, ...]
    cursor: Cursor


def read(text: str) -> Cursor:
    """A cursor that cannot be read starts over: telling twice is harmless, telling nothing is not."""
    try:
        return msgspec.json.decode(text, type=Cursor) if text else Cursor()
    except msgspec.MsgspecError:
        return Cursor()


def written(cursor: Cursor) -> str:
    return msgspec.json.encode(cursor).decode()


def fingerprint(event: JobEvent) -> str:
    said = (event.created_at, event.type, event.step, event.message)
    return sha256(msgspec.json.encode(said)).hexdigest()[:12]


def fresh_events(cursor: Cursor, listed: Iterable[JobEvent]) -> Fresh:
    """Whatever order they come in, and however often. A restart of the job lets its steps be told again."""
    told = {print_ for _, print_ in cursor.events}
    new: dict[str, tuple[int, JobEvent]] = {}
    for event in listed:
        at, print_ = at_us(event.created_at) or 0, fingerprint(event)
        if at > cursor.floor_us and print_ not in told:
            new.setdefault(print_, (at, event))
    in_time = sorted(new.items(), key=lambda item: item[1][0])
    seen = sorted([*cursor.events, *((at, print_) for print_, (at, _) in in_time)])
    dropped, kept = seen[:-MOST_EVENTS], seen[-MOST_EVENTS:]
    moved = replace(cursor, events=tuple(kept), floor_us=max([cursor.floor_us, *(at for at, _ in dropped)]))
    events = tuple(event for _, (_, event) in in_time)
    if any(kind_of(event) == RESTARTED for event in events):
        moved = replace(moved, steps={})
    return Fresh(events=events, cursor=moved)


def fresh_points(
    cursor: Cursor, rows: Iterable[tuple[str, int, float]]
) -> tuple[tuple[tuple[str, int, float], ...], Cursor]:
    """(series, step, value) not told yet; of a series, each step once."""
    new: dict[tuple[str, int], float] = {}
    for name, step, value in rows:
        if step > cursor.steps.get(name, -1) and (name in cursor.steps or _room(cursor, new, name)):
            new[name, step] = value
    steps = cursor.steps | dict(sorted(new))  # of each series its last step
    told = tuple((name, step, value) for (name, step), value in sorted(new.items(), key=lambda item: item[0][1]))
    return told, replace(cursor, steps=steps)


def fresh_checkpoints(cursor: Cursor, names: Iterable[tuple[str, CheckpointEntry]]) -> tuple[list[str], Cursor]:
    """The names of those not told yet."""
    new = [name for name in dict(names) if name not in cursor.checkpoints]
    return new, replace(cursor, checkpoints=(*cursor.checkpoints, *new)[-MOST_CHECKPOINTS:])


def kind_of(event: JobEvent) -> str:
    """The SDK knows the same words in capitals."""
    return (event.type or "event").lower()


def _room(cursor: Cursor, new: dict[tuple[str, int], float], name: str) -> bool:
    names = {*cursor.steps, *(series for series, _ in new)}
    return name in names or len(names) < MOST_SERIES
