"""A daemon's own parts with stand-in workers: what becomes of a job whose workers end badly, by the real courier."""

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.adapters.local_bench import FULL_RUN, STAND_IN, Bench, Step, make_model
from tests.daemon.daemon_rig import Rig, running

from genomed.entities.events import JobNoted, WorkerLost


class House:
    """One job of ada's at a time; its worker plays `script`."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        self.rig, self.model = rig, folder / "model"

    async def job(self, *script: Step) -> str:
        make_model(self.model, script)
        configuration = {
            "model": {"baseModel": str(self.model)},
            "datasets": {"trainingFileId": await self.rig.dataset()},
            "method": {"type": "lora"},
        }
        wish = {"personaId": "ada", "provider": "local", "domain": "sums", "configuration": configuration}
        return str((await self.rig.call("job-create", wish))["jobId"])

    def next_plays(self, *script: Step) -> None:
        """What workers play that are started from now on; nothing named: a whole run."""
        make_model(self.model, script or FULL_RUN)

    def attempt(self, job_id: str, number: int = 1) -> Path:
        return self.rig.data_dir / "jobs" / job_id / f"attempt-{number}"

    async def lost(self, job_id: str) -> Sequence[WorkerLost]:
        return await self.rig.events(f"job/{job_id}", WorkerLost)

    async def noted(self, job_id: str) -> list[str]:
        return [event.code or "" for event in await self.rig.events(f"job/{job_id}", JobNoted)]


def delete(folder: Path) -> None:
    """Also one whose owner goes on to write there by its name."""
    folder.rename(folder.with_name("deleted"))
    shutil.rmtree(folder.with_name("deleted"))


@asynccontextmanager
async def house(folder: Path, **settings: object) -> AsyncIterator[House]:
    """settings: of the local provider, beside those that make it quick."""
    bench = Bench(folder)
    local = {"worker": STAND_IN, "poll_s": 0.02, "memory_reserve_bytes": 0, "sandbox": "none", **settings}
    try:
        async with running(folder, given={"providers": {"local": local}}) as rig:
            yield House(rig, folder)
    finally:
        bench.end_workers()
