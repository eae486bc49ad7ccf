"""A worker that takes too much memory is ended with all that it started, and nobody else is."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import pytest
from tests.adapters.local_bench import (
    JOB,
    STARTED,
    Bench,
    accepted,
    bench_in,
    emptied,
    json_in,
    poll_until,
    step_line,
)
from tests.patience import PATIENCE_S

from genomed.adapters.local import memory_guard, sessions
from genomed.adapters.local.attempt_folder import AttemptFolder
from genomed.adapters.local.memory_guard import SHORTAGE_LOOKS, MemoryGuard
from genomed.adapters.local.sessions import everybody, members, memory_bytes, oom_kills
from genomed.adapters.local.settings import LocalSettings
from genomed.adapters.local.worker_process import Workers
from genomed.entities.errors import ErrorKind
from genomed.entities.ports import Provider, Snapshot
from genomed.entities.types import JobStatus

MIB = 1 << 20
LIMIT = 150 * MIB
V1 = Path("/sys/fs/cgroup/memory")


def is_over(snapshot: Snapshot) -> bool:
    return snapshot.status is JobStatus.FAILED


def session(bench: Bench) -> int:
    return int(json_in(bench.started)["pid"])


def verdict(bench: Bench) -> bool:
    return (bench.attempt.parent / "attempt-1.verdict.json").exists()


async def polls(provider: Provider, count: int) -> list[Snapshot]:
    return [await provider.poll("local-x", job_id=JOB, attempt=1, cursor="") for _ in range(count)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with bench_in(tmp_path, memory_limit_bytes=LIMIT) as bench:
        yield bench


@pytest.fixture
def stranger() -> Iterator["subprocess.Popen[bytes]"]:
    """Somebody else's process that holds more than the limit."""
    hold = f"held = b'x' * {LIMIT}; import time; time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", hold])
    yield process
    process.kill()
    process.wait()


async def test_a_worker_whose_children_take_too_much_is_ended_with_all_of_them(
    bench: Bench, stranger: "subprocess.Popen[bytes]"
) -> None:
    bench.script(STARTED, ("child", 70), ("child", 70), ("hold", 70), ("sleep", 60))
    await accepted(bench, bench.submission())
    leader = session(bench)
    last = (await poll_until(bench.provider(), is_over))[-1]
    assert last.error is not None
    assert (last.error.kind, last.error.retryable) == (ErrorKind.CAPACITY, True)
    assert "memory_limit_bytes allows 0.15 GiB" in last.error.message
    assert "processes" in last.error.message
    assert last.error.remedy is not None
    await emptied(leader)
    assert stranger.poll() is None


async def test_pages_that_children_share_are_counted_once(bench: Bench) -> None:
    bench.script(STARTED, ("hold", 80), ("child", 1), ("child", 1), step_line(1), ("sleep", 60))
    await accepted(bench, bench.submission())
    await poll_until(bench.provider(), lambda each: each.progress is not None)
    found = members(session(bench))
    assert len(found) == 3
    assert 80 * MIB < memory_bytes(found) < LIMIT
    assert {each.status for each in await polls(bench.provider(), 5)} == {JobStatus.RUNNING}
    assert not verdict(bench)


async def test_who_does_not_listen_is_ended_by_force_by_a_later_daemon_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_guard, "KILL_AFTER_TERM_S", 3600)
    bench.script(("deaf", None), STARTED, ("hold", 200), ("sleep", 60))
    await accepted(bench, bench.submission())
    first = bench.provider()
    await poll_until(first, lambda _: verdict(bench))
    assert (await polls(first, 3))[-1].status is JobStatus.RUNNING
    assert members(session(bench))
    bench.ahead_s = 3601
    last = (await poll_until(bench.provider(), is_over))[-1]
    assert last.error is not None
    assert "memory_limit_bytes" in last.error.message


async def test_the_checkpoint_of_a_polite_worker_is_no_pause_that_somebody_asked_for(bench: Bench) -> None:
    bench.script(("polite", None), STARTED, ("hold", 200), ("sleep", 60))
    await accepted(bench, bench.submission())
    last = (await poll_until(bench.provider(), is_over))[-1]
    assert last.error is not None
    assert last.error.kind is ErrorKind.CAPACITY
    assert [each.status for each in await polls(bench.provider(), 1)] == [JobStatus.FAILED]


async def test_a_worker_that_was_cancelled_ends_as_cancelled_whatever_it_held(bench: Bench) -> None:
    bench.script(("deaf", None), STARTED, ("hold", 200), ("sleep", 60))
    await accepted(bench, bench.submission())
    provider = bench.provider()
    await poll_until(provider, lambda _: verdict(bench))
    await provider.cancel("local-x", job_id=JOB, attempt=1)
    bench.ahead_s = 600
    await poll_until(bench.provider(), lambda each: each.status is JobStatus.CANCELLED)


async def test_a_machine_that_stays_short_ends_the_worker_and_a_moment_does_not(bench: Bench) -> None:
    bench.script(STARTED, step_line(1), ("sleep", 60))
    await accepted(bench, bench.submission())
    bench.settings = {**bench.settings, "memory_limit_bytes": None, "memory_reserve_bytes": 1 << 60}
    provider = bench.provider()
    await polls(provider, SHORTAGE_LOOKS - 1)
    assert not verdict(bench)
    last = (await poll_until(provider, is_over))[-1]
    assert last.error is not None
    assert "memory_reserve_bytes" in last.error.message


ALONE_S = 1.0
"""How long a look waits for another one at the same moment; where there is none, it goes on alone."""


class Crossing(Workers):
    """Whoever asks whether the former worker lives meets another who asks it too, and hears that it is gone."""

    def __init__(self, former: AttemptFolder) -> None:
        super().__init__()
        self._former, self._both = former, Barrier(2)

    def alive(self, folder: AttemptFolder) -> bool:
        if folder != self._former:
            return True
        with suppress(BrokenBarrierError):
            self._both.wait(ALONE_S)
        return False


def test_two_workers_that_are_looked_at_in_one_moment_are_not_both_ended_for_one_shortage(tmp_path: Path) -> None:
    former, one, other = (AttemptFolder(tmp_path / name / "attempt-1") for name in ("former", "one", "other"))
    guard = MemoryGuard(Crossing(former), LocalSettings(memory_reserve_bytes=1 << 60))
    for folder, looks in ((former, SHORTAGE_LOOKS), (one, SHORTAGE_LOOKS - 1), (other, SHORTAGE_LOOKS - 1)):
        folder.root.mkdir(parents=True)
        for _ in range(looks):
            guard.look(folder, now_us=0)
    assert former.verdict.exists()
    with ThreadPoolExecutor() as pool:
        for looked in [pool.submit(guard.look, folder, now_us=0) for folder in (one, other)]:
            looked.result(PATIENCE_S)
    assert sorted((one.verdict.exists(), other.verdict.exists())) == [False, True]


async def test_a_worker_killed_by_somebody_else_is_lost_and_not_called_out_of_memory(bench: Bench) -> None:
    bench.script(STARTED, step_line(1), ("sleep", 60))
    provider = bench.provider()
    await provider.submit(bench.submission())
    await poll_until(provider, lambda each: each.progress is not None)
    before = oom_kills()
    os.kill(session(bench), signal.SIGKILL)
    lost = (await poll_until(provider, lambda each: each.worker_lost is not None))[-1].worker_lost
    if oom_kills() != before:
        pytest.skip("the kernel ended something of somebody else's for memory meanwhile")
    assert lost is not None
    assert "killed by SIGKILL, not by us" in lost


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group of 64 MiB, where we may make one (cgroup v1: v2 is delegated to nobody in a plain shell)."""
    group = V1 / f"genomed-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(64 * MIB))
    except OSError as refused:
        pytest.skip(f"no control group can be made here: {refused}")
    yield group
    group.rmdir()


async def test_a_worker_that_the_kernel_ends_for_memory_is_told_as_that(tmp_path: Path, small_group: Path) -> None:
    with bench_in(tmp_path) as bench:
        go = tmp_path / "go"
        bench.script(STARTED, ("look", str(go)), ("hold", 200), ("sleep", 60))
        provider = bench.provider()
        await provider.submit(bench.submission())
        (small_group / "tasks").write_text(str(session(bench)))
        go.touch()
        last = (await poll_until(provider, is_over))[-1]
        assert last.error is not None
        assert last.error.kind is ErrorKind.CAPACITY
        assert "the kernel ended the worker for want of memory" in last.error.message


def test_everybody_is_counted_once_and_we_are_among_them() -> None:
    found = list(everybody())
    assert len({member.pid for member in found}) == len(found)
    ours = next(member for member in found if member.pid == os.getpid())
    assert (ours.session, ours.group) == (os.getsid(0), os.getpgrp())
    assert memory_bytes([ours]) > 5 * MIB


@pytest.mark.parametrize(
    ("options", "hidden"),
    [("rw", False), ("rw,hidepid=invisible", True), ("rw,gid=1,hidepid=2", True), ("rw,hidepid=noaccess", False)],
)
def test_a_proc_that_hides_workers_from_the_guard_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, *, hidden: bool
) -> None:
    mounts = tmp_path / "self" / "mountinfo"
    mounts.parent.mkdir()
    mounts.write_text(f"22 27 0:21 / /sys rw - sysfs sysfs rw\n23 27 0:22 / /proc rw,nosuid - proc proc {options}\n")
    monkeypatch.setattr(sessions, "PROC", tmp_path)
    assert sessions.hides_workers() is hidden
