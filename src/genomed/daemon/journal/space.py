"""What the journal does when the disk is full: the ballast goes, commands wait, what the daemon must record goes on.

Knows the ballast and whose an append is. Knows nothing of SQL.
"""

import logging

import anyio
import anyio.to_thread

from genomed.daemon.journal.ballast import Ballast
from genomed.daemon.journal.errors import NoSpace

LOOK_S = 5.0
"""How often a full disk is looked at: nobody tells when space returns."""

START_BYTES = 1024 * 1024
"""What a start may need: shared memory, the anchor's file, read models made anew."""

OWN_ACTORS = ("daemon", "provider:")
"""Whose appends tell what has happened to work under way; everybody else asks for more of it."""

log = logging.getLogger(__name__)


class Space:
    """short: why commands are refused at the moment, for people; None while there is space."""

    def __init__(self, ballast: Ballast) -> None:
        self._ballast = ballast
        self.short: str | None = None
        self._missing_bytes = 0
        self._changed = anyio.Event()
        self._watching = anyio.CancelScope()

    async def prepare(self) -> None:
        """Before the journal is opened: a start needs a little space, too."""
        if not self._ballast.wanted:
            await anyio.to_thread.run_sync(self._ballast.remove)
            return
        if not await anyio.to_thread.run_sync(self._prepared):
            await self._run_short()

    async def give_back(self) -> bool:
        """Upon a full disk; whether another try makes sense."""
        if not self._ballast.wanted:
            return False
        given = await anyio.to_thread.run_sync(self._ballast.give_back)
        await self._run_short()
        return given

    def refusal(self) -> NoSpace:
        missing = f"{self._missing_bytes / 2**20:.1f} MiB"
        return NoSpace(
            f"{self.short}",
            remedy=f"free {missing} on the disk of the data folder; the daemon goes on by itself, ask again then",
        )

    def admits(self, actor: str) -> bool:
        return self.short is None or actor.startswith(OWN_ACTORS)

    async def look(self) -> None:
        """Take the ballast again if there is space for it and as much beside it."""
        if self.short is not None and await anyio.to_thread.run_sync(self._taken_again):
            log.info("space again: the ballast is back")
            self.short = None

    async def watch(self) -> None:
        """Until `close`."""
        with self._watching:
            while True:
                await self._changed.wait()
                self._changed = anyio.Event()
                while self.short is not None:
                    await anyio.sleep(LOOK_S)
                    await self.look()

    def close(self) -> None:
        self._watching.cancel()

    async def _run_short(self) -> None:
        if self.short is None:
            log.warning("no space: commands are refused until there is some")
        self.short = "the disk is full: what is left of it is kept for recording how work under way ends"
        self._missing_bytes = await anyio.to_thread.run_sync(lambda: self._ballast.missing_bytes)
        self._changed.set()

    def _prepared(self) -> bool:
        if self._ballast.given_back:
            return self._taken_again()
        if self._ballast.held:
            if self._ballast.free_bytes >= min(self._ballast.size_bytes, START_BYTES):
                return True
            self._ballast.give_back()
            return False
        return self._ballast.take()

    def _taken_again(self) -> bool:
        self._missing_bytes = self._ballast.missing_bytes
        return not self._missing_bytes and self._ballast.take()
