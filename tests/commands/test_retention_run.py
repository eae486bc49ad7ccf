"""retention-run archives what is closed and lets old files go; the log keeps every event, layers stay."""

import gzip
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import anyio
import msgspec
import pytest
from anyio import to_thread
from tests.adapters.local_bench import names_in
from tests.daemon.daemon_rig import Json, Rig, running

from genomed.adapters.local.attempt_folder import AttemptFolder
from genomed.adapters.local.pruning import prune
from genomed.commands.context import Caller
from genomed.daemon.assembly import new_id
from genomed.daemon.keeping.house_backup import file_sha256
from genomed.daemon.keeping.log_archive import Unsound, read_archive
from genomed.daemon.keeping.retention import Retention
from genomed.entities.ports import Provider
from genomed.entities.retention import DAY_US, Retained, RetentionRule
from genomed.entities.retention_events import ArchiveSealed
from genomed.entities.types import JobStatus, Role

RULE: Json = {"retention": {"archive_after_days": 30, "job_files_after_days": 7, "answers_after_days": 90}}


async def aged(rig: Rig, days: float) -> None:
    rig.clock.ahead_us += int(days * DAY_US)


async def sealed_in(rig: Rig, told: Json) -> list[ArchiveSealed]:
    return [one for name in told["archives"] for one in await rig.events(f"archive/{name}", ArchiveSealed)]


async def test_closed_streams_are_sealed_once_and_the_log_keeps_them(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=RULE) as rig:
        jobs = [await rig.create_job(steps=1) for _ in range(3)]
        for job_id in jobs:
            await rig.ended(job_id)
        assert (await rig.call("retention-run"))["archivedStreams"] == 0
        await aged(rig, 31)
        young = await rig.create_job(steps=1)
        await rig.ended(young)
        told = await rig.call("retention-run")
        assert told["archivedStreams"] == 3
        [sealed] = await sealed_in(rig, told)
        assert sealed.streams == tuple(sorted(f"job/{one}" for one in jobs))
        path = rig.data_dir / "archive" / sealed.file
        assert (file_sha256(path), path.stat().st_size) == (sealed.sha256, sealed.size_bytes)
        lines = read_archive(path)
        assert len(lines) == sealed.events == told["archivedEvents"]
        for job_id in jobs:
            kept = await rig.journal.read(f"job/{job_id}")
            copied = [line for line in lines if line.stream == f"job/{job_id}"]
            assert [(line.pos, line.type) for line in copied] == [(one.position, one.type) for one in kept]
        assert (await rig.call("retention-run"))["archivedStreams"] == 0
        assert (await rig.call("log-verify"))["ok"] is True
        await rig.journal.rebuild()
        assert (await rig.call("retention-run"))["archivedStreams"] == 0


async def test_an_archive_that_was_cut_or_changed_is_known(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=RULE) as rig:
        await rig.ended(await rig.create_job(steps=1))
        await aged(rig, 31)
        [sealed] = await sealed_in(rig, await rig.call("retention-run"))
        path = rig.data_dir / "archive" / sealed.file
    whole = path.read_bytes()
    text = gzip.decompress(whole)
    for spoiled in (
        whole[:-30],
        gzip.compress(text.replace(b'"stream":"job/', b'"stream":"jab/', 1)),
        gzip.compress(b""),
    ):
        path.write_bytes(spoiled)
        with pytest.raises(Unsound):
            read_archive(path)


async def test_a_dry_run_says_what_would_go_and_changes_nothing(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=RULE) as rig:
        await rig.ended(await rig.create_job(steps=1))
        await rig.call("capture-interaction", said(), key="once")
        await aged(rig, 91)
        before = rig.journal.head()
        told = await rig.call("retention-run", {"dryRun": True})
        assert (told["archivedStreams"], told["answers"], told["freedBytes"]) == (1, 1, None)
        assert rig.journal.head() == before
        assert not (rig.data_dir / "archive").exists()


async def test_answers_to_captures_go_and_answers_that_cost_something_stay(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=RULE) as rig:
        first = await rig.call("capture-interaction", said(), key="capture")
        wish = {"personaId": "ada", "rowKind": "chat", "name": "lessons"}
        draft = await rig.call("dataset-create", wish, key="create")
        await aged(rig, 91)
        assert (await rig.call("retention-run"))["answers"] == 1
        assert (await rig.call("dataset-create", wish, key="create")) == draft
        assert (await rig.call("capture-interaction", said(), key="capture"))["interactionId"] != first["interactionId"]
        assert (await rig.call("retention-run"))["answers"] == 0


def said() -> Json:
    return {"personaId": "ada", "domain": "sums", "baseModel": "tiny", "input": "1+1", "output": "2"}


class Keeper:
    """Keeps files of jobs as the local provider does. It takes its time over one of them."""

    def __init__(self, rig: Rig, *, slow: str = "") -> None:
        self._jobs_dir, self._slow = rig.data_dir / "jobs", slow
        self.asked, self.go = anyio.Event(), anyio.Event()
        self.at_work: set[str] = set()

    async def prune(self, job_id: str) -> int | None:
        if job_id == self._slow:
            self.asked.set()
            await self.go.wait()
        runs: Callable[[AttemptFolder], bool] = lambda one: one.root.parent.name in self.at_work  # noqa: E731
        return await to_thread.run_sync(partial(prune, self._jobs_dir, job_id, runs=runs))


def sweeper(rig: Rig, keeper: Keeper) -> Retention:
    rule = msgspec.convert(RULE["retention"], RetentionRule)
    provider = cast("Provider", keeper)  # it is asked for nothing else
    return Retention(rig.journal, rig.data_dir, lambda: rule, lambda _: provider, now_us=rig.clock, new_id=new_id)


async def cancelled_job(rig: Rig) -> str:
    job_id = await rig.create_job(secondsPerStep=3600)
    await cancelled(rig, job_id)
    return job_id


async def cancelled(rig: Rig, job_id: str) -> None:
    """Ended, with files in its folder."""
    await rig.job_when(job_id, lambda job: job.status is JobStatus.RUNNING)
    await rig.call("job-cancel", {"jobId": job_id})
    await rig.ended(job_id)
    spec = rig.data_dir / "jobs" / job_id / "attempt-1" / "spec.json"
    spec.parent.mkdir(parents=True)
    spec.write_bytes(b"x" * 100)


async def test_a_job_that_is_reopened_while_another_ones_files_go_keeps_its_own(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=RULE) as rig:
        first, second = [await cancelled_job(rig) for _ in range(2)]
        await aged(rig, 8)
        keeper = Keeper(rig, slow=first)
        swept: list[Retained] = []

        async def sweep() -> None:
            swept.append(await sweeper(rig, keeper).sweep())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sweep)
            await keeper.asked.wait()
            await rig.call("job-retry", {"jobId": second})
            keeper.go.set()
        assert [(one.jobs, one.freed_bytes) for one in swept] == [((first,), 100)]
        assert names_in(rig.data_dir / "jobs") == sorted((second, "simulated-provider"))


async def test_what_a_job_leaves_that_was_reopened_goes_too(tmp_path: Path) -> None:
    """Also one that was reopened after its files had gone, and before that was written down."""
    async with running(tmp_path / "d", given=RULE) as rig:
        first, second = [await cancelled_job(rig) for _ in range(2)]
        await aged(rig, 8)
        keeper = Keeper(rig, slow=second)
        retention = sweeper(rig, keeper)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(retention.sweep)
            await keeper.asked.wait()
            await rig.call("job-retry", {"jobId": first})
            keeper.go.set()
        await rig.call("job-retry", {"jobId": second})
        for job_id in (first, second):
            await cancelled(rig, job_id)
        assert (await retention.sweep()).jobs == ()
        await aged(rig, 8)
        await rig.journal.rebuild()
        swept = await retention.sweep()
        assert (swept.jobs, swept.freed_bytes) == ((first, second), 200)
        assert (await retention.sweep()).jobs == ()


async def test_a_job_whose_worker_is_still_there_is_tried_again(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=RULE) as rig:
        job_id = await cancelled_job(rig)
        await aged(rig, 8)
        keeper = Keeper(rig)
        keeper.at_work.add(job_id)
        retention = sweeper(rig, keeper)
        assert (await retention.sweep()).jobs == ()
        keeper.at_work.clear()
        assert (await retention.sweep()).jobs == (job_id,)


async def test_without_a_rule_everything_stays(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        await rig.ended(await rig.create_job(steps=1))
        await aged(rig, 3650)
        told = await rig.call("retention-run")
        assert (told["archivedStreams"], told["jobs"], told["answers"]) == (0, [], 0)


async def test_an_operator_may_not(quiet: Rig) -> None:
    operator = Caller(actor="uid:7", role=Role.OPERATE)
    assert (await quiet.refused("retention-run", caller=operator)).kind == "forbidden"
