"""Carries out wishes to forget: erases bodies, rows of datasets, judged answers. One wish after the other.

The wish is in the log before anything is erased, and erasing what is gone is harmless: so it is done until it is done,
also by the next daemon. Does not decide what is to be forgotten.
"""

import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import anyio
import anyio.to_thread

from genomed.adapters._layer_manifest import JUDGEMENT_NAME
from genomed.daemon.courier.polling import Pace, wait_s
from genomed.daemon.journal.journal import Journal
from genomed.entities.dataset import Dataset
from genomed.entities.dataset_port import DatasetFolder
from genomed.entities.draft import Draft
from genomed.entities.envelope import ANY_VERSION, Cause, Write
from genomed.entities.errors import GenomeError, Internal
from genomed.entities.forget_events import ForgetCarriedOut, ForgetRequested, RowsForgotten
from genomed.entities.forgetting import Forgetting
from genomed.entities.interaction import Interaction
from genomed.entities.layer import Layer
from genomed.entities.leftovers_port import Forgetful
from genomed.entities.ports import Provider
from genomed.entities.recipe import Run
from genomed.entities.review import Item

log = logging.getLogger(__name__)

OPEN = "SELECT forget_id FROM forgettings WHERE open ORDER BY forget_id"
BODIES_AT_ONCE = 500
FIRST_WAIT_S = 1.0


class Forgetter:
    """provider_of: by name. discard_inputs: of a recipe's run; a run that still needs them ends, and says why."""

    def __init__(
        self,
        journal: Journal,
        datasets: DatasetFolder,
        provider_of: Callable[[str], Provider],
        discard_inputs: Callable[[str], Awaitable[None]],
    ) -> None:
        self._journal = journal
        self._discard_inputs = discard_inputs
        self._datasets = datasets
        self._provider_of = provider_of

    async def run(self) -> None:
        """Until cancelled."""
        subscription = self._journal.subscribe(self._journal.head().position)
        while True:
            for (forget_id,) in await self._journal.query(OPEN):
                await self._to_the_end(str(forget_id))
            while not any(isinstance(one.event, ForgetRequested) for one in await subscription.next()):
                pass

    async def _to_the_end(self, forget_id: str) -> None:
        """A full or broken disk is waited out: what was promised is not given up."""
        troubles = 0
        while True:
            try:
                await self._carry_out(forget_id)
            except (OSError, GenomeError) as error:
                log.warning("cannot forget yet forget=%s error=%s", forget_id, error)
                troubles += 1
                pace = Pace(interval_s=FIRST_WAIT_S, troubles=troubles)
                await anyio.sleep(wait_s(pace, hint_s=None, dice=random.random))
            else:
                return

    async def _carry_out(self, forget_id: str) -> None:
        requested = await self._requested(forget_id)
        origins = [str(raw) for (raw,) in await self._journal.query(_ORIGINS, (forget_id,))]
        await self._erase_bodies(origins)
        rows = 0
        for dataset_id in requested.datasets:
            rows += await self._erase_rows(forget_id, dataset_id, frozenset(origins))
        datasets = frozenset(requested.datasets)
        more, tainted = await self._erase_elsewhere(forget_id, frozenset(origins), datasets)
        await self._erase_inputs(datasets | tainted)
        samples = 0
        for layer_id in requested.layers:
            samples += await self._erase_samples(layer_id)
        done = ForgetCarriedOut(rows=rows + more, samples=samples)
        write = Write(stream=f"forget/{forget_id}", expected=ANY_VERSION, events=(done,))
        await self._journal.append([write], cause=Cause(actor="daemon", correlation_id=forget_id))

    async def _requested(self, forget_id: str) -> ForgetRequested:
        state = (await self._journal.load(f"forget/{forget_id}")).state
        if not isinstance(state, Forgetting):
            raise Internal(f"the wish {forget_id} to forget is not in the log")
        return state.requested

    async def _erase_bodies(self, origins: Sequence[str]) -> None:
        hashes: list[str] = []
        for origin in origins:
            kind = "item" if origin.startswith("itm-") else "interaction"
            state = (await self._journal.load(f"{kind}/{origin}")).state
            if isinstance(state, Interaction | Item):
                hashes += state.bodies
        for start in range(0, len(hashes), BODIES_AT_ONCE):
            await self._journal.erase_blob(*hashes[start : start + BODIES_AT_ONCE])

    async def _erase_rows(self, forget_id: str, dataset_id: str, origins: frozenset[str]) -> int:
        named = [str(raw) for (raw,) in await self._journal.query(_ROWS, (forget_id, dataset_id))]
        rows = named or await self._datasets.rows_from(dataset_id, origins)
        gone = await self._datasets.forget(dataset_id, rows)
        await self._erase_in_draft(dataset_id, rows)
        return gone

    async def _erase_in_draft(self, dataset_id: str, rows: Sequence[str]) -> None:
        """From what the dataset's next version would be made of."""
        dataset = (await self._journal.load(f"dataset/{dataset_id}")).state
        draft_id = dataset.frozen.draft_id if isinstance(dataset, Dataset) else None
        draft = (await self._journal.load(f"draft/{draft_id}")).state if draft_id else None
        if draft_id and isinstance(draft, Draft):
            segments = [segment.sha256 for segment in draft.segments]
            await self._datasets.forget_in_draft(draft_id, segments, rows)
            await self._discard_removed(draft_id)

    async def _discard_removed(self, draft_id: str) -> None:
        """Files that were taken out of the draft by a daemon that died before it erased them."""
        draft = (await self._journal.load(f"draft/{draft_id}")).state
        for one in draft.removed if isinstance(draft, Draft) else ():
            await self._datasets.discard_segment(draft_id, one.sha256, made_before_us=one.removed_us)

    async def _erase_elsewhere(
        self, forget_id: str, origins: frozenset[str], done: frozenset[str]
    ) -> tuple[int, frozenset[str]]:
        """From datasets that came while it was decided, which are tainted too; and from folders that no event names,
        frozen before something was refused: these go as a whole. How many rows went, and which datasets are tainted.
        """
        named = frozenset(str(raw) for (raw,) in await self._journal.query(_NAMED, (forget_id,)))
        gone, tainted = 0, set()
        for dataset_id in await self._datasets.folders():
            if dataset_id in done:
                continue
            rows = {*await self._datasets.rows_from(dataset_id, origins)}
            rows |= (await self._datasets.rows_there(dataset_id, named)).keys()
            if not rows and (await self._listed(dataset_id) or await self._datasets.whole(dataset_id)):
                continue
            gone += len(rows)
            await self._tell(forget_id, dataset_id, len(rows))  # first: a stop in between must not leave it untainted
            await self._datasets.forget(dataset_id, sorted(rows))
            if await self._listed(dataset_id):
                await self._erase_in_draft(dataset_id, sorted(rows))
                tainted.add(dataset_id)
            else:
                await self._datasets.discard(dataset_id)
        return gone, frozenset(tainted)

    async def _tell(self, forget_id: str, dataset_id: str, rows: int) -> None:
        """Also of a dataset that the log does not know: one that is about to enter it is then decided again, since its
        stream has moved on.
        """
        event = RowsForgotten(forget_id=forget_id, rows=rows)
        write = Write(stream=f"dataset/{dataset_id}", expected=ANY_VERSION, events=(event,))
        await self._journal.append([write], cause=Cause(actor="daemon", correlation_id=forget_id))

    async def _listed(self, dataset_id: str) -> bool:
        return isinstance((await self._journal.load(f"dataset/{dataset_id}")).state, Dataset)

    async def _erase_inputs(self, datasets: frozenset[str]) -> None:
        """Recipes keep a copy of what they read."""
        for (raw,) in await self._journal.query("SELECT run_id FROM recipe_runs"):
            run = (await self._journal.load(f"recipe/{raw!s}")).state
            if isinstance(run, Run) and run.started.inputs_dataset_id in datasets:
                await self._discard_inputs(str(raw))

    async def _erase_samples(self, layer_id: str) -> int:
        layer = (await self._journal.load(f"layer/{layer_id}")).state
        if not isinstance(layer, Layer):
            return 0
        path = Path(layer.published.path) / JUDGEMENT_NAME
        gone = await anyio.to_thread.run_sync(_unlinked, path)
        provider = self._provider_of(layer.published.provider)
        kept = await provider.forget(layer.published.job_id) if isinstance(provider, Forgetful) else 0
        return int(gone) + kept


_ORIGINS = "SELECT origin FROM forgotten WHERE forget_id = ? ORDER BY origin"
_NAMED = "SELECT DISTINCT row_id FROM forgotten_rows WHERE forget_id = ?"
_ROWS = "SELECT row_id FROM forgotten_rows WHERE forget_id = ? AND dataset_id = ? ORDER BY row_id"


def _unlinked(path: Path) -> bool:
    if not path.exists():
        return False
    path.unlink()
    return True
