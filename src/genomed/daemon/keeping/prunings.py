"""Removes the files of layers and exports that are to go, woken by the wish in the log.

The wish is there before the first file goes, and removing twice is harmless: so it is done until it is done. Work that
came into the log just before the wish, unseen by it, has its files until it ends.
"""

import logging
import random
from functools import partial
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from genomed.commands.layer_uses import still_needed
from genomed.daemon.courier.polling import Pace, wait_s
from genomed.daemon.journal.journal import Journal
from genomed.daemon.keeping import layer_files
from genomed.daemon.keeping.unheard_imports import remove_unheard_imports
from genomed.entities.envelope import ANY_VERSION, Cause, Write
from genomed.entities.errand_events import ErrandRemovalRequested, ErrandRemoved
from genomed.entities.errors import Conflict, GenomeError
from genomed.entities.layer_keeping_events import LayerPruned, LayerPruneRequested

log = logging.getLogger(__name__)

ACTOR = "daemon"
RETRY_S = 5.0
OPEN = "SELECT stream FROM prunings WHERE open ORDER BY stream"


class Prunings:
    """layers_dir, exports_dir: only what lies there by its own id is ever removed."""

    def __init__(self, journal: Journal, *, layers_dir: Path, exports_dir: Path) -> None:
        self._journal = journal
        self._homes = {"layer": layers_dir, "errand": exports_dir}
        self._begun: set[str] = set()

    async def clear(self) -> None:
        """What imports left behind that were broken off. To be called before anything can be imported."""
        try:
            gone = await remove_unheard_imports(self._journal, self._homes["layer"])
        except OSError as trouble:
            log.warning("could not look for imports that were broken off error=%s", trouble)
            return
        if gone:
            log.warning("removed imports that were broken off names=%s", ", ".join(gone))

    async def run(self) -> None:
        """Until cancelled."""
        position = self._journal.head().position
        subscription = self._journal.subscribe(position)
        async with anyio.create_task_group() as tasks:  # one that cannot be removed must not hold up the others
            for (stream,) in await self._journal.query(OPEN):
                self._begin(tasks, str(stream))
            while True:
                for envelope in await subscription.next():
                    if isinstance(envelope.event, LayerPruneRequested | ErrandRemovalRequested):
                        self._begin(tasks, envelope.stream)

    def _begin(self, tasks: TaskGroup, stream: str) -> None:
        """Once: a wish that came while the log was asked is told twice."""
        if stream not in self._begun:
            self._begun.add(stream)
            tasks.start_soon(self._prune_until_gone, stream)

    async def _prune_until_gone(self, stream: str) -> None:
        pace = Pace(interval_s=RETRY_S)
        while True:
            try:
                return await self._prune(stream)
            except (OSError, GenomeError) as trouble:
                log.warning("could not remove stream=%s error=%s", stream, trouble)
            pace = Pace(interval_s=RETRY_S, troubles=pace.troubles + 1)
            await anyio.sleep(wait_s(pace, hint_s=None, dice=random.random))

    async def _prune(self, stream: str) -> None:
        if (use := await still_needed(self._journal, stream)) is not None:
            raise Conflict(f"its files stay until that is over: {use}")
        kind, _, own = stream.partition("/")
        folder = self._homes[kind] / own
        gone = await anyio.to_thread.run_sync(layer_files.remove, folder)
        told = LayerPruned if kind == "layer" else ErrandRemoved
        event = told(files=gone.files, bytes_freed=gone.freeable_bytes)
        write = Write(stream=stream, expected=ANY_VERSION, events=(event,))
        await self._journal.append([write], cause=Cause(actor=ACTOR, correlation_id=own))
        await anyio.to_thread.run_sync(partial(layer_files.forget, folder))
