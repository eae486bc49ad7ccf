"""The workbench of one freeze: every row once in a file, and what is known of it in a database that is thrown away.

Memory is bounded whatever the number of rows: Python holds no row, and SQLite a cache of fixed size. Nothing here is
durable; the folder is gone when the work is over.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from genomed.entities.journal_port import SqlValue
from genomed.entities.rows import id_of_line

CACHE_KIB = 32 * 1024
BATCH_ROWS = 5000
DIGEST_BYTES = 16
"""Of a row's id, as the index knows it."""

FETCHED_AT_ONCE = 1000
STEPS_BETWEEN_LOOKS = 200_000
"""Of SQLite's virtual machine, after which a long statement looks whether anybody still waits: about 2 ms."""

GENERATED = 1
FLAG_OF_FEATURE = {"tools": 2, "weights": 4, "names": 8}
"""Flags of a row."""

GHOST_BEFORE = 0
"""Rows below this ordinal are of earlier datasets: they are compared with, and never published."""

SCHEMA = """
CREATE TABLE rows(
    ordinal INTEGER PRIMARY KEY,
    offset INTEGER NOT NULL, meta INTEGER NOT NULL, size INTEGER NOT NULL,
    digest BLOB NOT NULL, place INTEGER NOT NULL, source INTEGER NOT NULL, flags INTEGER NOT NULL,
    gone INTEGER NOT NULL DEFAULT 0, fixed INTEGER NOT NULL DEFAULT 0, held INTEGER NOT NULL DEFAULT 0);
CREATE VIEW standing AS SELECT * FROM rows WHERE ordinal >= 0 AND gone = 0;
CREATE TABLE keys(key INTEGER NOT NULL, ordinal INTEGER NOT NULL);
CREATE TABLE links(one INTEGER NOT NULL, other INTEGER NOT NULL, PRIMARY KEY(one, other)) WITHOUT ROWID;
CREATE TABLE taught(digest BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE earlier(place INTEGER PRIMARY KEY, held INTEGER NOT NULL, trained INTEGER NOT NULL) WITHOUT ROWID;
"""


class Staged(Struct, frozen=True):
    """A row as it is staged. digest: the first 16 bytes of its id. place: of its group. source: 0 when unknown."""

    meta: bytes
    line: bytes
    digest: bytes
    place: int
    source: int
    flags: int
    keys: tuple[int, ...]


class Scratch:
    """rows: the file in which they stand one after the other, each as its lineage and its line."""

    def __init__(self, folder: Path, still_wanted: Callable[[], None]) -> None:
        self.still_wanted = still_wanted
        self._path = folder / "rows"
        self._database = folder / "index.db"
        self._connection = sqlite3.connect(self._database, isolation_level=None, check_same_thread=False)
        self._writer: BinaryIO = self._path.open("wb")
        self._reader: BinaryIO = self._path.open("rb")
        self._offset = 0
        self._next = 0
        self._ghost = GHOST_BEFORE
        self._rows: list[tuple[int | bytes, ...]] = []
        self._keys: list[tuple[int, int]] = []
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KIB}", "temp_store = FILE"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(SCHEMA)
        self._connection.set_progress_handler(self._look, STEPS_BETWEEN_LOOKS)

    def close(self) -> None:
        self._writer.close()
        self._reader.close()
        self._connection.close()

    def add(self, row: Staged, *, ghost: bool = False) -> None:
        if ghost:
            self._ghost -= 1
        ordinal = self._ghost if ghost else self._next
        self._next += not ghost
        meta, size = len(row.meta), len(row.line)
        self._writer.write(row.meta)
        self._writer.write(row.line)
        self._rows.append((ordinal, self._offset, meta, size, row.digest, row.place, row.source, row.flags))
        self._keys.extend((key, ordinal) for key in row.keys)
        self._offset += meta + size
        if len(self._rows) >= BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        """What was added can be read from now on."""
        self.still_wanted()
        self._connection.execute("BEGIN")
        self._connection.executemany(
            "INSERT INTO rows(ordinal, offset, meta, size, digest, place, source, flags) VALUES (?,?,?,?,?,?,?,?)",
            self._rows,
        )
        self._connection.executemany("INSERT INTO keys VALUES (?, ?)", self._keys)
        self._connection.execute("COMMIT")
        self._rows.clear()
        self._keys.clear()
        self._writer.flush()

    def run(self, sql: str, parameters: Sequence[SqlValue] = ()) -> int:
        """How many rows it changed. Every statement may be long, and ends when nobody waits any more."""
        try:
            return self._connection.execute(sql, parameters).rowcount
        except sqlite3.OperationalError:
            self.still_wanted()
            raise

    def run_many(self, sql: str, rows: Iterable[Sequence[SqlValue]]) -> None:
        self._connection.execute("BEGIN")
        self._connection.executemany(sql, rows)
        self._connection.execute("COMMIT")

    def each(self, sql: str, parameters: Sequence[SqlValue] = ()) -> Iterator[tuple[int, ...]]:
        """Streamed, of queries for numbers; other tables may be written meanwhile."""
        try:
            cursor = self._connection.execute(sql, parameters)
            while found := cursor.fetchmany(FETCHED_AT_ONCE):
                yield from found
        except sqlite3.OperationalError:
            self.still_wanted()
            raise

    def number(self, sql: str, parameters: Sequence[SqlValue] = ()) -> int:
        """The one number that a query gives; 0 for none."""
        for (found,) in self.each(sql, parameters):
            return int(found or 0)
        return 0

    def texts(self, sql: str) -> list[str]:
        """Of a query for a few texts."""
        return [str(found) for (found,) in self._connection.execute(sql)]

    def function(self, name: str, arguments: int, told: Callable[..., SqlValue]) -> None:
        """Makes `told` a function of SQL. It must always tell the same of the same."""
        self._connection.create_function(name, arguments, told, deterministic=True)

    def staged(self, offset: int, meta: int, size: int) -> tuple[bytes, bytes]:
        """The lineage and the line of a row."""
        if self._reader.tell() != offset:
            self._reader.seek(offset)
        both = self._reader.read(meta + size)
        return both[:meta], both[meta:]

    def line(self, ordinal: int) -> bytes:
        for offset, meta, size in self.each("SELECT offset, meta, size FROM rows WHERE ordinal = ?", (ordinal,)):
            return self.staged(offset, meta, size)[1]
        raise LookupError(f"no row {ordinal} is staged")

    def identity(self, ordinal: int) -> str:
        return id_of_line(self.line(ordinal))

    def _look(self) -> int:
        """Called by SQLite in the middle of a statement, which what is raised here ends; see `run`."""
        self.still_wanted()
        return 0


@contextmanager
def scratch(folder: Path, still_wanted: Callable[[], None]) -> Iterator[Scratch]:
    made = Scratch(folder, still_wanted)
    try:
        yield made
    finally:
        made.close()
