"""What was already told of a job: kept between polls as text, so that each event is told once, in any order. Pure.

Events carry ids and whole seconds, come newest first or oldest first, twice or late. Those of the last minutes are
remembered one by one; older ones count as told.
"""

from collections.abc import Iterable
from hashlib import sha256

import msgspec
from msgspec import Struct

from genomed.adapters.openai.objects import EventObject

WINDOW_S = 120
"""How late an event may show up in the list, measured against the newest one."""


class Cursor(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """newest: of the told events, in seconds. told: those within the window, short digest -> seconds.

    checkpoints: the steps of those told. measures: events tell values. filled: steps whose values were taken from a
    checkpoint, since no event told any. step, total_steps, loss: the last known. echoed: digest of the settings told
    back. warned: that the server keeps no metadata.
    """

    newest: int = 0
    told: dict[str, int] = {}
    checkpoints: tuple[int, ...] = ()
    measures: bool = False
    filled: tuple[int, ...] = ()
    step: int = 0
    total_steps: int | None = None
    loss: float | None = None
    echoed: str = ""
    warned: bool = False

    def is_new(self, event: EventObject) -> bool:
        return event.created_at >= self.newest - WINDOW_S and digest(event.id) not in self.told

    def is_past(self, page: list[EventObject]) -> bool:
        """Whether all that follows a page was told: newest first, and further back than anything comes late.

        A page of one moment shows no order, and the next one is looked at.
        """
        times = [event.created_at for event in page]
        newest_first = times == sorted(times, reverse=True) and times[0] > times[-1]
        return newest_first and times[-1] < self.newest - WINDOW_S


def cursor_from(text: str) -> Cursor:
    return msgspec.json.decode(text, type=Cursor) if text else Cursor()


def cursor_text(cursor: Cursor) -> str:
    return msgspec.json.encode(cursor).decode()


def remembered(cursor: Cursor, events: Iterable[EventObject]) -> tuple[int, dict[str, int]]:
    """`newest` and `told` once these are told too; the same ones are the same text, in whatever order they came."""
    told = cursor.told | {digest(event.id): int(event.created_at) for event in events}
    newest = max([cursor.newest, *told.values()])
    return newest, {name: at for name, at in sorted(told.items()) if at >= newest - WINDOW_S}


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12]
