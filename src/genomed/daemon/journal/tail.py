"""The live end of the log: the head, and the newest events already decoded, for those who follow.

Knows only what is committed. Knows nothing of SQL.
"""

from collections.abc import Sequence

import anyio

from genomed.entities.envelope import Envelope, Head

RECENT_EVENTS = 4096


class Tail:
    def __init__(self, head: Head) -> None:
        self.head = head
        self._ring: list[Envelope | None] = [None] * RECENT_EVENTS
        self._oldest = head.position + 1
        self._changed = anyio.Event()

    def publish(self, envelopes: Sequence[Envelope], head: Head) -> None:
        """A commit became durable. Whoever waits beyond the old head sleeps until `wake`."""
        for envelope in envelopes:
            self._ring[envelope.position % RECENT_EVENTS] = envelope
        self.head = head
        self._oldest = max(self._oldest, head.position - RECENT_EVENTS + 1)

    def wake(self) -> None:
        """After those whose events they are: a caller waits for its answer, and there is one, followers are many."""
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    async def wait_beyond(self, position: int) -> None:
        """Until the head is after `position`. Unbounded: the caller's cancel scope ends it."""
        while self.head.position <= position:
            await self._changed.wait()

    def recent(self, after: int, limit: int) -> list[Envelope] | None:
        """Up to `limit` events after a position, without a gap; None when the first of them is no longer here."""
        if after + 1 < self._oldest:
            return None
        last = min(self.head.position, after + limit)
        found = [self._ring[position % RECENT_EVENTS] for position in range(after + 1, last + 1)]
        return [envelope for envelope in found if envelope is not None]
