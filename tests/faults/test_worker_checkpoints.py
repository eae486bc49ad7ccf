"""Checkpoints that were cut, flipped, emptied or robbed: noticed by hash, the one before is used, and it is said."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.adapters.local_bench import LAYER, STARTED, Step, step_line
from tests.fault_record import record_fault
from tests.faults.worker_house import house
from tests.training.conftest import WORKER, Job, make_chat_rows

from genomed.entities.types import JobStatus
from genomed.training.checkpoints import COMMIT, Checkpoint, Run, commit, newest

pytestmark = pytest.mark.fault
RUN = Run("data", "configuration")
FILES = ("adapter_model.safetensors", "optimizer.pt", "trainer_state.json")
Harm = Callable[[Path], None]


def made(root: Path, step: int) -> Path:
    folder = root / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_bytes(f"{name} of step {step}".encode())
    commit(folder, step=step, tokens_seen=10 * step, run=RUN)
    return folder


def look(root: Path) -> tuple[Checkpoint | None, list[str]]:
    rejected: list[str] = []
    found = newest(root, RUN, rejected=lambda path, reason: rejected.append(f"{path.name}: {reason}"))
    return found, rejected


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    held = bytearray(path.read_bytes())
    held[len(held) // 2] ^= 1
    path.write_bytes(held)


def lengthened(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def made_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


HARMS: tuple[Harm, ...] = (cut, emptied, flipped, lengthened, made_a_folder, Path.unlink)


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
@pytest.mark.parametrize("name", [*FILES, COMMIT])
def test_a_spoiled_file_of_the_newest_is_noticed_and_the_one_before_is_used(
    tmp_path: Path, name: str, harm: Harm
) -> None:
    before, newest_one = made(tmp_path, 4), made(tmp_path, 8)
    harm(newest_one / name)
    found, rejected = look(tmp_path)
    assert found is not None
    assert (found.path, found.step, found.tokens_seen) == (before, 4, 40)
    assert len(rejected) == 1
    assert name in rejected[0]
    assert not newest_one.exists()
    said = {"unlink": "deleted", "made_a_folder": "exchanged for a folder"}.get(harm.__name__, harm.__name__)
    record_fault("worker", f"a file of the newest checkpoint {said}", "noticed; goes on from the one before, says so")


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_without_any_sound_checkpoint_there_is_none(tmp_path: Path, harm: Harm) -> None:
    for step, name in ((1, FILES[0]), (2, COMMIT), (3, FILES[1])):
        harm(made(tmp_path, step) / name)
    found, rejected = look(tmp_path)
    assert found is None
    assert len(rejected) == 3


def test_no_flipped_bit_of_a_commit_changes_what_is_gone_on_with(tmp_path: Path) -> None:
    """Either it is rejected, or it says what it said: a flip in the white space, or in the name of the seal."""
    sound = made(tmp_path / "sound", 8)
    held = (sound / COMMIT).read_bytes()
    times = 0
    for at in range(len(held)):
        folder = tmp_path / str(at) / sound.name
        shutil.copytree(sound, folder)
        spoiled = bytearray(held)
        spoiled[at] ^= 1 << at % 7
        (folder / COMMIT).write_bytes(spoiled)
        found, rejected = look(folder.parent)
        assert (found is None) == bool(rejected)
        assert found is None or (found.step, found.tokens_seen) == (8, 80)
        times += 1
    record_fault("worker", "a flipped bit in a checkpoint's commit", "rejected, or without effect", times=times)


def test_a_commit_of_an_older_worker_has_no_seal_and_is_good(tmp_path: Path) -> None:
    folder = made(tmp_path, 8)
    lines = (folder / COMMIT).read_text().splitlines()
    kept = [line for line in lines if '"seal"' not in line]
    kept[-2] = kept[-2].rstrip(",")
    (folder / COMMIT).write_text("\n".join(kept))
    found, rejected = look(tmp_path)
    assert (rejected, found and found.step) == ([], 8)


def resumed(step: int | None) -> Step:
    return ("tell", {**dict_of(STARTED), "resume": True, "resumedFromStep": step})


def dict_of(step: Step) -> dict[str, object]:
    told = step[1]
    assert isinstance(told, dict)
    return told


REJECTED: Step = ("tell", {"type": "checkpoint_rejected", "path": "/c/8", "reason": "x does not match its hash"})
RESULT: Step = ("result", {name: body.hex() for name, body in LAYER.items()})


@pytest.mark.parametrize(
    ("step", "codes"), [(4, ["checkpoint_rejected", "resumed"]), (None, ["checkpoint_rejected", "started_anew"])]
)
async def test_what_became_of_the_checkpoints_is_an_event_of_the_job(
    tmp_path: Path, step: int | None, codes: list[str]
) -> None:
    async with house(tmp_path) as at:
        job_id = await at.job(REJECTED, resumed(step), step_line(5), RESULT)
        job = await at.rig.ended(job_id)
        assert job.status is JobStatus.SUCCEEDED
        assert await at.noted(job_id) == codes
    if step is None:
        record_fault("worker", "all checkpoints spoiled", "starts anew, says so")


@pytest.mark.long
@pytest.mark.long
@pytest.mark.training
def test_a_real_worker_that_finds_only_spoiled_checkpoints_trains_from_its_first_step(tmp_path: Path) -> None:
    model = tmp_path / "tiny"
    build = [sys.executable, str(WORKER), "build-tiny", "--steps", "0", "--size", "mini", "--out", str(model)]
    subprocess.run(build, check=True, capture_output=True)
    job = Job(tmp_path, model)
    rows, wishes = make_chat_rows(8), {"schedule": {"epochs": 5, "batchSize": 1, "checkpoints": 4, "evaluations": 0}}
    worker = job.start(job.spec(rows, **wishes))
    job.wait_for("checkpoint", worker, 2)
    worker.kill()
    worker.wait()
    folders = list(job.checkpoints.glob("checkpoint-*"))
    for folder in folders:
        if (folder / COMMIT).exists():
            cut(folder / "optimizer.pt")
    job.run(job.spec(rows, resume=True, **wishes))
    assert len(job.of("checkpoint_rejected")) == len(folders)
    started = job.of("started")[0]
    assert (started["resume"], started["resumedFromStep"]) == (True, None)
    assert [line["step"] for line in job.of("step")] == list(range(1, 41))
