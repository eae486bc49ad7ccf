"""retention-run archives what is closed and lets old files go; the log keeps every event, layers stay."""

import gzip
from pathlib import Path

import pytest
from tests.daemon.daemon_rig import Json, Rig, running

from genomed.commands.context import Caller
from genomed.daemon.keeping.house_backup import file_sha256
from genomed.daemon.keeping.log_archive import Unsound, read_archive
from genomed.entities.retention import DAY_US
from genomed.entities.retention_events import ArchiveSealed
from genomed.entities.types import Role

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


async def test_without_a_rule_everything_stays(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        await rig.ended(await rig.create_job(steps=1))
        await aged(rig, 3650)
        told = await rig.call("retention-run")
        assert (told["archivedStreams"], told["jobs"], told["answers"]) == (0, [], 0)


async def test_an_operator_may_not(quiet: Rig) -> None:
    operator = Caller(actor="uid:7", role=Role.OPERATE)
    assert (await quiet.refused("retention-run", caller=operator)).kind == "forbidden"
