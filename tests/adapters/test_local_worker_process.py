"""Workers outlive daemons, start once, and are never mistaken for another process."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest
from tests.adapters.local_bench import JOB, STARTED, Bench, accepted, poll_until, step_line
from tests.gate import Gate
from tests.patience import PATIENCE_S

from genomed.adapters.local import worker_process
from genomed.adapters.local.attempt_folder import AttemptFolder
from genomed.adapters.local.worker_process import (
    Identity,
    Start,
    Started,
    Workers,
    as_child,
    is_running,
    start_ticks,
    worker_environment,
)
from genomed.entities.ports import Absent, Accepted, Deferred, Found, Rejected
from genomed.entities.types import JobPhase, JobStatus

pytestmark = pytest.mark.usefixtures("no_blocking")


async def test_submitting_twice_starts_one_worker(bench: Bench) -> None:
    bench.script(STARTED, ("obey", None))
    first, provider = bench.submission(), bench.provider()
    assert await provider.submit(first) == Accepted(provider_job_id=f"local-{first.key}")
    started = bench.started.read_bytes()
    assert await provider.submit(first) == Accepted(provider_job_id=f"local-{first.key}", adopted=True)
    assert await bench.provider().submit(first) == Accepted(provider_job_id=f"local-{first.key}", adopted=True)
    assert bench.started.read_bytes() == started


async def test_two_submissions_at_the_same_moment_start_one_worker(bench: Bench) -> None:
    bench.script(STARTED, ("obey", None))
    provider, submission, answers = bench.provider(), bench.submission(), []

    async def submit() -> None:
        answers.append(await provider.submit(submission))

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(submit)
    assert sorted(answer.adopted for answer in answers if isinstance(answer, Accepted)) == [False, True, True, True]


async def test_a_worker_that_has_said_nothing_yet_is_known_to_a_new_daemon(bench: Bench) -> None:
    """The daemon died between the start of the process and writing down whom it started."""
    bench.script(("silent", None), ("sleep", 60))
    submission = bench.submission()
    await bench.provider().submit(submission)
    started = bench.started.read_bytes()
    bench.started.unlink()
    newcomer = bench.provider()
    assert isinstance(await newcomer.find(submission.key, job_id=JOB, intended_us=0), Found)
    assert await newcomer.submit(submission) == Accepted(provider_job_id=f"local-{submission.key}", adopted=True)
    bench.started.write_bytes(started)  # so that the test can end it


async def test_a_folder_whose_worker_was_never_started_is_absent_and_can_be_started(bench: Bench) -> None:
    submission = bench.submission()
    await bench.provider().submit(submission)
    await poll_until(bench.provider(), lambda snapshot: snapshot.status is JobStatus.SUCCEEDED)
    for path in (*bench.attempt.iterdir(), *bench.attempt.parent.iterdir()):
        if path.is_file() and path.name != "spec.json":
            path.unlink()
    assert await bench.provider().find(submission.key, job_id=JOB, intended_us=0) == Absent()
    assert await bench.provider().submit(submission) == Accepted(provider_job_id=f"local-{submission.key}")


async def test_an_unknown_key_is_absent(bench: Bench) -> None:
    await bench.provider().submit(bench.submission())
    assert await bench.provider().find("gn0000000000000000", job_id=JOB, intended_us=0) == Absent()
    assert await bench.provider().find(bench.submission().key, job_id="job-of-somebody-else", intended_us=0) == Absent()


async def test_a_worker_that_dies_silently_is_lost_with_the_end_of_its_log(bench: Bench) -> None:
    bench.script(("print", "\n".join(f"line {n}" for n in range(50))), ("die", 3))
    await bench.provider().submit(bench.submission())
    lost = (await poll_until(bench.provider(), lambda snapshot: snapshot.worker_lost is not None))[-1].worker_lost
    assert lost is not None
    assert "line 49" in lost
    assert "line 29" not in lost
    assert "before it said anything" in lost


async def test_a_worker_killed_in_the_middle_is_lost_after_its_last_words_are_read(bench: Bench) -> None:
    bench.script(STARTED, step_line(1), ("sleep", 60))
    provider = bench.provider()
    await provider.submit(bench.submission())
    seen = await poll_until(provider, lambda snapshot: snapshot.progress is not None)
    identity = json.loads((bench.attempt / "worker.json").read_bytes())
    os.kill(identity["pid"], signal.SIGKILL)
    again = await poll_until(provider, lambda snapshot: snapshot.worker_lost is not None)  # from the first byte
    assert [point.step for snapshot in again for point in snapshot.points if point.name == "loss"] == [1]
    assert seen[-1].worker_lost is None


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    while start_ticks(child.pid) is not None:  # it ends by itself; nobody has reaped it
        time.sleep(0.01)
    assert os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT) is not None
    assert not is_running(Identity(pid=child.pid, start_ticks=1))
    child.wait()


def test_another_process_with_the_same_id_is_not_signalled(bench: Bench) -> None:
    bench.attempt.mkdir(parents=True)
    impostor = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    ticks = start_ticks(impostor.pid)
    assert ticks is not None
    bench.started.write_text(json.dumps({"pid": impostor.pid, "startTicks": ticks - 1}))
    workers, folder = Workers(), AttemptFolder(bench.attempt)
    assert not workers.alive(folder)
    assert not workers.signal(folder, signal.SIGKILL)
    assert impostor.poll() is None
    impostor.kill()
    impostor.wait()


async def test_pause_and_cancel_reach_the_worker(bench: Bench) -> None:
    stopped = {JobStatus.PAUSED, JobStatus.CANCELLED}
    for attempt, (verb, status) in enumerate([("pause", JobStatus.PAUSED), ("cancel", JobStatus.CANCELLED)], start=1):
        bench.script(STARTED, ("obey", None))
        provider = bench.provider()
        await accepted(bench, bench.submission(attempt))
        await getattr(provider, verb)("local-x", job_id=JOB, attempt=attempt)
        last = (await poll_until(provider, lambda snapshot: snapshot.status in stopped, attempt=attempt))[-1]
        assert last.status is status


async def test_a_cancel_outlasts_a_pause_and_keeps_its_first_time(bench: Bench) -> None:
    bench.script(STARTED, ("sleep", 60))
    provider = bench.provider()
    await provider.submit(bench.submission())
    await provider.pause("local-x", job_id=JOB, attempt=1)
    await provider.cancel("local-x", job_id=JOB, attempt=1)
    written = (bench.attempt / "control.json").stat().st_mtime_ns
    await provider.cancel("local-x", job_id=JOB, attempt=1)
    await provider.pause("local-x", job_id=JOB, attempt=1)
    assert json.loads((bench.attempt / "control.json").read_bytes()) == {"want": "cancel"}
    assert (bench.attempt / "control.json").stat().st_mtime_ns == written


async def test_a_cancelled_worker_that_does_not_stop_is_stopped_by_force(bench: Bench) -> None:
    bench.script(STARTED, ("deaf", None), step_line(1), ("sleep", 60))
    provider = bench.provider()
    await provider.submit(bench.submission())
    seen = await poll_until(provider, lambda snapshot: snapshot.progress is not None)
    await provider.cancel("local-x", job_id=JOB, attempt=1)
    polled = await provider.poll("local-x", job_id=JOB, attempt=1, cursor=seen[-1].cursor)
    assert (polled.status, polled.phase) == (JobStatus.RUNNING, JobPhase.CANCELLING)
    bench.ahead_s = 61  # after the grace: SIGTERM, to which this worker is deaf
    polled = await provider.poll("local-x", job_id=JOB, attempt=1, cursor=seen[-1].cursor)
    assert polled.status is JobStatus.RUNNING
    bench.ahead_s = 75  # and after that SIGKILL
    last = (await poll_until(provider, lambda s: s.status is not JobStatus.RUNNING, cursor=seen[-1].cursor))[-1]
    assert last.status is JobStatus.CANCELLED
    assert last.worker_lost is None


async def test_cancelling_a_dead_worker_or_none_at_all_is_harmless(bench: Bench) -> None:
    provider = bench.provider()
    await provider.cancel("local-x", job_id=JOB, attempt=1)
    assert not bench.attempt.exists()
    bench.script(("die", 1))
    await provider.submit(bench.submission())
    await poll_until(provider, lambda snapshot: snapshot.worker_lost is not None)
    await provider.cancel("local-x", job_id=JOB, attempt=1)
    polled = await provider.poll("local-x", job_id=JOB, attempt=1, cursor="")
    assert polled.status is JobStatus.CANCELLED


async def test_a_worker_without_heartbeat_is_stalled_but_not_lost(bench: Bench) -> None:
    bench.script(STARTED, ("beat", None), step_line(1), ("sleep", 60))
    provider = bench.provider()
    await provider.submit(bench.submission())
    seen = await poll_until(provider, lambda snapshot: snapshot.progress is not None)
    assert seen[-1].phase is not JobPhase.STALLED
    bench.ahead_s = 200
    polled = await provider.poll("local-x", job_id=JOB, attempt=1, cursor=seen[-1].cursor)
    assert (polled.status, polled.phase, polled.worker_lost) == (JobStatus.RUNNING, JobPhase.STALLED, None)
    assert polled.message is not None
    assert "sign of life" in polled.message


async def test_no_attempt_starts_while_another_of_its_job_runs(bench: Bench) -> None:
    bench.script(STARTED, ("obey", None))
    provider = bench.provider()
    await provider.submit(bench.submission())
    answer = await bench.provider().submit(bench.submission(2, resume=True))
    assert isinstance(answer, Deferred)
    assert "attempt-1" in answer.reason
    await provider.pause("local-x", job_id=JOB, attempt=1)
    await accepted(bench, bench.submission(2, resume=True))


async def test_an_interpreter_that_does_not_exist_is_a_final_no(bench: Bench) -> None:
    bench.settings["python"] = "/nowhere/python"
    answer = await bench.provider().submit(bench.submission())
    assert isinstance(answer, Rejected)
    assert "/nowhere/python" in answer.error.message
    assert not answer.error.retryable


async def test_too_little_memory_now_defers_with_numbers(bench: Bench) -> None:
    bench.settings["memory_reserve_bytes"] = 1 << 50
    answer = await bench.provider().submit(bench.submission())
    assert isinstance(answer, Deferred)
    assert "GiB" in answer.reason
    assert answer.retry_after_s
    assert not (bench.attempt / "spec.json").exists()


def test_no_key_of_a_provider_reaches_a_worker() -> None:
    ours = {"PATH": "/bin", "OPENAI_API_KEY": "s", "HF_TOKEN": "s", "LC_ALL": "C", "CUDA_VISIBLE_DEVICES": "0"}
    given = worker_environment(ours, allow_hub=False)
    assert {"PATH", "LC_ALL", "CUDA_VISIBLE_DEVICES"} <= given.keys()
    assert "s" not in given.values()
    assert given["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in worker_environment(ours, allow_hub=True)


def test_start_ticks_of_this_process_are_stable() -> None:
    first = start_ticks(os.getpid())
    time.sleep(0.02)
    assert first is not None
    assert start_ticks(os.getpid()) == first
    assert start_ticks(2**22 + 1) is None


def test_a_worker_that_ends_at_once_keeps_its_number_until_that_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, other = (AttemptFolder(tmp_path / name / "attempt-1") for name in ("short", "other"))
    short.root.mkdir(parents=True)
    workers, asked = Workers(), list[int]()

    def while_others_are_looked_at(pid: int) -> int | None:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert not workers.alive(other)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # an error where it was reaped: its number is free then
        asked.append(pid)
        return start_ticks(pid)

    monkeypatch.setattr(worker_process, "start_ticks", while_others_are_looked_at)
    assert workers.start(short, [sys.executable, "-c", ""], {})
    assert len(asked) == 1
    assert workers.code(short) == 0


def test_a_start_that_takes_its_time_keeps_nobody_from_looking_at_another_worker(tmp_path: Path) -> None:
    slow, other = (AttemptFolder(tmp_path / name / "attempt-1") for name in ("slow", "other"))
    slow.root.mkdir(parents=True)
    gate = Gate()

    def taking_its_time(start: Start) -> Started:
        """As one that waits for a warm worker or a service manager does."""
        gate.pass_through()
        return as_child(start)

    workers = Workers(taking_its_time)
    with ThreadPoolExecutor() as pool:
        started = pool.submit(workers.start, slow, [sys.executable, "-c", ""], {})
        assert gate.reached.wait(PATIENCE_S)
        assert (workers.alive(other), workers.was_started(other), workers.code(other)) == (False, False, None)
        asked_about_itself = pool.submit(workers.was_started, slow)
        gate.open()
        assert started.result(PATIENCE_S)
        assert asked_about_itself.result(PATIENCE_S)
    workers.end(slow)
    assert workers.code(slow) == 0
