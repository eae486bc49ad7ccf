"""The append-only store of events, on SQLite: what `entities.ports.Journal` promises, and how it is opened.

Knows its parts and the order in which they start and stop. Appending is the writer's, reading the reader's.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiosqlite
import anyio
import anyio.to_thread

from genomed.daemon.journal.anchor import Anchor, anchored_head
from genomed.daemon.journal.ballast import Ballast
from genomed.daemon.journal.database import ANCHOR_FILE, DATABASE_FILE, WritingConnection, open_writer, prepare_folder
from genomed.daemon.journal.disk_refusals import disk_told
from genomed.daemon.journal.export import ExportSummary, backup_database, export_log
from genomed.daemon.journal.owner_lock import owner_lock
from genomed.daemon.journal.plan import EncodedEvent, EncodedWrite, Ticket
from genomed.daemon.journal.projector import Projector
from genomed.daemon.journal.read_model_port import ReadModels
from genomed.daemon.journal.reader import Reader
from genomed.daemon.journal.rebuild import rebuilding_statements, refresh_read_models
from genomed.daemon.journal.space import Space
from genomed.daemon.journal.start import anchored_events, checked_head, refuse_new_log
from genomed.daemon.journal.stream_cache import StreamCache
from genomed.daemon.journal.tail import Tail
from genomed.daemon.journal.verify import verify_log
from genomed.daemon.journal.writer import Writer
from genomed.daemon.keeping.house_backup import Manifest, back_up
from genomed.daemon.observation.metrics import AppendMetrics
from genomed.daemon.secrets.redaction import Redaction, without_secrets
from genomed.entities.envelope import Appended, Blob, Cause, Envelope, Head, Receipt, Write
from genomed.entities.errors import GenomeError, Internal, InvalidRequest
from genomed.entities.event_codec import as_read, encode, schema_of, type_of
from genomed.entities.events import Event
from genomed.entities.journal_port import Loaded, SideWrite, SqlValue
from genomed.entities.log_report import VerifyReport

EVENT_MAX_BYTES = 64 * 1024
STREAM_NAME_MAX = 512

DISCARD_ANSWERS = "DELETE FROM receipts WHERE at_us < ? AND name = ?"
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

    async def discard_answers(self, before_us: int, commands: Sequence[str]) -> None:
        """The kept answers of these commands from before a moment: their keys are new again."""
        await self._writer.exclusive("discard", [(DISCARD_ANSWERS, [(before_us, one) for one in commands])])

    async def receipt(self, key: str) -> Receipt | None:
        return await self._reader.receipt(key)

    async def query(self, sql: str, parameters: Sequence[SqlValue] = ()) -> list[tuple[SqlValue, ...]]:
        return await self._reader.fetch(sql, parameters)

    def head(self) -> Head:
        return self._tail.head

    async def anchored(self) -> Head | None:
        """The head that the anchor file vouches for now; None where it is absent or spoiled, or no file can be read."""
        try:
            return await anyio.to_thread.run_sync(anchored_head, self._data_dir / ANCHOR_FILE)
        except OSError:
            return None

    def stopped(self) -> str | None:
        """Why the journal takes no more writes; None while it does."""
        return self._writer.stopped

    def short_of_space(self) -> str | None:
        """Why commands are refused until there is space; None while they are not."""
        return self._writer.space.short

    def read_only(self) -> str | None:
        """Why commands are refused now, for whichever reason; None while they are taken."""
        return self.stopped() or self.short_of_space()

    def commits(self) -> int:
        """Transactions since the opening."""
        return self._writer.commits

    @property
    def metrics(self) -> AppendMetrics:
        return self._writer.metrics

    def waiting(self) -> int:
        """Appends that wait for the writer."""
        return self._writer.waiting

    async def wal_bytes(self) -> int:
        """Size of the write-ahead log's file, which is used again from its start after a checkpoint."""
        try:
            return (await anyio.Path(self._data_dir / f"{DATABASE_FILE}-wal").stat()).st_size
        except FileNotFoundError:
            return 0

    def progress(self) -> int:
        """Statements that the writing connection has carried out; grows also within a long transaction."""
        return self._writer.progress

    async def answers(self) -> None:
        """Returns once the writer had its turn and its thread has answered. Unbounded, as a slow disk is."""
        await self._writer.answers()

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

    async def back_up(self, destination: Path, *, checkpoints: bool) -> Manifest:
        """A copy of the whole data folder that this log is in. checkpoints: of trainings, too."""
        return await back_up(self._data_dir, destination, now_us=self._now_us(), checkpoints=checkpoints)

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


@dataclass(frozen=True, kw_only=True)
class JournalKinds:
    """The classes that a journal is made of: so that failpoints can put their own in their place."""

    journal: type[Journal] = Journal
    connection: type[WritingConnection] = WritingConnection
    anchor: type[Anchor] = Anchor
    tail: type[Tail] = Tail


PLAIN_JOURNAL = JournalKinds()


@asynccontextmanager
async def open_journal(
    data_dir: Path,
    *,
    read_models: ReadModels,
    now_us: Callable[[], int],
    new_event_id: Callable[[], str],
    accept_loss: bool = False,
    redaction: Redaction | None = None,
    kinds: JournalKinds = PLAIN_JOURNAL,
    ballast_bytes: int = 0,
) -> AsyncIterator[Journal]:
    """The journal of `data_dir`, made when there is none, with its writer running. Leaving the block drains the queue.

    redaction: as the journal's. ballast_bytes: kept for a full disk, see `Ballast`.

    Raises FolderOwned; DiskRefuses; NewerLog; LogLossSuspected or LogDamaged unless accept_loss, which takes the log as
    it is now for the whole of it.
    """
    async with AsyncExitStack() as stack:
        space = Space(Ballast(data_dir, ballast_bytes))
        projector = Projector(read_models)
        with disk_told(data_dir):
            await anyio.to_thread.run_sync(lambda: data_dir.mkdir(mode=0o700, parents=True, exist_ok=True))
            stack.enter_context(owner_lock(data_dir, now_us=now_us()))
            await space.prepare()
            maker = partial(open_writer, log_id=new_event_id(), now_us=now_us(), kind=kinds.connection)
            connection, reader, head = await _checked(stack, data_dir, projector, maker, accept_loss=accept_loss)
            await refresh_read_models(data_dir, connection, reader, projector)
            anchor = await anyio.to_thread.run_sync(kinds.anchor.open, data_dir / ANCHOR_FILE)
            stack.callback(anchor.close)
        tail, cache = kinds.tail(head), StreamCache()
        writer = Writer(
            connection,
            wal=data_dir / f"{DATABASE_FILE}-wal",
            anchor=anchor,
            reader=reader,
            tail=tail,
            cache=cache,
            space=space,
            now_us=now_us,
        )
        tasks = await stack.enter_async_context(anyio.create_task_group())
        tasks.start_soon(writer.run)
        tasks.start_soon(space.watch)
        stack.callback(space.close)
        stack.callback(writer.close)
        log.info("journal open position=%d hash=%s", head.position, head.hash)
        journal = kinds.journal(
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


async def _checked(
    stack: AsyncExitStack,
    data_dir: Path,
    projector: Projector,
    maker: Callable[..., Awaitable[aiosqlite.Connection]],
    *,
    accept_loss: bool,
) -> tuple[aiosqlite.Connection, Reader, Head]:
    """The connections, and the head they found to be the anchored one. A refused start changes nothing."""
    anchored = 0
    if not accept_loss:
        await anyio.to_thread.run_sync(refuse_new_log, data_dir)
        anchored = await anyio.to_thread.run_sync(anchored_events, data_dir)
    await anyio.to_thread.run_sync(prepare_folder, data_dir)
    connection = await maker(data_dir / DATABASE_FILE, anchored=anchored)
    stack.push_async_callback(_close, connection)
    reader = await Reader.open(data_dir / DATABASE_FILE, projector)
    stack.push_async_callback(reader.close)
    try:
        return connection, reader, await checked_head(data_dir, connection, reader, accept_loss=accept_loss)
    except GenomeError:
        # Closed last, it would move the write-ahead log into the file.
        await _close(connection)
        raise


async def _close(connection: aiosqlite.Connection) -> None:
    with anyio.CancelScope(shield=True):
        await connection.close()
