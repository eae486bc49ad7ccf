"""Moving the write-ahead log into the main file: now and then, and at once where old pages must be gone.

Runs on the writing connection, in the writer's turn. Knows nothing of events.
"""

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

import aiosqlite
import anyio
import anyio.to_thread

from genomed.daemon.journal.database import JOURNAL_SIZE_LIMIT, sync_path
from genomed.daemon.journal.errors import Failure, JournalStopped, failure_of, primary_code
from genomed.daemon.journal.wal_gauge import WalGauge
from genomed.entities.errors import Capacity

CHECKPOINT_PAGES = 4000
"""16 MiB of log between checkpoints: at 1000 pages they took 18 % of the time of a flood of captures, measured."""

BUSY_CODES = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

log = logging.getLogger(__name__)


class Checkpoints:
    """stop: told why nothing may be written any more."""

    def __init__(
        self,
        connection: aiosqlite.Connection,
        *,
        wal: Path,
        stop: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._wal = wal
        self._stop = stop
        self._gauge = WalGauge()

    def wrote(self, *, rows: int, size_bytes: int) -> None:
        self._gauge.wrote(rows=rows, size_bytes=size_bytes)

    @property
    def due(self) -> bool:
        return self._gauge.pages() > CHECKPOINT_PAGES

    async def run(self) -> bool:
        """As far as readers allow; whether the log starts anew with the next write. A full disk puts it off."""
        try:
            anew = await self._checkpoint("PASSIVE")
            if (await anyio.Path(self._wal).stat()).st_size > JOURNAL_SIZE_LIMIT:
                # Readers kept the WAL from starting anew; RESTART does so as soon as they let it.
                anew = await self._checkpoint("RESTART")
        except sqlite3.Error as error:
            self._gauge.checkpointed(0)
            if failure_of(error) is Failure.BROKEN and primary_code(error) not in BUSY_CODES:
                self._stop(f"checkpoint: {error}")
            else:
                log.warning("checkpoint put off error=%s", error)
            return False
        return anew

    async def scrub(self) -> None:
        """The write-ahead log is empty, and so it is on the disk. Raises Capacity when it cannot be emptied now.

        SQLite does not sync the truncation: a power cut could bring the old pages back.
        """
        try:
            emptied = await self._checkpoint("TRUNCATE")
            await anyio.to_thread.run_sync(sync_path, self._wal)
        except (sqlite3.Error, OSError) as error:
            if not isinstance(error, sqlite3.Error) or failure_of(error) is Failure.BROKEN:
                self._stop(f"checkpoint: {error}")
                raise JournalStopped(
                    f"old pages could not be taken from the disk: {error}", remedy="look at the disk, then restart"
                ) from error
            raise Capacity(f"old pages are still in the log: {error}", remedy="free some space, ask again") from error
        if not emptied:
            raise Capacity("old pages are still in the log: something reads it", remedy="ask again in a moment")

    async def _checkpoint(self, mode: str) -> bool:
        """Whether all of the log was moved, and nothing stood in its way."""
        rows = await self._connection.execute_fetchall(f"PRAGMA wal_checkpoint({mode})")
        ((busy, pages, moved),) = rows
        self._gauge.checkpointed(pages)
        return not busy and moved == pages
