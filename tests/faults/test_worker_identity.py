"""Whose worker is whose: by lock and start time, also where folders are copied and numbers are used again."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.adapters.local_bench import JOB, STARTED, Bench, accepted, bench_in, json_in, poll_until, step_line
from tests.fault_record import record_fault

from genomed.adapters.local.attempt_folder import AttemptFolder
from genomed.adapters.local.worker_process import Workers, session_of, start_ticks
from genomed.entities.ports import Provider
from genomed.entities.types import JobStatus

pytestmark = pytest.mark.fault


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Bench, Bench]]:
    """Two daemons with a data folder each, on one machine."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    with bench_in(tmp_path / "one", memory_limit_bytes=1 << 40) as one, bench_in(tmp_path / "other") as other:
        yield one, other


async def working(bench: Bench) -> Provider:
    bench.script(STARTED, step_line(1), ("sleep", 60))
    await accepted(bench, bench.submission())
    provider = bench.provider()
    await poll_until(provider, lambda each: each.progress is not None)
    return provider


def lives(bench: Bench) -> bool:
    record = json_in(bench.started)
    return start_ticks(int(record["pid"])) == int(record["startTicks"])


async def test_a_daemon_ends_its_own_worker_and_nobody_elses(two: tuple[Bench, Bench]) -> None:
    one, other = two
    provider = await working(one)
    await working(other)
    await provider.cancel("local-x", job_id=JOB, attempt=1)
    one.ahead_s = 600
    await poll_until(provider, lambda each: each.status is JobStatus.CANCELLED)
    assert not lives(one)
    assert lives(other)
    record_fault("worker", "two daemons' workers on one machine", "each ends its own alone")


async def test_a_copy_of_a_data_folder_claims_no_worker_of_the_original(two: tuple[Bench, Bench]) -> None:
    """A backup put back elsewhere, while the original's worker lives: same job, same record, same process id."""
    one, other = two
    original = await working(one)
    shutil.copytree(one.root / "jobs", other.root / "jobs")
    copy = other.provider()
    assert session_of(AttemptFolder(other.attempt)) is None
    await copy.cancel("local-x", job_id=JOB, attempt=1)
    other.ahead_s = 600
    seen = await copy.poll("local-x", job_id=JOB, attempt=1, cursor="")
    assert seen.status is JobStatus.CANCELLED
    assert lives(one)
    assert (await original.poll("local-x", job_id=JOB, attempt=1, cursor="")).status is JobStatus.RUNNING
    other.attempt.with_name("attempt-1.wish.json").unlink()
    seen = await other.provider().poll("local-x", job_id=JOB, attempt=1, cursor="")
    assert seen.worker_lost is not None
    record_fault(
        "worker", "a data folder that was copied under a running worker", "the copy resumes, the original goes on"
    )


async def test_a_data_folder_that_was_moved_keeps_its_worker(two: tuple[Bench, Bench]) -> None:
    one, other = two
    await working(one)
    (one.root / "jobs").rename(other.root / "jobs")
    try:
        seen = await other.provider().poll("local-x", job_id=JOB, attempt=1, cursor="")
        assert (seen.status, seen.worker_lost) == (JobStatus.RUNNING, None)
    finally:
        (other.root / "jobs").rename(one.root / "jobs")


@pytest.mark.parametrize("off", [-1, 1, 100_000])
def test_a_process_that_has_the_number_again_is_neither_ours_nor_signalled(tmp_path: Path, off: int) -> None:
    folder = AttemptFolder(tmp_path / "attempt-1")
    folder.root.mkdir()
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        ticks = start_ticks(stranger.pid)
        assert ticks is not None
        for path in (folder.started, folder.worker):
            path.write_text(json.dumps({"pid": stranger.pid, "startTicks": ticks + off}))
        workers = Workers()
        assert not workers.alive(folder)
        assert not workers.signal(folder, signal.SIGKILL)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
    record_fault("worker", "a process id that was given to somebody else", "nobody is signalled")


@pytest.mark.parametrize("held", [b"", b"{", b"\xff\x00", b"[]", b'{"pid":"x"}'])
async def test_a_spoiled_record_of_whom_we_started_costs_no_worker(two: tuple[Bench, Bench], held: bytes) -> None:
    """Its lock says that it lives, its command line whose it is."""
    bench, _ = two
    await working(bench)
    record = bench.started.read_bytes()
    try:
        bench.started.write_bytes(held)
        later = bench.provider()
        assert (await later.poll("local-x", job_id=JOB, attempt=1, cursor="")).worker_lost is None
        assert session_of(AttemptFolder(bench.attempt)) == json.loads(record)["pid"]
    finally:
        bench.started.write_bytes(record)
    record_fault("worker", "a spoiled record of the started worker", "found by its lock and command line")
