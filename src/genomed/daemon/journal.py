"""The append-only store of events, on SQLite: what `entities.ports.Journal` promises, and how it is opened.

Knows its parts and the order in which they start and stop. Appending is the writer's, reading the reader's.
"""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiosqlite
import anyio
import anyio.to_thread

from genomed.daemon.anchor import Anchor, anchored_head
from genomed.daemon.journal_file import ANCHOR_FILE, DATABASE_FILE, open_writer, prepare_folder
from genomed.daemon.journal_plan import EncodedEvent, EncodedWrite, Ticket
from genomed.daemon.journal_reader import Reader
from genomed.daemon.journal_start import checked_head
from genomed.daemon.journal_tail import Tail
from genomed.daemon.journal_writer import Writer
from genomed.daemon.log_export import ExportSummary, backup_database, export_log
from genomed.daemon.log_verify import verify_log
from genomed.daemon.owner_lock import owner_lock
from genomed.daemon.projector import Projector
from genomed.daemon.read_model_port import ReadModels
from genomed.daemon.rebuild import rebuilding_statements, refresh_read_models
from genomed.daemon.redaction import Redaction, without_secrets
from genomed.daemon.stream_cache import StreamCache
from genomed.entities.envelope import Appended, Blob, Cause, Envelope, Head, Receipt, Write
from genomed.entities.errors import Internal, InvalidRequest
from genomed.entities.event_codec import as_read, encode, schema_of, type_of
from genomed.entities.events import Event
from genomed.entities.journal_port import Loaded, SideWrite, SqlValue
from genomed.entities.log_report import VerifyReport

EVENT_MAX_BYTES = 64 * 1024
STREAM_NAME_MAX = 512

ERASE_BLOB = "UPDATE blobs SET body = NULL, erased_us = ? WHERE sha256 = ? AND body IS NOT NULL"

log = logging.getLogger(__name__)


class Journal:
    """Open one with `open_journal`. Every method may be called from any task of the loop it was opened in.

    redaction: takes secrets out of every text in an event before it is written.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        writer: Writer,
        reader: Reader,
        tail: Tail,
        cache: StreamCache,
        projector: Projector,
        now_us: Callable[[], int],
        new_event_id: Callable[[], str],
    ) -> None:
        self._data_dir = data_dir
        self._writer = writer
        self._reader = reader
        self._tail = tail
        self._cache = cache
        self._projector = projector
        self._now_us = now_us
        self._new_event_id = new_event_id
        self.redaction: Redaction | None = None

    async def append(
        self,
        writes: Sequence[Write],
        *,
        cause: Cause,
        receipt: Receipt | None = None,
        blobs: Sequence[Blob] = (),
        side: Sequence[SideWrite] = (),
    ) -> Appended:
        """Returns once it is durable. Cancelling the caller does not take back what the writer was given.

        Raises StreamConflict; Conflict for an answered key or an over-long stream; InvalidRequest for an event beyond
        EVENT_MAX_BYTES; Capacity for a full queue or disk; JournalStopped and OutcomeUnknown when the disk fails.
        """
        encoded = tuple([self._encoded(write) for write in writes])
        size_bytes = sum([len(event.data) for write in encoded for event in write.events])
        size_bytes += sum([len(blob.body) for blob in blobs])
        return await self._writer.append(Ticket(encoded, cause, receipt, tuple(blobs), tuple(side), size_bytes))

    async def load(self, stream: str) -> Loaded:
        cached = self._cache.get(stream)
        if cached is not None:
            return cached
        before = self._tail.head.position
        loaded = (await self._reader.look_up([stream]))[stream]
        if self._tail.head.position == before and loaded.version:
            self._cache.put({stream: loaded})
        return loaded

    async def read(self, stream: str, *, after_version: int = 0, limit: int = 1000) -> list[Envelope]:
        return await self._reader.stream(stream, after_version=after_version, limit=limit)

    async def read_all(self, *, after: int = 0, limit: int = 1000) -> list[Envelope]:
        """Events of the whole log after a position, in order and without a gap."""
        recent = self._tail.recent(after, limit)
        return recent if recent is not None else await self._reader.all(after=after, limit=limit)

    tail = read_all

    async def wait_beyond(self, position: int) -> None:
        """Until an event after `position` is durable. Unbounded: the caller's cancel scope ends it."""
        await self._tail.wait_beyond(position)

    def subscribe(self, after: int) -> "Subscription":
        return Subscription(self, after)

    async def blob(self, sha256: str) -> bytes | None:
        return await self._reader.blob(sha256)

    async def erase_blob(self, *hashes: str) -> None:
        """The bodies are gone from the file and its WAL; that they were there stays known. Twice is harmless."""
        now_us = self._now_us()
        await self._writer.exclusive("erase", [(ERASE_BLOB, [(now_us, one) for one in hashes])], scrub=True)

    async def receipt(self, key: str) -> Receipt | None:
        return await self._reader.receipt(key)

    async def query(self, sql: str, parameters: Sequence[SqlValue] = ()) -> list[tuple[SqlValue, ...]]:
        return await self._reader.fetch(sql, parameters)

    def head(self) -> Head:
        return self._tail.head

    async def anchored(self) -> Head | None:
        """The head that the anchor file vouches for now; None where it is absent or spoiled."""
        return await anyio.to_thread.run_sync(anchored_head, self._data_dir / ANCHOR_FILE)

    def stopped(self) -> str | None:
        """Why the journal takes no more writes; None while it does."""
        return self._writer.stopped

    def commits(self) -> int:
        """Transactions since the opening."""
        return self._writer.commits

    async def rebuild(self) -> None:
        """Drop the read models and states and make them anew from the log. Appends wait meanwhile."""
        statements = await rebuilding_statements(self._data_dir, self._projector, self._reader)
        await self._writer.exclusive("rebuild", statements)

    async def verify(self) -> VerifyReport:
        return await verify_log(self._data_dir, read_models=self._projector.models)

    async def export(self, destination: Path) -> ExportSummary:
        return await export_log(self._data_dir, destination)

    async def backup(self, destination: Path) -> None:
        """A copy as of one commit, in one file that did not exist before."""
        await backup_database(self._data_dir, destination)

    def _encoded(self, write: Write) -> EncodedWrite:
        stream = write.stream
        if not 0 < len(stream) <= STREAM_NAME_MAX or not stream.isprintable():
            raise InvalidRequest(f"{stream[:80]!r} cannot name a stream: 1 to {STREAM_NAME_MAX} printable characters")
        return EncodedWrite(stream, write.expected, tuple([self._encoded_event(event) for event in write.events]))

    def _encoded_event(self, event: Event) -> EncodedEvent:
        """Folds see the event as the log gives it back, so that what is kept beside it equals a rebuild."""
        type_ = type_of(event)
        try:
            data = encode(event)
            if self.redaction is not None and self.redaction.suspects(data):
                data = encode(without_secrets(event, self.redaction.redact))
        except UnicodeEncodeError as error:
            raise InvalidRequest(f"{type_} holds text that is not Unicode: {error}") from error
        if len(data) > EVENT_MAX_BYTES:
            raise InvalidRequest(
                f"{type_} has {len(data)} bytes; an event has at most {EVENT_MAX_BYTES}",
                remedy="put the body into a blob and its sha256 into the event",
            )
        return EncodedEvent(as_read(data), type_, schema_of(type_), self._new_event_id(), data)


class Subscription:
    """Follows the log from a position, gap-free; one task at a time."""

    def __init__(self, journal: Journal, after: int) -> None:
        self._journal = journal
        self.position = after

    async def next(self, limit: int = 256) -> list[Envelope]:
        """The next events, at least one. Unbounded: the caller's cancel scope ends the wait."""
        await self._journal.wait_beyond(self.position)
        envelopes = await self._journal.read_all(after=self.position, limit=limit)
        if not envelopes:
            raise Internal(f"the log says {self._journal.head().position} and has nothing after {self.position}")
        self.position = envelopes[-1].position
        return envelopes


@asynccontextmanager
async def open_journal(
    data_dir: Path,
    *,
    read_models: ReadModels,
    now_us: Callable[[], int],
    new_event_id: Callable[[], str],
    accept_loss: bool = False,
    redaction: Redaction | None = None,
) -> AsyncIterator[Journal]:
    """The journal of `data_dir`, made when there is none, with its writer running. Leaving the block drains the queue.

    redaction: as the journal's.

    Raises FolderOwned; LogLossSuspected or LogDamaged unless accept_loss, which takes the log as it is now for the
    whole of it; NewerLog.
    """
    async with AsyncExitStack() as stack:
        await anyio.to_thread.run_sync(lambda: data_dir.mkdir(mode=0o700, parents=True, exist_ok=True))
        stack.enter_context(owner_lock(data_dir, now_us=now_us()))
        await anyio.to_thread.run_sync(prepare_folder, data_dir)
        projector = Projector(read_models)
        connection = await open_writer(data_dir / DATABASE_FILE, log_id=new_event_id(), now_us=now_us())
        stack.push_async_callback(_close, connection)
        reader = await Reader.open(data_dir / DATABASE_FILE, projector)
        stack.push_async_callback(reader.close)
        head = await checked_head(data_dir, connection, reader, accept_loss=accept_loss)
        await refresh_read_models(data_dir, connection, reader, projector)
        anchor = await anyio.to_thread.run_sync(Anchor.open, data_dir / ANCHOR_FILE)
        stack.callback(anchor.close)
        tail, cache = Tail(head), StreamCache()
        writer = Writer(
            connection,
            wal=data_dir / f"{DATABASE_FILE}-wal",
            anchor=anchor,
            reader=reader,
            tail=tail,
            cache=cache,
            projector=projector,
            now_us=now_us,
        )
        tasks = await stack.enter_async_context(anyio.create_task_group())
        tasks.start_soon(writer.run)
        stack.callback(writer.close)
        log.info("journal open position=%d hash=%s", head.position, head.hash)
        journal = Journal(
            data_dir,
            writer=writer,
            reader=reader,
            tail=tail,
            cache=cache,
            projector=projector,
            now_us=now_us,
            new_event_id=new_event_id,
        )
        journal.redaction = redaction
        yield journal


async def _close(connection: aiosqlite.Connection) -> None:
    with anyio.CancelScope(shield=True):
        await connection.close()
