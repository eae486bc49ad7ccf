"""The one writer: whatever waits shares a transaction, without a timed delay; each caller gets its own answer.

Knows batches, the writing connection and what its failures mean. Publishes after the commit, never before.
"""

import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import aiosqlite
import anyio

from genomed.daemon.journal.anchor import Anchor
from genomed.daemon.journal.checkpoint import Checkpoints
from genomed.daemon.journal.database import Statement, Transaction
from genomed.daemon.journal.errors import (
    STATEMENT_FAILURES,
    CommitUnknown,
    Failure,
    JournalStopped,
    NoSpace,
    OutcomeUnknown,
    failure_of,
    primary_code,
)
from genomed.daemon.journal.plan import Plan, Ticket
from genomed.daemon.journal.reader import Reader
from genomed.daemon.journal.space import Space
from genomed.daemon.journal.stream_cache import StreamCache
from genomed.daemon.journal.tail import Tail
from genomed.daemon.observation.metrics import AppendMetrics
from genomed.entities.envelope import Appended, Head
from genomed.entities.errors import Capacity, Conflict, GenomeError, InvalidRequest
from genomed.entities.journal_port import Loaded

QUEUE_LIMIT = 1024
BATCH_APPENDS = 512
BATCH_BYTES = 1024 * 1024
"""Beyond 100 events per commit nothing is gained (reference/eventlog.md 1.2); these bound one transaction."""
LOOK_AND_RESTART = "look at the disk, then restart the daemon"
RESTART_AND_LOOK = "restart the daemon, then look: the same command key answers if it is there"

log = logging.getLogger(__name__)


class RefusedStatement(Exception):
    """The database refused a statement; rolled back. Whose it was is not known yet."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error

    def refusal(self) -> GenomeError:
        if isinstance(self.error, sqlite3.IntegrityError):
            return Conflict(f"the append breaks a rule of the journal: {self.error}")
        return InvalidRequest(f"the append cannot be written: {self.error!r}")


class Batch:
    """Tickets that will share a transaction, and the event that all their callers await."""

    def __init__(self) -> None:
        self.tickets: list[Ticket] = []
        self.size_bytes = 0
        self.done = anyio.Event()

    def has_room_for(self, ticket: Ticket) -> bool:
        return not self.tickets or (
            len(self.tickets) < BATCH_APPENDS and self.size_bytes + ticket.size_bytes <= BATCH_BYTES
        )

    def add(self, ticket: Ticket) -> None:
        self.tickets.append(ticket)
        self.size_bytes += ticket.size_bytes


class Writer:
    """Made by `open_journal`, which also runs `run` in a task of its own and records the anchor's head."""

    def __init__(
        self,
        connection: aiosqlite.Connection,
        *,
        wal: Path,
        anchor: Anchor,
        reader: Reader,
        tail: Tail,
        cache: StreamCache,
        space: Space,
        now_us: Callable[[], int],
    ) -> None:
        self._connection = connection
        self._anchor = anchor
        self._reader = reader
        reader.told_broken = self._stop
        self._tail = tail
        self._cache = cache
        self._projector = reader.projector
        self.space = space
        self._now_us = now_us
        self._batches: deque[Batch] = deque()
        self._waiting = 0
        self._work = anyio.Event()
        self._turn = anyio.Lock()
        self._closing = False
        self._checkpoints = Checkpoints(connection, wal=wal, stop=self._stop)
        self.stopped: str | None = None
        self.commits = 0
        self.metrics = AppendMetrics()
        self.progress = 0
        """Statements carried out, also those of a transaction that still runs."""

    async def append(self, ticket: Ticket) -> Appended:
        """Once it is in the queue it will be carried out, whether or not the caller still waits."""
        batch = self._enqueue(ticket)
        await batch.done.wait()
        match ticket.outcome:
            case Appended() as appended:
                return appended
            case GenomeError() as refusal:
                raise refusal
            case None:
                raise OutcomeUnknown(
                    "the journal ended before it answered", remedy="restart, then look whether it is there"
                )

    def _enqueue(self, ticket: Ticket) -> Batch:
        self._require_open()
        if self._waiting >= QUEUE_LIMIT:
            raise Capacity(f"{self._waiting} appends wait for the disk already", remedy="ask again in a moment")
        if not self._batches or not self._batches[-1].has_room_for(ticket):
            self._batches.append(Batch())
        batch = self._batches[-1]
        batch.add(ticket)
        self._waiting += 1
        self._work.set()
        return batch

    @property
    def waiting(self) -> int:
        """Appends in the queue."""
        return self._waiting

    def _require_open(self) -> None:
        if self.stopped:
            raise JournalStopped(f"the journal takes no more writes: {self.stopped}", remedy=LOOK_AND_RESTART)
        if self._closing:
            raise JournalStopped("the journal is closing", remedy="ask again when the daemon is back")

    def close(self) -> None:
        """What is queued will still be written; then `run` ends."""
        self._closing = True
        self._work.set()

    async def run(self) -> None:
        # Shielded: a batch is never abandoned half-way. close() ends the loop.
        with anyio.CancelScope(shield=True):
            try:
                while not self._closing or self._batches:
                    await self._work.wait()
                    self._work = anyio.Event()
                    while self._batches:
                        await self._carry_out(self._batches.popleft())
                async with self._turn:
                    pass  # whoever was promised an exclusive turn has had it
            finally:
                self._abandon()

    async def _carry_out(self, batch: Batch) -> None:
        self._waiting -= len(batch.tickets)
        try:
            async with self._turn:
                await self._commit(batch.tickets)
        finally:
            batch.done.set()
            self._tail.wake()
        # Short of space, the log is written over again and again, so that the rest is left to the main file.
        if (self._checkpoints.due or self.space.short) and not self.stopped:
            async with self._turn:
                await self._checkpoints.run()

    def _abandon(self) -> None:
        """Only a defect leaves batches here: their callers learn that nobody will answer."""
        self._closing = True
        while self._batches:
            self._batches.popleft().done.set()

    async def _commit(self, tickets: list[Ticket], *, alone: bool = False, again: bool = False) -> None:
        """Gives every ticket its outcome. alone: after a transaction was refused, to find whose fault it was.

        again: after the disk was full and some space was made.
        """
        try:
            plan = await self._plan(tickets, alone=alone)
        except GenomeError as error:
            self._refuse(tickets, error)
            return
        if not plan.admitted:
            return
        try:
            with self.metrics.committing(len(plan.admitted)):
                await self._transact("append", plan.script(), committed=lambda: self._record(plan.head()))
        except NoSpace as error:
            self._cache.forget(plan.streams)
            if not again and await self._made_space():
                await self._commit(tickets, alone=alone, again=True)
            else:
                self._refuse((ticket for ticket, _ in plan.admitted), error)
        except GenomeError as error:
            self._cache.forget(plan.streams)
            self._refuse(tickets, error)
        except RefusedStatement as error:
            self._cache.forget(plan.streams)
            if alone:
                plan.admitted[0][0].outcome = error.refusal()
                return
            for ticket in tickets:
                await self._commit([ticket], alone=True)
        else:
            self._publish(plan)

    async def _made_space(self) -> bool:
        """The ballast goes; a log that is wholly in the main file is written over, not appended to."""
        given = await self.space.give_back()
        return await self._checkpoints.run() or given

    async def _plan(self, tickets: list[Ticket], *, alone: bool) -> Plan:
        if self.stopped:
            raise JournalStopped(f"nothing was written: {self.stopped}", remedy=LOOK_AND_RESTART)
        head = self._tail.head
        plan = Plan(
            position=head.position,
            hash_=bytes.fromhex(head.hash),
            known=await self._known(tickets, alone=alone),
            answered=await self._answered(tickets) if alone else (),
            projector=self._projector,
            now_us=self._now_us,
        )
        if self.space.short:
            await self.space.look()
        for ticket in tickets:
            if not self.space.admits(ticket.cause.actor):
                ticket.outcome = self.space.refusal()
                continue
            try:
                plan.admit(ticket)
            except GenomeError as refusal:
                ticket.outcome = refusal
        return plan

    async def _known(self, tickets: list[Ticket], *, alone: bool) -> dict[str, Loaded]:
        """What the streams stand at. A stream said to be new is believed; if it is not, UNIQUE refuses the batch.

        Then each append is tried alone, where nothing is believed.
        """
        known: dict[str, Loaded] = {}
        cold: dict[str, None] = {}
        for write in (write for ticket in tickets for write in ticket.writes):
            loaded = self._cache.get(write.stream)
            if loaded is not None:
                known[write.stream] = loaded
            elif alone or write.expected != 0:
                cold[write.stream] = None
        if cold:
            known.update(await self._reader.look_up(cold))
        return known

    async def _answered(self, tickets: list[Ticket]) -> set[str]:
        keys = [ticket.receipt.key for ticket in tickets if ticket.receipt]
        return {key for key in keys if await self._reader.receipt(key)}

    async def _transact(
        self, label: str, statements: Iterable[Statement], *, committed: Callable[[], None] | None = None
    ) -> None:
        """All of it durable, or none. Raises Capacity, JournalStopped, OutcomeUnknown or RefusedStatement."""
        try:
            await self._connection.executemany(label, Transaction(self._counted(statements), committed=committed))
        except CommitUnknown as error:
            self._stop(f"the disk failed during a commit: {error}")
            raise OutcomeUnknown(f"written or not, nobody knows: {error}", remedy=RESTART_AND_LOOK) from error
        except STATEMENT_FAILURES as error:
            match failure_of(error):
                case Failure.FULL if primary_code(error) != sqlite3.SQLITE_FULL:
                    raise Capacity(f"no memory for the journal: {error}", remedy="ask again in a moment") from error
                case Failure.FULL:
                    log.warning("no space for the journal label=%s error=%s", label, error)
                    raise NoSpace(f"no space for the journal: {error}", remedy="free some space, ask again") from error
                case Failure.BROKEN:
                    self._stop(f"{getattr(error, 'sqlite_errorname', type(error).__name__)}: {error}")
                    raise JournalStopped(f"nothing was written: {error}", remedy=LOOK_AND_RESTART) from error
                case Failure.REFUSED:
                    raise RefusedStatement(error) from error
        self.commits += 1

    def _counted(self, statements: Iterable[Statement]) -> Iterator[Statement]:
        """In SQLite's thread."""
        for statement in statements:
            self.progress += 1
            yield statement

    async def answers(self) -> None:
        """Once the writer had a turn and its connection's thread has answered: what the watchdog goes by."""
        async with self._turn:
            with suppress(sqlite3.Error):  # an error is an answer; what it means is told where the log is written
                await self._connection.execute_fetchall("SELECT 1")

    def _record(self, head: Head) -> None:
        """In SQLite's thread. The commit stands, whatever becomes of the anchor."""
        try:
            self._anchor.record(head)
        except OSError as error:
            log.warning("anchor not written position=%d error=%s", head.position, error)

    def _refuse(self, tickets: Iterable[Ticket], refusal: GenomeError) -> None:
        for ticket in tickets:
            # Each its own: an exception raised in many tasks would gather all their tracebacks.
            ticket.outcome = type(refusal)(refusal.message, remedy=refusal.remedy)

    def _stop(self, reason: str) -> None:
        if self.stopped:
            return  # the first reason is the one to look at
        log.critical("journal stopped reason=%s", reason)
        self.stopped = reason
        self._cache.clear()

    def _publish(self, plan: Plan) -> None:
        for ticket, landed in plan.admitted:
            ticket.outcome = landed
        self._cache.put(plan.streams)
        size_bytes = sum(ticket.size_bytes for ticket, _ in plan.admitted)
        self._checkpoints.wrote(rows=len(plan.envelopes), size_bytes=size_bytes)
        self._tail.publish(plan.envelopes, plan.head())
        self.metrics.saw(plan.envelopes)

    async def exclusive(self, label: str, statements: Iterable[Statement], *, scrub: bool = False) -> None:
        """A transaction that appends nothing, between two batches. scrub: leave no trace of old pages in the WAL."""
        self._require_open()
        with anyio.CancelScope(shield=True):
            async with self._turn:
                try:
                    await self._transact(label, statements)
                except NoSpace:
                    await self.space.give_back()
                    raise
                except RefusedStatement as error:
                    raise error.refusal() from error
                finally:
                    self._cache.clear()
                if scrub:
                    await self._checkpoints.scrub()
