"""Reading the journal: a small pool of read-only connections.

Knows SQL and rows. Never writes or checkpoints.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import aiosqlite
import anyio
import msgspec

from genomed.daemon.journal.database import READER_PRAGMAS, Row, connect_reader, readable_text
from genomed.daemon.journal.errors import primary_code
from genomed.daemon.journal.event_rows import SELECT_EVENTS, EventRow, envelope_from
from genomed.daemon.journal.projector import Projector
from genomed.entities.envelope import Envelope, Receipt
from genomed.entities.errors import Internal
from genomed.entities.journal_port import Loaded, SqlValue

READERS = 2
UNREADABLE_CODES = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""CANTOPEN is not here: a process without a free descriptor gets it, too."""
LOOK_UP = (
    "SELECT asked.value, (SELECT max(version) FROM events WHERE stream = asked.value), states.version, states.state "
    "FROM json_each(?) AS asked LEFT JOIN states ON states.stream = asked.value"
)

log = logging.getLogger(__name__)


class Reader:
    def __init__(self, connections: list[aiosqlite.Connection], projector: Projector) -> None:
        self._connections = connections
        self.projector = projector
        self._turn = 0
        self.told_broken: Callable[[str], None] = log.critical
        """Told why the file cannot be trusted any more, when a query finds that out."""

    @classmethod
    async def open(cls, database: Path, projector: Projector) -> Self:
        connections: list[aiosqlite.Connection] = []
        reader = cls(connections, projector)
        try:
            for _ in range(READERS):
                connection = await connect_reader(database)
                connections.append(connection)
                connection.text_factory = readable_text
                for pragma in READER_PRAGMAS:
                    await connection.execute_fetchall(pragma)
        except BaseException:
            await reader.close()
            raise
        return reader

    async def close(self) -> None:
        with anyio.CancelScope(shield=True):
            async with AsyncExitStack() as stack:
                for connection in self._connections:
                    stack.push_async_callback(connection.close)

    async def fetch(self, sql: str, parameters: Sequence[SqlValue] = ()) -> list[Row]:
        """As of the last commit. Raises Internal when the SQL is wrong or the file cannot be read."""
        self._turn = (self._turn + 1) % len(self._connections)
        try:
            rows = await self._connections[self._turn].execute_fetchall(sql, tuple(parameters))
        except sqlite3.Error as error:
            if primary_code(error) in UNREADABLE_CODES:
                self.told_broken(f"the journal cannot be read: {error}")
            raise Internal(
                f"the journal cannot be read: {error}", remedy="run genome/log-verify; restore a backup if it fails"
            ) from error
        return list(rows)  # type: ignore[arg-type]  # aiosqlite says sqlite3.Row; without a row_factory they are tuples

    async def events(self, where: str, parameters: Sequence[SqlValue]) -> list[Envelope]:
        rows: list[EventRow] = await self.fetch(f"{SELECT_EVENTS} WHERE {where} LIMIT ?", parameters)  # type: ignore[assignment]  # the table is STRICT
        return [envelope_from(row) for row in rows]

    async def stream(self, stream: str, *, after_version: int, limit: int) -> list[Envelope]:
        return await self.events("stream = ? AND version > ? ORDER BY version", (stream, after_version, limit))

    async def all(self, *, after: int, limit: int) -> list[Envelope]:
        return await self.events("pos > ? ORDER BY pos", (after, limit))

    async def look_up(self, streams: Iterable[str]) -> dict[str, Loaded]:
        """Version and state of each stream, in one query; of those whose stored state is of no use, by folding.

        A name with a NUL is no stream's, and SQLite's JSON functions would cut it off there and find another one.
        """
        asked = list(streams)
        found = {stream: Loaded(version=0, state=None) for stream in asked if "\0" in stream}
        plain = msgspec.json.encode([stream for stream in asked if stream not in found]).decode()
        for stream, version, state_version, state in await self.fetch(LOOK_UP, [plain]):
            assert isinstance(stream, str)
            loaded = Loaded(version=int(version or 0), state=None)
            if loaded.version and self.projector.folds(stream):
                loaded = await self._stated(stream, loaded.version, state_version, state)
            found[stream] = loaded
        return found

    async def _stated(self, stream: str, version: int, state_version: SqlValue, state: SqlValue) -> Loaded:
        if state_version == version and isinstance(state, str):
            try:
                return Loaded(version=version, state=self.projector.decode(stream, state))
            except msgspec.MsgspecError:
                pass  # another build's state: the events are the truth
        return self.projector.fold(await self.stream(stream, after_version=0, limit=version))

    async def blob(self, sha256: str) -> bytes | None:
        rows = await self.fetch("SELECT body FROM blobs WHERE sha256 = ?", (sha256,))
        body = rows[0][0] if rows else None
        return body if isinstance(body, bytes) else None

    async def receipt(self, key: str) -> Receipt | None:
        rows = await self.fetch("SELECT key, name, body_hash, reply FROM receipts WHERE key = ?", (key,))
        return (
            msgspec.convert(dict(zip(("key", "name", "body_hash", "reply"), rows[0], strict=True)), Receipt)
            if rows
            else None
        )

    async def meta(self, key: str) -> str | None:
        rows = await self.fetch("SELECT value FROM meta WHERE key = ?", (key,))
        return str(rows[0][0]) if rows else None
