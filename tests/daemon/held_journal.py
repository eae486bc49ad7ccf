"""The real journal behind a door that a test opens: before an append of one event, or a reading of one stream."""

from collections.abc import Callable, Sequence
from typing import Any

import anyio
from tests.patience import PATIENCE_S

from genomed.daemon.journal.journal import Journal
from genomed.entities.envelope import Appended, Envelope, Write
from genomed.entities.events import Event


class Door:
    """knocked: somebody waits before it."""

    def __init__(self) -> None:
        self.knocked, self.open = anyio.Event(), anyio.Event()

    async def pass_through(self) -> None:
        """Only the first is kept waiting."""
        if not self.knocked.is_set():
            self.knocked.set()
            await self.open.wait()

    async def somebody(self) -> None:
        with anyio.fail_after(PATIENCE_S):
            await self.knocked.wait()


class HeldJournal:
    """appending: type of the event whose append waits. reading: stream whose reading waits."""

    def __init__(
        self, journal: Journal, door: Door, *, appending: type[Event] | None = None, reading: Callable[[], str | None]
    ) -> None:
        self._journal, self._door, self._appending, self._reading = journal, door, appending, reading

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def append(self, writes: Sequence[Write], **more: Any) -> Appended:
        if self._appending is not None and any(isinstance(one, self._appending) for w in writes for one in w.events):
            await self._door.pass_through()
        return await self._journal.append(writes, **more)

    async def read(self, stream: str, **more: Any) -> list[Envelope]:
        if stream == self._reading():
            await self._door.pass_through()
        return await self._journal.read(stream, **more)


def held(door: Door, *, appending: Any = None, reading: Callable[[], str | None] = lambda: None) -> Any:
    """What `running` takes as journal_seen_by_parts."""
    return lambda journal: HeldJournal(journal, door, appending=appending, reading=reading)
