"""The journal's SQLite file: its connections, its settings, its creation.

One connection writes and checkpoints, every other one is read-only: SQLite 3.7.0 to 3.51.2 can lose committed
pages otherwise (reference/eventlog.md, section 3). Knows nothing of events.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import aiosqlite

from genomed.daemon.journal.errors import RESTORE, CommitUnknown, Failure, LogLossSuspected, NewerLog, failure_of
from genomed.entities.journal_port import SqlValue

DATABASE_FILE = "journal.db"
WAL_FILE = "journal.db-wal"
ANCHOR_FILE = "head.anchor"
APPLICATION_ID = 0x676E6D64
"""`gnmd`; `file journal.db` shows it."""
USER_VERSION = 1
JOURNAL_SIZE_LIMIT = 64 * 1024 * 1024
CACHED_STATEMENTS = 256

Row = tuple[SqlValue, ...]
Statement = tuple[str, Sequence[Row] | None]
"""SQL and the rows to run it for; None: run it once as it is (DDL)."""

readable_text = partial(str, encoding="utf-8", errors="replace")
"""Damaged text must not keep sound rows from being read; the hash chain tells of it."""


class Transaction:
    """Statements for `WritingConnection`, and what to do in its thread once they are durable."""

    def __init__(self, statements: Iterable[Statement], *, committed: Callable[[], None] | None = None) -> None:
        self.statements = statements
        self.committed = committed

    def __iter__(self) -> Iterator[Statement]:
        return iter(self.statements)


class WritingConnection(sqlite3.Connection):
    """Runs a whole transaction in one call, so that aiosqlite crosses threads once per commit and not per statement.

    `executemany(label, Transaction(...))` is the only way to write through it.
    """

    def executemany(self, label: str, parameters: Iterable[object], /) -> sqlite3.Cursor:  # noqa: ARG002 - for traces
        if not isinstance(parameters, Transaction):
            raise TypeError("the journal's writer takes whole transactions only")
        self.execute("BEGIN IMMEDIATE")
        try:
            for text, rows in parameters:
                if rows is None:
                    self.execute(text)
                else:
                    super().executemany(text, rows)
        except BaseException:
            self._undo()
            raise
        self._commit()
        if parameters.committed:
            parameters.committed()
        return self.cursor()

    def _commit(self) -> None:
        """Raises CommitUnknown unless SQLite's code proves that nothing was written."""
        try:
            self.execute("COMMIT")
        except sqlite3.Error as error:
            open_still = self.in_transaction
            self._undo()
            failure = failure_of(error)
            # A full disk is the one error after which SQLite itself has rolled back; others may come after the fact.
            if failure is Failure.BROKEN or not (open_still or failure is Failure.FULL):
                raise CommitUnknown(f"{getattr(error, 'sqlite_errorname', None)}: {error}") from error
            raise

    def _undo(self) -> None:
        # A full disk has already rolled back; a second ROLLBACK would mask the first error.
        if self.in_transaction:
            self.execute("ROLLBACK")


def connect_writer(database: Path, kind: type[WritingConnection] = WritingConnection) -> aiosqlite.Connection:
    return aiosqlite.connect(
        database,
        factory=kind,
        isolation_level=None,
        timeout=0,
        cached_statements=CACHED_STATEMENTS,
    )


def read_only_uri(database: Path) -> str:
    return f"{database.absolute().as_uri()}?mode=ro"


def connect_reader(database: Path) -> aiosqlite.Connection:
    return aiosqlite.connect(
        read_only_uri(database), uri=True, isolation_level=None, timeout=5, cached_statements=CACHED_STATEMENTS
    )


READER_PRAGMAS = (
    "PRAGMA query_only = 1",
    "PRAGMA trusted_schema = 0",
    "PRAGMA cell_size_check = 1",
    "PRAGMA mmap_size = 0",
)
WRITER_PRAGMAS = (
    "PRAGMA synchronous = FULL",
    "PRAGMA wal_autocheckpoint = 0",
    f"PRAGMA journal_size_limit = {JOURNAL_SIZE_LIMIT}",
    "PRAGMA foreign_keys = 1",
    "PRAGMA recursive_triggers = 1",  # so that INSERT OR REPLACE meets the trigger against DELETE
    "PRAGMA trusted_schema = 0",
    "PRAGMA cell_size_check = 1",
    "PRAGMA mmap_size = 0",
    "PRAGMA secure_delete = 1",
)


def open_snapshot(database: Path) -> sqlite3.Connection:
    """A plain read-only connection for a worker thread, inside one read transaction: it sees one commit's state."""
    # A generator may be closed by another thread than the one that ran it; never two at a time.
    connection = sqlite3.connect(
        read_only_uri(database), uri=True, isolation_level=None, timeout=5, check_same_thread=False
    )
    connection.text_factory = readable_text
    for pragma in READER_PRAGMAS:
        connection.execute(pragma)
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM meta").fetchone()
    return connection


def prepare_folder(folder: Path) -> None:
    """The folder and the database file exist and belong to their owner alone; SQLite copies the file's mode.

    What a killed process wrote and did not sync is synced: it is about to be read, and then it counts as told.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    database = folder / DATABASE_FILE
    if database.exists():
        for path in (folder / WAL_FILE, database):
            if path.exists():
                sync_path(path)
    else:
        os.close(os.open(database, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with suppress(PermissionError):  # not ours to open: then the operator made the folder
            sync_path(folder.parent)
    database.chmod(0o600)


def sync_path(path: Path) -> None:
    """What anybody wrote to the file or folder is on the disk.

    Never for a database file that this process has open: closing it here would drop SQLite's locks on it.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def statements_of(script: str) -> Iterator[str]:
    """The script's statements one by one; sqlite3's executescript would commit our transaction."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending.strip()
            pending = ""
    if pending.strip() and not all(line.lstrip().startswith("--") or not line.strip() for line in pending.splitlines()):
        yield pending.strip()


def creation_statements(*, log_id: str, now_us: int) -> Iterator[Statement]:
    """What makes an empty file a journal."""
    yield f"PRAGMA application_id = {APPLICATION_ID}", None
    yield f"PRAGMA user_version = {USER_VERSION}", None
    for statement in statements_of(Path(__file__).with_name("schema.sql").read_text()):
        yield statement, None
    yield (
        "INSERT INTO meta(key, value) VALUES (?, ?)",
        [("log_id", log_id), ("created_us", str(now_us)), ("sqlite", sqlite3.sqlite_version)],
    )


async def open_writer(
    database: Path,
    *,
    log_id: str,
    now_us: int,
    kind: type[WritingConnection] = WritingConnection,
    anchored: int = 0,
) -> aiosqlite.Connection:
    """The one writing connection, the file created when it is empty.

    anchored: how many events there were; with any, an empty file is a loss. Raises NewerLog, LogLossSuspected.
    """
    connection = await connect_writer(database, kind)
    try:
        connection.text_factory = readable_text
        empty = not await connection.execute_fetchall("SELECT 1 FROM sqlite_schema LIMIT 1")
        if not empty:
            await _check_version(connection)
        elif anchored:
            raise LogLossSuspected(f"the log ends at 0, {anchored} events before its anchor", remedy=RESTORE)
        await connection.execute_fetchall("PRAGMA journal_mode = WAL")
        for pragma in WRITER_PRAGMAS:
            await connection.execute_fetchall(pragma)
        if empty:
            await connection.executemany("create", Transaction(creation_statements(log_id=log_id, now_us=now_us)))
    except BaseException:
        await connection.close()
        raise
    return connection


async def _check_version(connection: aiosqlite.Connection) -> None:
    (application,) = next(iter(await connection.execute_fetchall("PRAGMA application_id")))
    (version,) = next(iter(await connection.execute_fetchall("PRAGMA user_version")))
    if application != APPLICATION_ID:
        raise NewerLog(f"{DATABASE_FILE} is not a genomed journal", remedy="give genomed a data folder of its own")
    if version > USER_VERSION:
        raise NewerLog(
            f"{DATABASE_FILE} has version {version}; this build reads up to {USER_VERSION}",
            remedy="install the genomed that wrote it, or a later one",
        )
