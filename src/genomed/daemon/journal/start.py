"""What is looked at before a journal is opened: the anchored head, and the chain of the newest events.

Takes the same time however long the log is; `log_verify` looks at all of it.
"""

import logging
from pathlib import Path

import aiosqlite
import anyio
import anyio.to_thread

from genomed.daemon.journal.anchor import anchored_head, replace_anchor
from genomed.daemon.journal.chain import genesis, link
from genomed.daemon.journal.database import ANCHOR_FILE, DATABASE_FILE, WAL_FILE, Transaction, sync_path
from genomed.daemon.journal.errors import RESTORE, LogDamaged, LogLossSuspected
from genomed.daemon.journal.event_rows import SELECT_EVENTS, EventRow, header_of
from genomed.daemon.journal.projector import UPSERT_META
from genomed.daemon.journal.reader import Reader
from genomed.entities.envelope import Head
from genomed.entities.errors import Conflict, Internal

TAIL_EVENTS = 1000
TRUSTED_FROM_KEY = "tail_trusted_from"
"""Position up to which somebody accepted the log as it is."""

log = logging.getLogger(__name__)


def refuse_new_log(data_dir: Path) -> None:
    """Before SQLite sees the folder: it deletes the write-ahead log of an empty file. Raises LogLossSuspected."""
    database, wal = data_dir / DATABASE_FILE, data_dir / WAL_FILE
    if database.exists() and database.stat().st_size:
        return
    if wal.exists() and wal.stat().st_size:
        raise LogLossSuspected(f"{DATABASE_FILE} is gone and its write-ahead log is not", remedy=RESTORE)
    if events := anchored_events(data_dir):
        raise LogLossSuspected(f"{DATABASE_FILE} is gone; its anchor tells of {events} events", remedy=RESTORE)


def anchored_events(data_dir: Path) -> int:
    """How many events there were at least, by the anchor; 0 where it tells nothing."""
    anchored = anchored_head(data_dir / ANCHOR_FILE)
    return anchored.position if anchored else 0


async def checked_head(data_dir: Path, connection: aiosqlite.Connection, reader: Reader, *, accept_loss: bool) -> Head:
    """The log's head, anchored anew. Raises LogLossSuspected or LogDamaged unless accept_loss."""
    log_id = await reader.meta("log_id")
    if log_id is None:
        raise Internal("the journal has no log id", remedy=RESTORE)
    beginning = Head(position=0, hash=genesis(log_id).hex())
    head = await _head_at(reader, None) or beginning
    doubts = [
        doubt
        for doubt in (
            await _loss(data_dir / ANCHOR_FILE, reader, head, beginning),
            await _damage(reader, head, beginning),
        )
        if doubt
    ]
    for doubt in doubts:
        if not accept_loss:
            raise doubt
        log.warning("accepted head=%d doubt=%s", head.position, doubt.message)
    if doubts:
        trusted = (UPSERT_META, [(TRUSTED_FROM_KEY, str(head.position))])
        await connection.executemany("accept", Transaction([trusted]))
    await anyio.to_thread.run_sync(replace_anchor, data_dir / ANCHOR_FILE, head)
    if doubts:  # else a power cut could bring back the anchor that told of more
        await anyio.to_thread.run_sync(sync_path, data_dir)
    return head


async def _head_at(reader: Reader, position: int | None) -> Head | None:
    """The head as it was at a position; of the whole log for None."""
    sql = "SELECT pos, hash FROM events WHERE pos = coalesce(?, (SELECT max(pos) FROM events))"
    rows = await reader.fetch(sql, (position,))
    if not rows:
        return None
    found, digest = rows[0]
    return Head(position=int(found or 0), hash=digest.hex() if isinstance(digest, bytes) else "")


async def _loss(path: Path, reader: Reader, head: Head, beginning: Head) -> Conflict | None:
    anchored = await anyio.to_thread.run_sync(anchored_head, path)
    if anchored is None:
        if head.position == 0:
            return None
        return LogLossSuspected(
            f"{path.name} is missing or spoiled, so the log's end cannot be checked", remedy=RESTORE
        )
    if anchored.position > head.position:
        lost = anchored.position - head.position
        return LogLossSuspected(f"the log ends at {head.position}, {lost} events before its anchor", remedy=RESTORE)
    there = beginning if anchored.position == 0 else await _head_at(reader, anchored.position)
    if there != anchored and not (anchored.position == 0 and head.position == 0):
        return LogLossSuspected(f"the log is another one than the one anchored at {anchored.position}", remedy=RESTORE)
    return None


async def _damage(reader: Reader, head: Head, beginning: Head) -> Conflict | None:
    start = max(head.position - TAIL_EVENTS, int(await reader.meta(TRUSTED_FROM_KEY) or 0))
    before = (await _head_at(reader, start) if start else beginning) or beginning
    rows: list[EventRow] = await reader.fetch(f"{SELECT_EVENTS} WHERE pos > ? ORDER BY pos", (start,))  # type: ignore[assignment]  # the table is STRICT
    digest, position = bytes.fromhex(before.hash), start
    for row in rows:
        digest, position = link(digest, header_of(row), row[11]), position + 1
        if row[0] != position or row[12] != digest:
            return LogDamaged(f"the event at {row[0]} is not what was written", remedy=RESTORE)
    return None
