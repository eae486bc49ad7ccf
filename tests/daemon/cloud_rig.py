"""A daemon at an emulated cloud, in one process, and what tests of the two wait for.

Nothing here measures time: what must not happen is looked for after other work came to its end.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.crash.cloud_worlds import CLOUDS, World, world
from tests.daemon.daemon_rig import Json, Rig, running
from tests.emulators.emulator import Emulator

from genomed.entities.events import JobNoted
from genomed.entities.job import Job
from genomed.entities.types import EventLevel, JobPhase, JobStatus

EVERY_CLOUD = pytest.mark.parametrize("name", sorted(CLOUDS))


def merged(*given: Json) -> Json:
    """Sections of the same name become one."""
    whole: Json = {}
    for one in given:
        for key, value in one.items():
            whole[key] = merged(whole[key], value) if isinstance(whole.get(key), dict) else value
    return whole


def settings(there: World, *more: Json) -> Json:
    return merged({"courier": {"poll_s": {"simulated": 0.01}}}, there.given, *more)


@asynccontextmanager
async def daemon_at(name: str, tmp_path: Path) -> AsyncIterator[tuple[World, Rig]]:
    async with (
        world(name) as there,
        running(tmp_path / "d", given=settings(there), environment=there.environment) as rig,
    ):
        yield there, rig


def is_running(job: Job) -> bool:
    return job.status is JobStatus.RUNNING


def is_stalled(job: Job) -> bool:
    return job.phase is JobPhase.STALLED


async def other_work(rig: Rig) -> None:
    """A whole job elsewhere: who had something to ask in the meantime has asked it."""
    await rig.ended(await rig.create_job())


async def used_up(rig: Rig, emulator: Emulator) -> None:
    async def none_waits() -> bool:
        return emulator.faults.waiting == []

    await rig.until(none_waits, "the end of the faults")


async def noted(rig: Rig, job_id: str) -> bool:
    """Whether an error of ours was told of it."""
    return any(note.level is EventLevel.ERROR for note in await rig.events(f"job/{job_id}", JobNoted))


async def held_job(rig: Rig, there: World) -> str:
    """A job that runs there for as long as the emulator is held."""
    there.emulator.hold()
    job_id = await there.create_job(rig)
    await rig.job_when(job_id, is_running)
    return job_id
