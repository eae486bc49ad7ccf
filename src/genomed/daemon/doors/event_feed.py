"""The log in portions, as the event stream sends it: bounded in size, and made once for all who want the same.

Knows positions and frames. Knows no connection.
"""

from collections.abc import Sequence

from msgspec import Struct

from genomed.daemon.access.owners import Owners
from genomed.daemon.doors.event_view import EventEncoder, Wanted
from genomed.daemon.journal.journal import Journal
from genomed.entities.envelope import Envelope
from genomed.entities.wire import OVERFLOW

PORTION_BYTES = 64 * 1024
"""Beyond this a portion takes no further event, so that a subscriber who does not read costs a bounded buffer."""

KEPT_PORTIONS = 64


class Portion(Struct, frozen=True):
    """position: of the last event that was looked at, whether or not it was wanted. data: may be empty."""

    position: int
    data: bytes


class EventFeed:
    def __init__(self, journal: Journal, encoder: EventEncoder, owners: Owners) -> None:
        self._journal = journal
        self._owners = owners
        self._encoder = encoder
        self._kept: dict[tuple[int, int, Wanted], Portion] = {}

    async def after(self, position: int, wanted: Wanted) -> Portion:
        """What comes next, at least one event of the log. Unbounded: the caller's cancel scope ends the wait."""
        await self._journal.wait_beyond(position)
        key = (position, self._journal.head().position, wanted)
        found = self._kept.get(key)
        if found is None:
            envelopes = await self._journal.read_all(after=position, limit=256)
            found = self._kept[key] = await self._portion(position, envelopes, wanted)
            if len(self._kept) > KEPT_PORTIONS:
                del self._kept[next(iter(self._kept))]
        return found

    async def _portion(self, position: int, envelopes: Sequence[Envelope], wanted: Wanted) -> Portion:
        frames: list[bytes] = []
        size = 0
        for envelope in envelopes:
            position = envelope.position
            if wanted.takes(envelope) and await self._owners.sees(wanted.personas, envelope.stream):
                frames.append(_frame(position, envelope.type, self._encoder.json(envelope)))
                size += len(frames[-1])
                if size >= PORTION_BYTES:
                    break
        return Portion(position, b"".join(frames))


def heartbeat(position: int) -> bytes:
    """Says where the log stands to a subscriber whom nothing of it concerns."""
    return b": heartbeat\nid: %d\n\n" % position


def farewell(position: int) -> bytes:
    """The last frame for a subscriber who did not read: where to go on, for whoever reads it after all."""
    hint = b'{"reason":"too slow","after":%d}' % position
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (position, OVERFLOW, hint)


def _frame(position: int, event_type: str, data: bytes) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (position, event_type.encode(), data)
