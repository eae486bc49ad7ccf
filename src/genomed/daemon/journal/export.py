"""The log as text, and back; and copies of the whole file. All while the journal runs.

An export holds the events alone, hashes included. Blobs, receipts and side tables are in a backup, not in an export:
what a person may have erased must not live on in files that were passed around.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

import anyio
import anyio.from_thread
import anyio.to_thread
import msgspec
from msgspec import Struct

from genomed.daemon.beside import name_as, name_beside
from genomed.daemon.journal.anchor import replace_anchor
from genomed.daemon.journal.chain import Header, genesis, link
from genomed.daemon.journal.database import (
    ANCHOR_FILE,
    DATABASE_FILE,
    Row,
    creation_statements,
    open_snapshot,
    prepare_folder,
    read_only_uri,
)
from genomed.daemon.journal.event_rows import INSERT_EVENT, EventRow
from genomed.daemon.journal.owner_lock import owner_lock
from genomed.daemon.journal.projector import stored_rows
from genomed.entities.envelope import Head
from genomed.entities.errors import Conflict, InvalidRequest

FORMAT = "genomed-log-1"
BATCH_EVENTS = 500


class ExportHeader(Struct, frozen=True, kw_only=True, rename="camel", tag_field="line", tag="header"):
    format: str
    log_id: str
    created_us: str
    sqlite: str


class ExportLine(Struct, frozen=True, kw_only=True, rename="camel", tag_field="line", tag="event"):
    """One event: the table's columns. data is the stored text itself, since its bytes are hashed."""

    pos: int
    stream: str
    version: int
    type: str
    schema: int
    event_id: str
    cmd_id: str | None
    corr_id: str | None
    cause_pos: int | None
    actor: str
    at_us: int
    data: str
    hash: str


class ExportSummary(Struct, frozen=True, kw_only=True, rename="camel", tag_field="line", tag="trailer"):
    """The trailer: how many events the file holds and where they end."""

    count: int
    head: Head


async def export_log(data_dir: Path, destination: Path) -> ExportSummary:
    """JSON lines: header, one line per event in order, trailer. The destination appears whole or not at all."""
    return await anyio.to_thread.run_sync(_export, data_dir, destination)


async def backup_database(data_dir: Path, destination: Path) -> None:
    """A copy as of one commit. To restore it: an empty folder, this file as journal.db, start with accepted loss."""
    await anyio.to_thread.run_sync(_backup, data_dir, destination)


async def import_export(path: Path, data_dir: Path, *, now_us: Callable[[], int]) -> ExportSummary:
    """A new log with the same events and the same hashes. Its read models are made when it is first opened.

    Raises InvalidRequest when the export is cut or changed, Conflict when the folder has a log already.
    """
    return await anyio.to_thread.run_sync(_import, path, data_dir, now_us())


@contextmanager
def _written_beside(destination: Path) -> Iterator[Path]:
    """A path beside it; named as the destination, after fsync, when the block succeeds."""
    if destination.exists():
        raise _exists(destination)
    beside = name_beside(destination)
    try:
        yield beside
        with beside.open("rb") as written:
            os.fsync(written.fileno())
        try:
            name_as(destination, beside)
        except FileExistsError:
            raise _exists(destination) from None
        folder = os.open(destination.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        beside.unlink(missing_ok=True)


def _exists(destination: Path) -> Conflict:
    return Conflict(f"{destination} exists already", remedy="name a file that does not exist")


def _private(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


def _export(data_dir: Path, destination: Path) -> ExportSummary:
    with (
        closing(open_snapshot(data_dir / DATABASE_FILE)) as snapshot,
        _written_beside(destination) as beside,
        _private(beside) as out,
    ):
        meta = dict(snapshot.execute("SELECT key, value FROM meta"))
        header = ExportHeader(
            format=FORMAT, log_id=meta["log_id"], created_us=meta["created_us"], sqlite=sqlite3.sqlite_version
        )
        out.write(msgspec.json.encode(header) + b"\n")
        count, head = 0, Head(position=0, hash=genesis(header.log_id).hex())
        for count, row in enumerate(stored_rows(snapshot), start=1):
            if count % BATCH_EVENTS == 0:
                anyio.from_thread.check_cancelled()
            out.write(msgspec.json.encode(line_of(row)) + b"\n")
            head = Head(position=row[0], hash=row[12].hex())
        summary = ExportSummary(count=count, head=head)
        out.write(msgspec.json.encode(summary) + b"\n")
        out.flush()
        return summary


def line_of(row: EventRow) -> ExportLine:
    columns = (*row[:11], row[11].decode(errors="replace"), row[12].hex())
    return msgspec.convert(dict(zip(ExportLine.__struct_encode_fields__, columns, strict=True)), ExportLine)


def _backup(data_dir: Path, destination: Path) -> None:
    with _written_beside(destination) as beside:
        _private(beside).close()
        with (
            closing(sqlite3.connect(read_only_uri(data_dir / DATABASE_FILE), uri=True)) as live,
            closing(sqlite3.connect(beside)) as copy,
        ):
            live.backup(copy)
            # One file and no WAL beside it, so that it can be moved about.
            copy.execute("PRAGMA journal_mode = DELETE")


def _import(path: Path, data_dir: Path, now_us: int) -> ExportSummary:
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with owner_lock(data_dir, now_us=now_us):
        database = data_dir / DATABASE_FILE
        if database.exists() and database.stat().st_size:
            raise Conflict(f"{data_dir} has a log already", remedy="import into an empty folder")
        prepare_folder(data_dir)
        with path.open("rb") as lines, closing(sqlite3.connect(database, isolation_level=None)) as connection:
            try:
                summary = _insert(lines, connection, now_us)
            except (msgspec.MsgspecError, sqlite3.IntegrityError) as error:
                raise InvalidRequest(f"{path.name} is not a sound export: {error}", remedy="export again") from error
        replace_anchor(data_dir / ANCHOR_FILE, summary.head)
        return summary


def _insert(lines: BinaryIO, connection: sqlite3.Connection, now_us: int) -> ExportSummary:
    header = msgspec.json.decode(lines.readline(), type=ExportHeader)
    if header.format != FORMAT:
        raise InvalidRequest(f"the export's format is {header.format!r}, not {FORMAT!r}", remedy="use a later genomed")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    for sql, rows in creation_statements(log_id=header.log_id, now_us=now_us):
        if rows is None:
            connection.execute(sql)
        else:
            connection.executemany(sql, rows)
    connection.execute("UPDATE meta SET value = ? WHERE key = 'created_us'", (header.created_us,))
    summary = _insert_events(lines, connection, genesis(header.log_id))
    connection.execute("COMMIT")
    return summary


def _insert_events(lines: BinaryIO, connection: sqlite3.Connection, digest: bytes) -> ExportSummary:
    """All events, each checked against the chain; the trailer must agree."""
    decode = msgspec.json.Decoder(ExportLine | ExportSummary).decode
    batch: list[Row] = []
    count = 0
    for line in lines:
        parsed = decode(line)
        if isinstance(parsed, ExportSummary):
            connection.executemany(INSERT_EVENT, batch)
            found = ExportSummary(count=count, head=Head(position=count, hash=digest.hex()))
            if parsed != found:
                raise InvalidRequest(
                    f"the export promises {parsed.count} events and holds {count}", remedy="export again"
                )
            return found
        count += 1
        digest = _checked(parsed, count, digest)
        batch.append((*_header(parsed), parsed.data, digest))
        if len(batch) == BATCH_EVENTS:
            anyio.from_thread.check_cancelled()
            connection.executemany(INSERT_EVENT, batch)
            batch.clear()
    raise InvalidRequest(f"the export ends after {count} events without its trailer", remedy="export again")


def _header(line: ExportLine) -> Header:
    return (
        line.pos,
        line.stream,
        line.version,
        line.type,
        line.schema,
        line.event_id,
        line.cmd_id,
        line.corr_id,
        line.cause_pos,
        line.actor,
        line.at_us,
    )


def _checked(line: ExportLine, position: int, digest: bytes) -> bytes:
    linked = link(digest, _header(line), line.data.encode())
    if line.pos != position or linked.hex() != line.hash:
        raise InvalidRequest(f"the event at {line.pos} is not what was exported", remedy="export again")
    return linked
