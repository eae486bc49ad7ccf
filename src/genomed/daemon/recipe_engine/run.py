"""One run from where the log says it is to its end: workers take work items, and each that is done is one append.

What is done is never asked again; what was under way when the daemon stopped is. Nothing but counts is kept in memory
that the log does not have.
"""

import logging
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from itertools import islice

import anyio
import anyio.to_thread
from msgspec import Struct
from msgspec.structs import replace

from genomed.commands.context import as_text
from genomed.commands.recipe_view import tally_of
from genomed.daemon.recipe_engine.asking import Bill, PurseEmpty
from genomed.daemon.recipe_engine.seen import rows_of_draft
from genomed.daemon.recipe_engine.work import Bench
from genomed.entities.envelope import Blob, Cause, Write
from genomed.entities.errors import (
    BudgetExceeded,
    Forbidden,
    GenomeError,
    MalformedResponse,
    MissingCredentials,
    NotFound,
    Unsupported,
)
from genomed.entities.language_model import Unreached
from genomed.entities.recipe import (
    FAILURES_IN_A_ROW,
    UNREADABLE_TRIES,
    RunState,
    Stop,
    Tally,
    ending,
    missing,
    told,
)
from genomed.entities.recipe_events import ItemFailed, ItemFinished, RecipeEnded
from genomed.entities.recipe_port import Candidate, Finding, WorkItem
from genomed.entities.recipe_purse import Need, affords
from genomed.entities.review import proposed
from genomed.entities.rows import row_id

log = logging.getLogger(__name__)

ACTOR = "daemon"

WORKERS_WITHOUT_MODEL = 4
ITEMS_AT_ONCE = 64
"""Drawn from the plan in one visit to a thread."""

NO_MODEL_ANSWERS = (MissingCredentials, Forbidden, NotFound, Unsupported, BudgetExceeded)
"""What every further work item would meet too."""

DONE_KEYS = "SELECT key FROM recipe_items WHERE run_id = ? AND item_id IS NULL"


class Good(Struct, frozen=True):
    """A candidate that passed. identity: of its row, by which duplicates are known."""

    candidate: Candidate
    finding: Finding
    identity: str


class Made(Struct, frozen=True, kw_only=True):
    good: tuple[Good, ...]
    refused: int
    reasons: tuple[str, ...]


class Plan:
    """The work items that are not done yet, drawn in a thread, one after another."""

    def __init__(self, items: Iterator[WorkItem], done: Collection[str]) -> None:
        self._items = (item for item in items if item.key not in done)
        self._drawn: deque[WorkItem] = deque()
        self._turn = anyio.Lock()

    async def next(self) -> WorkItem | None:
        async with self._turn:
            if not self._drawn:
                self._drawn.extend(await anyio.to_thread.run_sync(self._draw))
            return self._drawn.popleft() if self._drawn else None

    def _draw(self) -> list[WorkItem]:
        return list(islice(self._items, ITEMS_AT_ONCE))


class RecipeRun:
    """Make it with `run_at`. tally: what the log says, and what is on its way into it."""

    def __init__(self, bench: Bench, *, plan: Plan, tally: Tally, seen: set[str]) -> None:
        self._bench, self._plan, self._seen = bench, plan, seen
        self.tally = tally
        self.purse = bench.purse(tally)
        self._under_way: list[Bill] = []
        self._most: Need | None = None
        self._over = anyio.Event()
        self._in_a_row = 0
        self._stop: Stop | None = None
        self._changed = anyio.Event()
        self._scope = anyio.CancelScope()
        self._broken: GenomeError | None = None

    def cancel(self, reason: str) -> None:
        """What is under way is given up; what is being written is written."""
        self._stop = Stop(state=RunState.CANCELLED, reason=reason)
        self._scope.cancel()

    async def work(self) -> RecipeEnded:
        """Until it is over; how it ended. Raises GenomeError where the log could not be written: begin anew from it."""
        if self._missing and self._stop is None:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    for _ in range(self._workers()):
                        tasks.start_soon(self._worker)
        if self._broken is not None:
            raise self._broken
        return ending(self._bench.started, self.tally, self._stop, self.purse.total)

    @property
    def _missing(self) -> int:
        return missing(self._bench.started, self.tally)

    def _workers(self) -> int:
        models, started = self._bench.shop.models, self._bench.started
        names = (started.model, started.judge, started.encoder, started.target_encoder)
        widths = [models.settings(name).concurrency for name in names if name is not None]
        return max(widths, default=WORKERS_WITHOUT_MODEL)

    async def _worker(self) -> None:
        bill = Bill(self._over)
        while (item := await self._next(bill)) is not None:
            try:
                await self._carry_out(item, bill)
            except GenomeError as broken:
                self._broken = broken
                self._scope.cancel()
            finally:
                self._under_way.remove(bill)
                self._tell()
            bill = Bill(self._over)

    def _enough_begun(self) -> bool:
        """As many as rows are missing, or as the budget can finish: nothing is paid for that cannot be used."""
        if self._missing <= len(self._under_way):
            return True
        return not affords(self.purse.purse, self._most, [bill.begun for bill in self._under_way])

    async def _next(self, bill: Bill) -> WorkItem | None:
        while self._stop is None and self._missing and self._enough_begun():
            await self._changed.wait()
        if self._stop is not None or not self._missing:
            return None
        self._under_way.append(bill)
        try:
            item = await self._plan.next()
        except GenomeError as failure:
            self._end(Stop(state=RunState.FAILED, reason=failure.message, error=failure.body()))
            item = None
        if item is None:
            self._under_way.remove(bill)
            self._tell()
        return item

    async def _carry_out(self, item: WorkItem, bill: Bill) -> None:
        try:
            made = await self._made(item, bill)
        except PurseEmpty as empty:
            self._end(Stop(state=RunState.SHORT, reason=empty.message))
        except Unreached:
            log.info("run is over: its model is not waited for any more run=%s item=%s", self._bench.run_id, item.key)
        except NO_MODEL_ANSWERS as failure:
            self._end(Stop(state=RunState.FAILED, reason=failure.message, error=failure.body()))
        except GenomeError as failure:
            await self._fail(item, bill, failure)
        else:
            await self._finish(item, bill, made)
            if not self._missing:
                self._scope.cancel()

    async def _made(self, item: WorkItem, bill: Bill) -> Made:
        """Raises GenomeError; MalformedResponse where nobody could read what came, however often it was asked for."""
        bench = self._bench
        for _ in range(UNREADABLE_TRIES):
            tools = bench.tools(item, self.purse, bill)
            try:
                candidates = await bench.produced(item, tools)
            except ValueError as unreadable:
                log.info("unreadable answer run=%s item=%s kind=%s", bench.run_id, item.key, type(unreadable).__name__)
                continue
            return self._checked(candidates, item)
        raise MalformedResponse(f"no answer could be read in {UNREADABLE_TRIES} tries")

    def _checked(self, candidates: Sequence[Candidate], item: WorkItem) -> Made:
        findings = [(candidate, self._bench.finding(candidate, item)) for candidate in candidates]
        good = tuple(Good(candidate, found, row_id(candidate.row)) for candidate, found in findings if found.ok)
        bad = [found for _, found in findings if not found.ok]
        reasons = [reason for found in bad for reason in found.reasons or ("without a reason",)]
        return Made(good=good, refused=len(bad), reasons=told(reasons))

    async def _finish(self, item: WorkItem, bill: Bill, made: Made) -> None:
        """Which rows are taken is decided at once, so that two workers cannot take the same row, nor one too many."""
        fresh = {good.identity: good for good in made.good if good.identity not in self._seen}
        taken = list(fresh.values())[: self._missing]
        self._seen.update(good.identity for good in taken)
        finished = ItemFinished(
            run_id=self._bench.run_id,
            key=item.key,
            rows=len(taken),
            refused=made.refused,
            duplicates=len(made.good) - len(fresh),
            left_out=len(fresh) - len(taken),
            requests=bill.cost.requests,
            prompt_tokens=bill.cost.prompt_tokens,
            completion_tokens=bill.cost.completion_tokens,
            usd=bill.cost.usd,
            reasons=made.reasons,
        )
        self._in_a_row = 0
        self._most = bill.begun | (self._most or Need())
        before = self.tally
        self.tally = replace(
            before,
            rows=before.rows + finished.rows,
            done=before.done + 1,
            refused=before.refused + finished.refused,
            duplicates=before.duplicates + finished.duplicates,
        )
        # Rows that are counted must arrive: the end of the run, or of the daemon, waits for this.
        with anyio.CancelScope(shield=True):
            writes, blobs = await self._proposals(item, taken)
            await self._append(item, finished, writes, blobs)

    async def _proposals(self, item: WorkItem, taken: Sequence[Good]) -> tuple[list[Write], list[Blob]]:
        bench = self._bench
        batch = await bench.batch()
        writes, blobs = [], []
        for good in taken:
            confidence = good.finding.confidence
            write, blob = proposed(
                bench.shop.new_id("itm"),
                bench.body(good.candidate.row, item, good.candidate, good.finding),
                batch_id=bench.started.batch_id,
                batch=batch,
                confidence=good.candidate.confidence if confidence is None else confidence,
                suggestion=good.finding.suggestion,
                item_key=item.key,
            )
            writes.append(write)
            blobs.append(blob)
        return writes, blobs

    async def _fail(self, item: WorkItem, bill: Bill, failure: GenomeError) -> None:
        self.tally = replace(self.tally, failed=self.tally.failed + 1)
        self._in_a_row += 1
        failed = ItemFailed(
            run_id=self._bench.run_id,
            key=item.key,
            requests=bill.cost.requests,
            error=failure.body(),
            prompt_tokens=bill.cost.prompt_tokens,
            completion_tokens=bill.cost.completion_tokens,
            usd=bill.cost.usd,
        )
        log.warning("work item failed run=%s item=%s kind=%s", self._bench.run_id, item.key, failure.kind.value)
        with anyio.CancelScope(shield=True):
            await self._append(item, failed)
        if self._in_a_row >= FAILURES_IN_A_ROW:
            reason = f"{self._in_a_row} work items failed one after another; the last: {failure.message}"
            self._end(Stop(state=RunState.FAILED, reason=reason, error=failure.body()))

    async def _append(
        self, item: WorkItem, event: ItemFinished | ItemFailed, writes: Sequence[Write] = (), blobs: Sequence[Blob] = ()
    ) -> None:
        own = Write(stream=f"recipe_item/{self._bench.run_id}:{item.key}", expected=0, events=(event,))
        cause = Cause(actor=ACTOR, correlation_id=self._bench.run_id)
        await self._bench.shop.journal.append([own, *writes], cause=cause, blobs=blobs)

    def _end(self, stop: Stop) -> None:
        """Nothing new is begun; what is under way is paid for and may finish, where its model answers."""
        self._stop = self._stop or stop
        self._over.set()
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


async def run_at(bench: Bench) -> RecipeRun:
    """The run as the log has it."""
    journal = bench.shop.journal
    done = {as_text(key) for (key,) in await journal.query(DONE_KEYS, (bench.run_id,))}
    plan = Plan(bench.shop.folder.plan(bench.recipe, bench.plan_request), done)
    tally = await tally_of(journal, bench.run_id)
    return RecipeRun(bench, plan=plan, tally=tally, seen=await rows_of_draft(journal, bench.started.draft_id))
