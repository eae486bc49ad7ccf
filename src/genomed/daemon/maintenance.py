"""What commands ask of the daemon as a whole: verify, export, a fresh poll, and waiting for a job."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio

from genomed.daemon.courier.courier import Courier
from genomed.daemon.journal.journal import Journal
from genomed.daemon.keeping.retention import Retention
from genomed.entities.envelope import Head
from genomed.entities.errors import Internal, InvalidRequest, Problem
from genomed.entities.forgetting import Forgetting
from genomed.entities.job import Job
from genomed.entities.log_report import BackupMade, VerifyReport
from genomed.entities.retention import Retained

REFRESH_TIMEOUT_S = 20.0


class DaemonMaintenance:
    """Fulfils commands.context.Maintenance."""

    def __init__(self, journal: Journal, courier: Courier, retention: Retention) -> None:
        self._journal = journal
        self._courier = courier
        self._retention = retention

    def stopped(self) -> str | None:
        return self._journal.stopped()

    def short_of_space(self) -> str | None:
        return self._journal.short_of_space()

    async def anchored(self) -> Head | None:
        return await self._journal.anchored()

    async def rebuild(self) -> None:
        await self._journal.rebuild()

    async def verify(self) -> VerifyReport:
        return await self._journal.verify()

    async def export(self, path: str) -> Head:
        with _writing_to(path):
            return (await self._journal.export(Path(path))).head

    async def backup(self, path: str) -> Head:
        head = self._journal.head()
        with _writing_to(path):
            await self._journal.backup(Path(path))
        return head

    async def back_up(self, path: str, *, checkpoints: bool) -> BackupMade:
        with _writing_to(path):
            made = await self._journal.back_up(Path(path), checkpoints=checkpoints)
        size_bytes = sum(file.size_bytes for file in made.files)
        return BackupMade(head=made.head, files=len(made.files), size_bytes=size_bytes)

    async def retain(self, *, dry: bool) -> Retained:
        return await self._retention.sweep(dry=dry)

    async def refresh(self, job_id: str) -> bool:
        return await self._courier.refresh(job_id, timeout_s=REFRESH_TIMEOUT_S)

    async def until(self, job_id: str, wanted: Callable[[Job], bool], *, timeout_s: float) -> Job:
        job = await self._job(job_id)
        with anyio.move_on_after(timeout_s):
            while not wanted(job):
                position = self._journal.head().position
                job = await self._job(job_id)
                if not wanted(job):
                    await self._journal.wait_beyond(position)
        return job

    async def forgotten(self, forget_id: str, *, timeout_s: float) -> bool:
        with anyio.move_on_after(timeout_s):
            while True:
                position = self._journal.head().position
                state = (await self._journal.load(f"forget/{forget_id}")).state
                if isinstance(state, Forgetting) and state.carried_us is not None:
                    return True
                await self._journal.wait_beyond(position)
        return False

    async def _job(self, job_id: str) -> Job:
        state = (await self._journal.load(f"job/{job_id}")).state
        if not isinstance(state, Job):
            raise Internal(f"job {job_id} is not in the log")
        return state


@contextmanager
def _writing_to(path: str) -> Iterator[None]:
    """Raises InvalidRequest where the operating system refuses."""
    try:
        yield
    except OSError as error:
        problem = Problem(field="path", message=f"{path} cannot be written: {error.strerror}")
        raise InvalidRequest.of([problem]) from error
