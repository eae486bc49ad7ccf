"""A worker whose daemon is gone: it trains to its end, its result waits, and without a home it ends itself."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.adapters.local_bench import (
    FULL_RUN,
    JOB,
    LAYER,
    STAND_IN,
    STARTED,
    Bench,
    accepted,
    bench_in,
    exists,
    make_model,
    poll_until,
    step_line,
)
from tests.daemon.daemon_process import DaemonProcess, daemon_process
from tests.fault_record import record_fault
from tests.faults.worker_house import delete
from tests.patience import PATIENCE_S

from genomed.adapters.local.attempt_folder import AttemptFolder
from genomed.adapters.local.worker_process import Workers
from genomed.entities.ports import LayerRequest
from genomed.entities.types import JobStatus
from genomed.training.protocol import GONE_CODE

pytestmark = pytest.mark.fault
DAYS_S = 30 * 86_400.0


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with bench_in(tmp_path) as made:
        yield made


def wait_until(true: Callable[[], bool]) -> None:
    """A file of another process wakes nobody; the bound is generous."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def test_what_an_orphan_left_is_picked_up_a_month_later_by_another_daemon(bench: Bench, tmp_path: Path) -> None:
    """Nobody reads what it prints, meanwhile, nor what it tells: both are files, so it waits for nobody."""
    steps = [step_line(number) for number in range(1, 400)]
    bench.script(STARTED, ("print", "x" * 300_000), *steps, FULL_RUN[-1])
    await accepted(bench, bench.submission())
    folder = AttemptFolder(bench.attempt)
    wait_until(lambda: (bench.attempt / "result").exists() and not Workers().alive(folder))
    bench.ahead_s = DAYS_S
    daemon = bench.provider()
    seen = await poll_until(daemon, lambda each: each.artifact is not None)
    assert [point.step for each in seen for point in each.points if point.name == "loss"] == list(range(1, 400))
    assert seen[-1].artifact is not None
    request = LayerRequest(layer_id="layer-1", destination=str(tmp_path / "layers" / "layer-1"), lineage={})
    layer = await daemon.publish(request, artifact=seen[-1].artifact, job_id=JOB, attempt=1)
    assert all(exists(f"{layer.path}/{name}") for name in LAYER)
    record_fault("worker", "a daemon that comes back a month later", "the finished result is published")


async def test_an_orphan_that_died_halfway_is_lost_and_not_waited_for(bench: Bench) -> None:
    bench.script(STARTED, step_line(1), ("die", 3))
    await accepted(bench, bench.submission())
    wait_until(lambda: not Workers().alive(AttemptFolder(bench.attempt)))
    bench.ahead_s = DAYS_S
    last = (await poll_until(bench.provider(), lambda each: each.worker_lost is not None))[-1]
    assert last.worker_lost is not None
    assert last.phase is not None


async def test_a_wish_of_a_daemon_that_died_is_obeyed_without_it(bench: Bench) -> None:
    """A pause is a checkpoint and an end: no worker waits, paused, for a daemon that may never come."""
    bench.script(STARTED, step_line(1), ("obey", None))
    daemon = bench.provider()
    await accepted(bench, bench.submission())
    await daemon.pause("local-x", job_id=JOB, attempt=1)
    wait_until(lambda: not Workers().alive(AttemptFolder(bench.attempt)))
    bench.ahead_s = DAYS_S
    assert (await poll_until(bench.provider(), lambda each: each.status is JobStatus.PAUSED))[-1].worker_lost is None
    record_fault("worker", "paused by a daemon that then died", "it has ended; the job is paused when a daemon is back")


CONFIGURATION = f"""
[providers.local]
worker = "{STAND_IN}"
sandbox = "none"
memory_reserve_bytes = 0
poll_s = 0.05
"""


@pytest.fixture
def daemon() -> Iterator[DaemonProcess]:
    with daemon_process(configuration=CONFIGURATION) as running:
        yield running


def test_a_worker_outlives_a_daemon_killed_by_force_and_its_result_is_published_once(daemon: DaemonProcess) -> None:
    go = daemon.folder / "go"
    model = make_model(daemon.folder / "model", (STARTED, step_line(1), ("look", str(go)), *FULL_RUN[1:]))
    rows = daemon.folder / "rows.jsonl"
    turn = '{"messages":[{"role":"user","content":"q%d"},{"role":"assistant","content":"a%d"}]}\n'
    rows.write_text("".join(turn % (number, number) for number in range(20)))
    imported = daemon.call("dataset-import", {"personaId": "ada", "path": str(rows), "evalShare": 0.3})
    configuration = {
        "model": {"baseModel": str(model)},
        "datasets": {"trainingFileId": imported["datasetId"]},
        "method": {"type": "lora"},
    }
    wish = {"personaId": "ada", "provider": "local", "domain": "sums", "configuration": configuration}
    job_id = str(daemon.call("job-create", wish)["jobId"])
    root = daemon.data / "jobs" / job_id / "attempt-1"
    wait_until((root / "progress.jsonl").exists)
    daemon.kill()
    go.touch()
    wait_until(lambda: not Workers().alive(AttemptFolder(root)))
    daemon.start()
    job = daemon.wait_for_end(job_id)
    assert (job["status"], job["attempt"]) == ("succeeded", 1)
    assert len(daemon.call("layer-list")["layers"]) == 1
    record_fault("worker", "its daemon killed by SIGKILL", "trains to its end; the result is published once")


ALIVE = """
import sys, threading
from pathlib import Path
from genomed.training.protocol import Heartbeat, Progress
folder = Path(sys.argv[1])
progress = Progress(folder / "progress.jsonl")
with Heartbeat(folder / "heartbeat", progress=progress, pulse_s=float(sys.argv[2])):
    progress.tell("phase", phase="training")
    while not (folder.parent / "end").exists():
        threading.Event().wait(0.01)
    progress.tell("phase", phase="saving")
    progress.close()
"""
"""A worker's own heart over its own files, and nothing of an engine."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "attempt-1"
    folder.mkdir()
    return folder


def begin(home: Path, pulse_s: float) -> "subprocess.Popen[bytes]":
    worker = subprocess.Popen([sys.executable, "-c", ALIVE, str(home), str(pulse_s)], stderr=subprocess.PIPE)
    wait_until((home / "heartbeat").exists)
    return worker


def ended(worker: "subprocess.Popen[bytes]") -> tuple[int, str]:
    _, said = worker.communicate(timeout=PATIENCE_S)
    return worker.returncode, said.decode()


def test_a_worker_whose_folder_was_deleted_ends_itself(home: Path) -> None:
    worker = begin(home, 0.01)
    delete(home)
    code, said = ended(worker)
    assert code == GONE_CODE, said
    assert "gone" in said
    assert not home.exists()
    record_fault("worker", "its folder deleted", "ends itself")


def test_a_worker_whose_folder_was_exchanged_for_a_copy_ends_and_leaves_the_copy_alone(home: Path) -> None:
    worker = begin(home, 0.01)
    shutil.copytree(home, home.with_name("copy"))
    home.rename(home.with_name("was"))
    home.with_name("copy").rename(home)
    before = {path.name: path.stat().st_mtime_ns for path in home.iterdir()}
    assert ended(worker)[0] == GONE_CODE
    assert {path.name: path.stat().st_mtime_ns for path in home.iterdir()} == before
    record_fault("worker", "its folder put back from a copy", "ends itself, touches nothing of the copy")


def test_a_folder_that_is_away_for_a_moment_ends_nobody(home: Path) -> None:
    worker = begin(home, 1.0)
    home.rename(home.with_name("away"))
    home.with_name("away").rename(home)
    (home.parent / "end").touch()
    assert ended(worker)[0] == 0


def test_a_progress_file_that_was_taken_away_is_made_again(home: Path) -> None:
    worker = begin(home, 0.01)
    (home / "progress.jsonl").unlink()
    wait_until((home / "progress.jsonl").exists)
    (home.parent / "end").touch()
    assert ended(worker)[0] == 0
    assert b"saving" in (home / "progress.jsonl").read_bytes()
    record_fault("worker", "its progress file deleted", "made again; what is told next is read")
