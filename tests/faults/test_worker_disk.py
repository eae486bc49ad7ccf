"""The disk is full under a worker: no line is torn, no half checkpoint is used, and the job says what to do."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.adapters.local_bench import bench_in
from tests.fault_record import record_fault
from tests.patience import PATIENCE_S
from tests.training.conftest import WORKER, Job, make_chat_rows

from genomed.adapters.local.progress_file import read_lines
from genomed.entities.ports import Accepted, Deferred
from genomed.training import checkpoints
from genomed.training.checkpoints import COMMIT, Run, commit, newest
from genomed.training.obituary import ROOM

pytestmark = [pytest.mark.fault]
RUN = Run("data", "configuration")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 16 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root, outside a sandbox, can mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, *, leave_bytes: int = 0) -> Path:
    """Somebody else's file takes what is left, but for so much."""
    filler = folder / "others"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while shutil.disk_usage(folder).free > leave_bytes:
            file.write(bytes(4096))
    return filler


TELLS = """
import os, resource, signal, sys
from pathlib import Path
from genomed.training.protocol import Progress
progress = Progress(Path(sys.argv[1]))
for number in range(1, 101):
    progress.tell("step", step=number, text="x" * 50)
sys.stdout.write(f"{os.stat(sys.argv[1]).st_size}\\n")
sys.stdout.flush()
sys.stdin.readline()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
progress.tell("step", step=101)
progress.close()
"""
LIMIT = 3000


def steps(path: Path) -> list[int]:
    return [json.loads(line.data)["step"] for line in read_lines(path, offset=0, limit_bytes=1 << 20).lines]


def test_what_a_full_disk_does_not_take_is_told_later_and_no_line_is_torn(tmp_path: Path) -> None:
    """RLIMIT_FSIZE cuts the write at a byte, as a disk may; the limit is lifted as space is freed."""
    path = tmp_path / "progress.jsonl"
    limited = ["prlimit", f"--fsize={LIMIT}:unlimited", sys.executable, "-c", TELLS, str(path)]
    with subprocess.Popen(limited, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        assert int(worker.stdout.readline()) == LIMIT
        seen = steps(path)
        assert seen == list(range(1, len(seen) + 1))
        assert len(seen) < 100
        worker.stdin.write(b"\n")
        worker.stdin.close()
        assert worker.wait(PATIENCE_S) == 0
    assert steps(path) == list(range(1, 102))
    record_fault("worker", "full disk under its progress file", "goes on; every line is told when there is room")


def test_a_half_checkpoint_gives_its_room_back_and_the_one_before_is_gone_on_from(tmp_path: Path) -> None:
    sound = written(tmp_path, 1)
    commit(sound, step=1, tokens_seen=7, run=RUN)
    half = written(tmp_path, 2)
    checkpoints.sweep(tmp_path)
    assert not half.exists()
    found = newest(tmp_path, RUN, rejected=lambda *_: None)
    assert found is not None
    assert (found.step, found.path) == (1, sound)


def written(root: Path, step: int) -> Path:
    folder = root / f"checkpoint-{step}"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"weights %d" % step)
    return folder


async def test_a_job_waits_for_space_to_be_started_and_then_is(small_disk: Path) -> None:
    with bench_in(small_disk) as bench:
        wish = bench.submission()
        filler = fill(small_disk)
        outcome = await bench.provider().submit(wish)
        assert isinstance(outcome, Deferred)
        assert "disk is full" in outcome.reason
        filler.unlink()
        assert isinstance(await bench.provider().submit(wish), Accepted)
        bench.end_workers()
    record_fault("worker", "full disk at its start", "waits for space, then is started")


@pytest.fixture(scope="module")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("base") / "tiny"
    build = [sys.executable, str(WORKER), "build-tiny", "--steps", "0", "--size", "mini", "--out", str(out)]
    subprocess.run(build, check=True, capture_output=True)
    return out


def size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.long
@pytest.mark.training
def test_a_disk_that_fills_up_in_mid_checkpoint_costs_the_steps_since_the_last(
    small_disk: Path, base_model: Path
) -> None:
    """The real worker: typed failure, room given back, the checkpoint before it whole, and a resume that finishes."""
    job = Job(small_disk, base_model)
    rows = make_chat_rows(8)
    wishes = {"schedule": {"epochs": 5, "batchSize": 1, "checkpoints": 8, "evaluations": 0}}
    with job.held(job.spec(rows, **wishes), "checkpoint") as worker:
        (first,) = job.of("checkpoint")
        filler = fill(small_disk, leave_bytes=size_bytes(Path(str(first["path"]))) // 2)
    assert worker.wait(PATIENCE_S) == 1, job.log()

    (failed,) = job.of("failed")
    assert (failed["kind"], failed["remedy"]) == ("capacity", ROOM), failed
    assert "the disk is full" in str(failed["message"])
    folders = list(job.checkpoints.glob("checkpoint-*"))
    assert folders
    assert all((folder / COMMIT).exists() for folder in folders)
    last = max(int(str(line["step"])) for line in job.of("checkpoint"))

    filler.unlink()
    job.run(job.spec(rows, resume=True, **wishes))
    assert job.of("checkpoint_rejected") == []
    assert job.of("started")[0]["resumedFromStep"] == last
    assert job.of("finished")
    assert (job.result / "adapter_model.safetensors").exists()
    record_fault(
        "worker", "full disk in mid-checkpoint (real training)", "fails as `capacity`; resumes where it was sound"
    )
