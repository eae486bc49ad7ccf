"""How much each source of a persona gave today: a fold over what the guards wrote down. Pure.

One stream per persona and month keeps streams short; only the latest day is kept, because quotas are of a day.
"""

from msgspec import Struct

from genomed.entities.guard_events import GuardsApplied


class GuardBook(Struct, frozen=True, kw_only=True, rename="camel"):
    """taken: of that UTC day, by source."""

    day: str
    taken: dict[str, int] = {}

    def taken_on(self, day: str) -> dict[str, int]:
        return self.taken if day == self.day else {}


DAY_US = 86_400_000_000


def next_day_us(at_us: int) -> int:
    """When the next UTC day begins."""
    return (at_us // DAY_US + 1) * DAY_US


def book_stream(persona_id: str, day: str) -> str:
    """Of the month that the day (`2026-11-21`, UTC) lies in."""
    return f"guard/{day[:7]}/{persona_id}"


def evolve(book: GuardBook | None, event: GuardsApplied) -> GuardBook:
    """A clock that was set back opens an earlier day anew: its quota is smaller than it could be, never greater."""
    if book is not None and event.day < book.day:
        return _added(book, event)
    return _added(book if book is not None and book.day == event.day else GuardBook(day=event.day), event)


def _added(book: GuardBook, event: GuardsApplied) -> GuardBook:
    taken = dict(book.taken)
    for source, rows in event.sources.items():
        taken[source] = taken.get(source, 0) + rows
    return GuardBook(day=book.day, taken=taken)
