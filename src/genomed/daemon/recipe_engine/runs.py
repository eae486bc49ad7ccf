"""Carries out runs of recipes: one task per open run, woken by its start, and rejected rows that are to be made again.

The log says which runs are open and which of their work items are done, so that a daemon that comes back goes on.
"""

import logging

import anyio
from anyio.abc import TaskGroup

from genomed.commands.context import as_text
from genomed.commands.recipe_spending import settled_run
from genomed.commands.recipe_view import tally_of
from genomed.daemon.observation.logs import bind
from genomed.daemon.recipe_engine.again import Regenerations
from genomed.daemon.recipe_engine.rim import Defect, foreign
from genomed.daemon.recipe_engine.run import ACTOR, RecipeRun, run_at
from genomed.daemon.recipe_engine.work import Workshop, bench_of, run_of
from genomed.entities.envelope import ANY_VERSION, Cause, Envelope, Write
from genomed.entities.errors import Conflict, GenomeError, Internal, InvalidRequest, NotFound
from genomed.entities.recipe import Run, RunState, Stop, ending
from genomed.entities.recipe_events import RecipeCancelRequested, RecipeEnded, RecipeStarted
from genomed.entities.review_events import ItemDecided, ReviewClosed
from genomed.entities.types import ReviewState

log = logging.getLogger(__name__)

OPEN = "SELECT run_id FROM recipe_runs WHERE open ORDER BY position"
ALL = "SELECT run_id FROM recipe_runs"

AGAIN_S = 5.0
LONGEST_AGAIN_S = 600.0
"""Between two tries of a run whose progress could not be written down: at first, and at the longest."""


class RecipeRuns:
    """running: what can be cancelled."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._running: dict[str, RecipeRun] = {}
        self._followed: set[str] = set()
        self._again = Regenerations(shop)

    async def run(self) -> None:
        """Until cancelled. Every open run has its task; new ones get theirs as the log grows."""
        journal = self._shop.journal
        async with anyio.create_task_group() as tasks:
            subscription = journal.subscribe(journal.head().position)
            started = {as_text(run_id) for (run_id,) in await journal.query(ALL)}
            await self._shop.folder.clear(started)
            for (run_id,) in await journal.query(OPEN):
                self._follow(tasks, as_text(run_id))
            tasks.start_soon(self._again.run)
            while True:
                for envelope in await subscription.next():
                    self._noticed(tasks, envelope)

    def _noticed(self, tasks: TaskGroup, envelope: Envelope) -> None:
        own = envelope.stream.partition("/")[2]
        match envelope.event:
            case RecipeStarted():
                self._follow(tasks, own)
            case RecipeCancelRequested(reason=reason):
                if own in self._running:
                    self._running[own].cancel(reason)
            case ItemDecided(state=ReviewState.REGENERATING):
                self._again.wanted(own)
            case _:
                pass

    def _follow(self, tasks: TaskGroup, run_id: str) -> None:
        if run_id not in self._followed:
            self._followed.add(run_id)
            tasks.start_soon(self._follow_to_the_end, run_id)

    async def _follow_to_the_end(self, run_id: str) -> None:
        again_s = AGAIN_S
        bind(run=run_id)
        while True:
            try:
                run = await run_of(self._shop.journal, run_id)
                bind(recipe=run.started.recipe, persona=run.started.persona_id)
                if run.ended is None:
                    await self._write_end(run_id, run, await self._ended(run_id, run))
                break
            except GenomeError as trouble:
                log.warning("run cannot go on yet run=%s error=%s", run_id, trouble.message)
                # What was under way is asked again then: seldom, since every time it may be paid for.
                await anyio.sleep(again_s)
                again_s = min(2 * again_s, LONGEST_AGAIN_S)
        self._followed.discard(run_id)

    async def _ended(self, run_id: str, run: Run) -> RecipeEnded:
        """How it ended. Raises GenomeError where the log could not be written."""
        try:
            bench = await bench_of(self._shop, run_id, run.started)
        except (NotFound, Conflict, InvalidRequest, Internal) as changed:
            return await self._failed(run_id, run, changed)
        working = self._running[run_id] = await run_at(bench)
        try:
            # Read anew: whoever cancelled between the two could not reach the run yet.
            reason = (await run_of(self._shop.journal, run_id)).cancel_reason
            if reason is not None:
                working.cancel(reason)
            with foreign(f"run {run_id}"):
                return await working.work()
        except Defect as defect:
            return await self._failed(run_id, run, defect)
        except ValueError as defect:
            return await self._failed(run_id, run, Internal(f"run {run_id} raised {type(defect).__name__}"))
        finally:
            del self._running[run_id]

    async def _failed(self, run_id: str, run: Run, failure: GenomeError) -> RecipeEnded:
        tally = await tally_of(self._shop.journal, run_id)
        stop = Stop(state=RunState.FAILED, reason=failure.message, error=failure.body())
        return ending(run.started, tally, stop, tally.cost)

    async def _write_end(self, run_id: str, run: Run, ended: RecipeEnded) -> None:
        """The end of the run, of its batch and of its reservation, in one append."""
        started = run.started
        closed = ReviewClosed(reason=f"run {run_id} {ended.state}")
        writes = (
            Write(stream=f"recipe/{run_id}", expected=ANY_VERSION, events=(ended,)),
            Write(stream=f"review/{started.batch_id}", expected=ANY_VERSION, events=(closed,)),
            *await settled_run(self._shop.journal, run_id, started, ended),
        )
        await self._shop.journal.append(writes, cause=Cause(actor=ACTOR, correlation_id=run_id))
        log.info("run ended run=%s state=%s rows=%d", run_id, ended.state, ended.rows)
