"""backup-create copies the whole house while it works; `genomed --restore` makes a house of it again."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import anyio
import msgspec
import pytest
from tests.daemon.daemon_process import daemon_process
from tests.daemon.daemon_rig import Json, Rig, running
from tests.daemon.dataset_bench import folders
from tests.patience import PATIENCE_S

from genomed.commands.context import Caller
from genomed.daemon.keeping import house_backup
from genomed.daemon.keeping.house_backup import MANIFEST
from genomed.entities.types import Role


def restored(source: Path, data_dir: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command: Sequence[str] = [
        sys.executable,
        "-m",
        "genomed.daemon",
        "--data-dir",
        str(data_dir),
        "--restore",
        str(source),
    ]
    return subprocess.run([*command, *more], capture_output=True, text=True, check=False)


async def worked(rig: Rig) -> str:
    """Something of everything: experience, a dataset, a job with its layer."""
    await rig.captures(3)
    dataset_id = await rig.dataset()
    await rig.ended(await rig.create_job(dataset_id=dataset_id))
    return dataset_id


async def test_what_a_killed_daemon_left_of_a_backup_stands_in_no_later_ones_way(tmp_path: Path) -> None:
    left = tmp_path / f"backup.part-{os.getpid()}"
    left.mkdir()
    async with running(tmp_path / "first") as rig:
        await rig.call("backup-create", {"path": str(tmp_path / "backup")})
    assert (tmp_path / "backup" / MANIFEST).exists()


async def test_a_backup_does_not_replace_one_that_came_to_its_place_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed, other = house_backup._to_copy, tmp_path / "backup" / "somebody else's"

    def and_another(data_dir: Path, *, checkpoints: bool) -> Iterator[Path]:
        other.parent.mkdir()
        other.write_text("whole", encoding="utf-8")
        return listed(data_dir, checkpoints=checkpoints)

    async with running(tmp_path / "first") as rig:
        monkeypatch.setattr(house_backup, "_to_copy", and_another)
        assert (await rig.refused("backup-create", {"path": str(tmp_path / "backup")})).kind == "conflict"
    assert (folders(tmp_path), folders(other.parent)) == ({"first", "backup"}, {other.name})


async def test_what_is_restored_has_the_same_head_the_same_datasets_and_the_same_layers(tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    async with running(tmp_path / "first") as rig:
        dataset_id = await worked(rig)
        told = await rig.call("backup-create", {"path": str(backup)})
        jobs, layers = await rig.call("job-list"), await rig.call("layer-list")
        await rig.capture(9)
    made = restored(backup, tmp_path / "second")
    assert made.returncode == 0, made.stderr
    assert f"ends at event {told['position']}" in made.stdout
    async with running(tmp_path / "second") as rig:
        head = rig.journal.head()
        assert (head.position, head.hash) == (told["position"], told["hash"])
        assert (await rig.call("log-verify"))["ok"] is True
        assert [without_position(one) for one in (await rig.call("job-list"), await rig.call("layer-list"))] == [
            without_position(jobs),
            without_position(layers),
        ]
        exported = await rig.call(
            "dataset-export", {"datasetId": dataset_id, "format": "openai_chat", "path": str(tmp_path / "rows.jsonl")}
        )
        assert exported
        assert (await rig.ended(await rig.create_job(dataset_id=dataset_id))).status == "succeeded"


def without_position(answer: Json) -> Json:
    return {name: value for name, value in answer.items() if name != "asOf"}


async def test_a_backup_taken_in_the_middle_of_captures_holds_what_was_acknowledged_before_it(tmp_path: Path) -> None:
    async with running(tmp_path / "first") as rig:
        for n in range(20):
            await rig.capture(n)
        before = rig.journal.head().position
        told: Json = {}
        async with anyio.create_task_group() as tasks:
            for n in range(50):
                tasks.start_soon(rig.capture, 100 + n)
            told = await rig.call("backup-create", {"path": str(tmp_path / "backup")})
    assert told["position"] >= before
    assert restored(tmp_path / "backup", tmp_path / "second").returncode == 0
    async with running(tmp_path / "second") as rig:
        assert (await rig.call("log-verify"))["ok"] is True


async def test_a_spoiled_file_a_missing_one_and_one_that_leads_out_are_all_named_and_nothing_is_made(
    tmp_path: Path,
) -> None:
    backup, second = tmp_path / "backup", tmp_path / "second"
    async with running(tmp_path / "first") as rig:
        await worked(rig)
        await rig.call("backup-create", {"path": str(backup)})
    manifest = msgspec.json.decode((backup / MANIFEST).read_bytes())
    spoiled, missing = [file["path"] for file in manifest["files"] if file["path"].startswith("datasets/")][:2]
    with (backup / spoiled).open("ab") as file:
        file.write(b"x")
    (backup / missing).unlink()
    manifest["files"].append({"path": "../outside", "sizeBytes": 0, "sha256": "0"})
    (backup / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    refused = restored(backup, second)
    assert refused.returncode == 2
    assert all(name in refused.stderr for name in (spoiled, missing, "../outside"))
    assert not second.exists()


async def test_a_damaged_event_in_the_copy_is_found_before_a_daemon_trusts_it(tmp_path: Path) -> None:
    async with running(tmp_path / "first") as rig:
        await rig.captures(3)
        await rig.call("log-backup", {"path": str(tmp_path / "journal.db")})
    content = (tmp_path / "journal.db").read_bytes()
    assert b'"domain":"sums"' in content
    (tmp_path / "journal.db").write_bytes(content.replace(b'"domain":"sums"', b'"domain":"suns"'))
    refused = restored(tmp_path / "journal.db", tmp_path / "second")
    assert (refused.returncode, "damaged" in refused.stderr) == (2, True), refused.stderr
    assert not (tmp_path / "second").exists()


async def test_an_export_is_read_back_with_byte_equal_hashes(tmp_path: Path) -> None:
    async with running(tmp_path / "first") as rig:
        await worked(rig)
        told = await rig.call("log-export", {"path": str(tmp_path / "log.jsonl")})
    assert restored(tmp_path / "log.jsonl", tmp_path / "second").returncode == 0
    async with running(tmp_path / "second", courier=False, triggers=False) as rig:
        assert rig.journal.head().hash == told["hash"]
        await rig.call("log-export", {"path": str(tmp_path / "again.jsonl")})
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "log.jsonl").read_bytes()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "mine").write_text("mine")
    (tmp_path / "nothing").write_text("nothing")
    refused = restored(tmp_path / "nothing", tmp_path / "second")
    assert refused.returncode == 2
    assert "not empty" in refused.stderr
    assert (tmp_path / "second" / "mine").read_text() == "mine"


@pytest.mark.parametrize("content", [None, "no export at all\n", '{"line":"header","format":"x"}\n'])
def test_what_is_no_backup_is_refused_in_a_sentence(tmp_path: Path, content: str | None) -> None:
    source = tmp_path / "source"
    if content is not None:
        source.write_text(content)
    refused = restored(source, tmp_path / "second")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "second").exists()


def test_a_folder_that_a_daemon_owns_is_not_restored_into() -> None:
    with daemon_process() as daemon:
        refused = restored(daemon.folder / "config.toml", daemon.data)
        assert (refused.returncode, "not empty" in refused.stderr) == (2, True)
        assert daemon.call("log-verify")["ok"] is True


async def test_an_existing_folder_is_not_overwritten_and_an_operator_may_not(quiet: Rig, tmp_path: Path) -> None:
    assert (await quiet.refused("backup-create", {"path": str(tmp_path)})).kind == "conflict"
    operator = Caller(actor="uid:7", role=Role.OPERATE)
    refused = await quiet.refused("backup-create", {"path": str(tmp_path / "x")}, caller=operator)
    assert refused.kind == "forbidden"


@pytest.mark.parametrize("odd", ["link", "pipe"])
async def test_what_a_running_worker_put_in_a_files_place_is_passed_over(
    tmp_path: Path, odd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was a plain file when the backup looked, and is none when it is opened."""
    (tmp_path / "secret").write_text("canary-51aa")
    async with running(tmp_path / "d") as rig:
        await worked(rig)
        exchanged = rig.data_dir / "jobs" / "job-x" / "attempt-1" / "worker.log"
        exchanged.parent.mkdir(parents=True)
        exchanged.write_text("plain")
        listed = house_backup._to_copy

        def then_exchanged(data_dir: Path, *, checkpoints: bool) -> Iterator[Path]:
            found = list(listed(data_dir, checkpoints=checkpoints))
            assert exchanged in found
            exchanged.unlink()
            exchanged.symlink_to(tmp_path / "secret") if odd == "link" else os.mkfifo(exchanged)
            yield from found

        monkeypatch.setattr(house_backup, "_to_copy", then_exchanged)
        with anyio.fail_after(PATIENCE_S):
            await rig.call("backup-create", {"path": str(tmp_path / "backup")})
    assert not (tmp_path / "backup" / exchanged.relative_to(tmp_path / "d")).exists()
