"""Makes rejected rows again, where a person asked for it: a child takes the parent's place in the queue, or the parent
stays rejected and says why.

The log says which items wait. What a try cost is written down as a work item of the run; the run's budget holds for it.
"""

import logging
from collections.abc import Sequence

import anyio
from msgspec import Struct

from genomed.commands.context import as_text
from genomed.commands.recipe_view import tally_of
from genomed.daemon.observation.logs import bound
from genomed.daemon.recipe_engine.asking import Bill, RunPurse
from genomed.daemon.recipe_engine.rim import foreign
from genomed.daemon.recipe_engine.run import ACTOR
from genomed.daemon.recipe_engine.seen import rows_of_draft
from genomed.daemon.recipe_engine.work import Bench, Workshop, bench_of, run_of
from genomed.entities.envelope import Blob, Cause, Write
from genomed.entities.errors import GenomeError, MalformedResponse, NotFound, StreamConflict, Unsupported
from genomed.entities.recipe import LONGEST_REASON, UNREADABLE_TRIES
from genomed.entities.recipe_events import ItemFinished
from genomed.entities.recipe_port import Candidate, Finding, WorkItem
from genomed.entities.review import MAX_GENERATIONS, Batch, Item, note_of, proposed, read_body, replaced, row_of
from genomed.entities.review_events import RegenerationFailed
from genomed.entities.rows import Row, row_id
from genomed.entities.types import ReviewState

log = logging.getLogger(__name__)

AT_ONCE = 4
AGAIN_S = 5.0
WAITING = "SELECT item_id FROM review_items WHERE state = 'regenerating' ORDER BY position"


class Waiting(Struct, frozen=True, kw_only=True):
    """An item that is to be made again, at the version at which that was asked."""

    item_id: str
    item: Item
    version: int


class Regenerations:
    """A few at a time, and each by one worker. An item that was asked for twice is made once: the second look, which
    comes after the first, finds it in another state.
    """

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._queue: dict[str, None] = {}
        self._at_work: set[str] = set()
        self._once_more: set[str] = set()
        self._bell = anyio.Event()

    def wanted(self, item_id: str) -> None:
        if item_id in self._at_work:
            self._once_more.add(item_id)
        elif item_id not in self._queue:
            self._queue[item_id] = None
            self._bell.set()
            self._bell = anyio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        for (item_id,) in await self._shop.journal.query(WAITING):
            self.wanted(as_text(item_id))
        async with anyio.create_task_group() as tasks:
            for _ in range(AT_ONCE):
                tasks.start_soon(self._worker)

    async def _worker(self) -> None:
        while True:
            while not self._queue:
                await self._bell.wait()
            item_id = next(iter(self._queue))
            del self._queue[item_id]
            self._at_work.add(item_id)
            try:
                with bound(item=item_id):
                    await self._make_again(item_id)
            except GenomeError as trouble:
                log.warning("regeneration cannot go on yet item=%s error=%s", item_id, trouble.message)
                self.wanted(item_id)
                await anyio.sleep(AGAIN_S)
            self._at_work.discard(item_id)
            if item_id in self._once_more:
                self._once_more.discard(item_id)
                self.wanted(item_id)

    async def _make_again(self, item_id: str) -> None:
        """Raises GenomeError where the log could not be read or written."""
        loaded = await self._shop.journal.load(f"item/{item_id}")
        if not isinstance(loaded.state, Item) or loaded.state.state is not ReviewState.REGENERATING:
            return
        waiting = Waiting(item_id=item_id, item=loaded.state, version=loaded.version)
        bill = Bill()
        try:
            await self._replace(waiting, bill)
        except StreamConflict:
            await self._overtaken(waiting, bill)
        except (GenomeError, ValueError) as failure:
            reason = failure.message if isinstance(failure, GenomeError) else type(failure).__name__
            await self._give_up(waiting, reason, bill)

    async def _replace(self, waiting: Waiting, bill: Bill) -> None:
        item, journal = waiting.item, self._shop.journal
        bench = await self._bench(item)
        if item.generation >= MAX_GENERATIONS:
            raise MalformedResponse(f"it was made again {MAX_GENERATIONS} times already")
        if item.item_key is None:
            raise NotFound("nobody knows which work item it came from")
        work = await self._shop.folder.find(bench.recipe, bench.plan_request, item.item_key)
        body = await journal.blob(item.sha256)
        if work is None or body is None:
            raise NotFound("its work item or its row is gone")
        tally = await tally_of(journal, bench.run_id)
        purse = bench.purse(tally)
        feedback = await self._feedback(item)
        seen = await rows_of_draft(journal, bench.started.draft_id)
        for _ in range(UNREADABLE_TRIES):
            with foreign(f"run {bench.run_id}"):
                made = await self._tried(bench, row_of(read_body(body)), work, purse, bill, feedback)
            if made is not None and row_id(made[0].row) not in seen:
                await self._put(waiting, bench, work, bill, *made)
                return
        raise MalformedResponse(f"no better row came in {UNREADABLE_TRIES} tries")

    async def _bench(self, item: Item) -> Bench:
        batch = (await self._shop.journal.load(f"review/{item.batch_id}")).state
        if not isinstance(batch, Batch) or batch.run_id is None:
            raise NotFound("no recipe made it: correct it instead")
        run = await run_of(self._shop.journal, batch.run_id)
        return await bench_of(self._shop, batch.run_id, run.started)

    async def _feedback(self, item: Item) -> str | None:
        raw = await self._shop.journal.blob(item.note_sha256) if item.note_sha256 else None
        return None if raw is None else note_of(raw)

    async def _tried(
        self, bench: Bench, row: Row, work: WorkItem, purse: RunPurse, bill: Bill, feedback: str | None
    ) -> tuple[Candidate, Finding] | None:
        """None where the answer could not be read or does not pass. Raises Unsupported where the recipe never can."""
        tools = bench.tools(work, purse, bill)
        try:
            with foreign(bench.what):
                candidate = await bench.recipe.again(row, work, bench.params, tools, feedback=feedback)
        except ValueError:
            return None
        if candidate is None:
            raise Unsupported(f"{bench.what} cannot make this row again: correct it instead")
        finding = bench.finding(candidate, work)
        return (candidate, finding) if finding.ok else None

    async def _put(
        self, waiting: Waiting, bench: Bench, work: WorkItem, bill: Bill, candidate: Candidate, finding: Finding
    ) -> None:
        child_id = self._shop.new_id("itm")
        confidence = candidate.confidence if finding.confidence is None else finding.confidence
        child, blob = proposed(
            child_id,
            bench.body(candidate.row, work, candidate, finding),
            batch_id=waiting.item.batch_id,
            batch=await bench.batch(),
            confidence=confidence,
            suggestion=finding.suggestion,
            item_key=waiting.item.item_key,
            parent=(waiting.item_id, waiting.item),
        )
        parent = replaced(waiting.item_id, waiting.version, child_id)
        await self._append([parent, child, *await self._spent(waiting, bill, rows=1)], waiting, [blob])

    async def _give_up(self, waiting: Waiting, reason: str, bill: Bill) -> None:
        spent = await self._spent(waiting, bill, rows=0)
        failed = RegenerationFailed(reason=reason[:LONGEST_REASON])
        write = Write(stream=f"item/{waiting.item_id}", expected=waiting.version, events=(failed,))
        try:
            await self._append([write, *spent], waiting, [])
        except StreamConflict:
            await self._overtaken(waiting, bill)

    async def _overtaken(self, waiting: Waiting, bill: Bill) -> None:
        """Somebody decided otherwise meanwhile: nothing came of it but what it cost, and it is looked at once more."""
        self.wanted(waiting.item_id)
        if spent := await self._spent(waiting, bill, rows=0):
            await self._append(spent, waiting, [])

    async def _spent(self, waiting: Waiting, bill: Bill, *, rows: int) -> tuple[Write, ...]:
        batch = (await self._shop.journal.load(f"review/{waiting.item.batch_id}")).state
        run_id = batch.run_id if isinstance(batch, Batch) else None
        if run_id is None or not bill.cost.requests:
            return ()
        key = f"again:{waiting.item_id}:{waiting.version}"
        event = ItemFinished(
            run_id=run_id,
            key=key,
            rows=rows,
            requests=bill.cost.requests,
            prompt_tokens=bill.cost.prompt_tokens,
            completion_tokens=bill.cost.completion_tokens,
            usd=bill.cost.usd,
            item_id=waiting.item_id,
        )
        return (Write(stream=f"recipe_item/{run_id}:{key}", expected=0, events=(event,)),)

    async def _append(self, writes: Sequence[Write], waiting: Waiting, blobs: Sequence[Blob]) -> None:
        cause = Cause(actor=ACTOR, correlation_id=waiting.item.batch_id)
        await self._shop.journal.append(writes, cause=cause, blobs=blobs)
