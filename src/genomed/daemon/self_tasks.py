"""Opens learning tasks where gaps call for them: a look at all gaps now and then, through the gates of `gaps`."""

import logging
from collections.abc import Awaitable, Callable
from math import inf

import anyio

from genomed.commands.context import Context, as_text
from genomed.commands.gap_measuring import gaps
from genomed.daemon.journal.journal import Journal
from genomed.entities.envelope import Cause, Write
from genomed.entities.errors import GenomeError
from genomed.entities.gaps import Gates, Standing, tasks_for

log = logging.getLogger(__name__)

CAUSE = Cause(actor="daemon")

_RUNNING = "SELECT job_id FROM jobs WHERE provider = 'local' AND status = 'running' LIMIT 1"
_TASKS = "SELECT bucket_id, open, ended_us FROM self_tasks"


class SelfTasks:
    """The first look comes after one interval: a daemon that restarts often opens no more than one that does not.

    gates: as they are now. changed: waits until they may be others.
    """

    def __init__(
        self,
        journal: Journal,
        context: Callable[[], Context],
        gates: Callable[[], Gates],
        *,
        changed: Callable[[], Awaitable[None]],
        now_us: Callable[[], int],
    ) -> None:
        self._journal = journal
        self._context = context
        self._gates = gates
        self._changed = changed
        self._now_us = now_us

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            gates = self._gates()
            with anyio.move_on_after(gates.sweep_s if gates.enabled else inf):
                await self._changed()
                continue
            try:
                await self.sweep()
            except (
                GenomeError
            ) as error:  # a log that takes nothing now must not end the daemon, which can still be read
                log.warning("could not open learning tasks error=%s", error.message)

    async def sweep(self) -> list[str]:
        """Ids of the tasks that were opened."""
        context = self._context()
        standing: dict[str, list[Standing]] = {}
        for own, is_open, ended in await self._journal.query(_TASKS):
            one = Standing(open=bool(is_open), ended_us=ended if isinstance(ended, int) else None)
            standing.setdefault(as_text(own), []).append(one)
        made = tasks_for(await gaps(context), standing, self._gates(), busy=await self._busy(), now_us=self._now_us())
        opened = [context.new_id("task") for _ in made]
        writes = [
            Write(stream=f"self_task/{task_id}", expected=0, events=(task,))
            for task_id, (_, task) in zip(opened, made, strict=True)
        ]
        if writes:
            await self._journal.append(writes, cause=CAUSE)
        return opened

    async def _busy(self) -> str | None:
        """Pressure: while this machine trains, nothing more is asked of it."""
        rows = await self._journal.query(_RUNNING)
        return f"job {as_text(rows[0][0])} is training here" if rows else None
