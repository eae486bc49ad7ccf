"""A worker that hangs is told as stalled, ended in the end, and replaced; one that only looks so is left alone."""

import signal
from collections.abc import Iterator
from os import kill, utime
from pathlib import Path
from time import time

import pytest
from tests.adapters.local_bench import (
    JOB,
    STARTED,
    Bench,
    Step,
    accepted,
    bench_in,
    emptied,
    json_in,
    poll_until,
    step_line,
)
from tests.fault_record import record_fault
from tests.faults.worker_house import house

from genomed.adapters.local import memory_guard
from genomed.adapters.local.hangs import LONGEST_LOOK_S
from genomed.entities.decisions import MAX_AUTOMATIC_RESUMES
from genomed.entities.ports import Provider, Snapshot
from genomed.entities.types import JobPhase, JobStatus

pytestmark = pytest.mark.fault
CHECKPOINT: Step = ("tell", {"type": "checkpoint", "step": 1, "path": "/c/checkpoint-1", "sha256": "ab"})


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with bench_in(tmp_path, stall_after_s=100, hang_after_s=60, idle_after_s=1000) as made:
        yield made


async def at_work(bench: Bench, *script: Step) -> Provider:
    """A worker that has beaten once and taken its first step."""
    bench.script(*script, STARTED, ("beat", None), step_line(1), ("sleep", 60))
    await accepted(bench, bench.submission())
    provider = bench.provider()
    await poll_until(provider, lambda each: each.progress is not None)
    return provider


async def look(bench: Bench, provider: Provider, *, after_s: float) -> Snapshot:
    bench.ahead_s += after_s
    return await provider.poll("local-x", job_id=JOB, attempt=1, cursor="")


async def looks(bench: Bench, provider: Provider, *, count: int, beat: bool = False) -> Snapshot:
    """So many looks, each as far from the last as one look counts."""
    seen = await look(bench, provider, after_s=0)
    for _ in range(count):
        if beat:
            touch(bench, "heartbeat")
        seen = await look(bench, provider, after_s=LONGEST_LOOK_S)
    return seen


def touch(bench: Bench, name: str) -> None:
    """As the worker would at the moment that the bench's clock shows."""
    now_s = time() + bench.ahead_s
    utime(bench.attempt / name, (now_s, now_s))


async def test_a_stopped_worker_is_stalled_then_ended_then_lost(bench: Bench) -> None:
    provider = await at_work(bench)
    session = int(json_in(bench.started)["pid"])
    kill(session, signal.SIGSTOP)
    stalled = await look(bench, provider, after_s=110)
    assert (stalled.status, stalled.phase) == (JobStatus.RUNNING, JobPhase.STALLED)
    await looks(bench, provider, count=6)
    bench.ahead_s += 20
    seen = await poll_until(provider, lambda each: each.worker_lost is not None)
    lost = seen[-1].worker_lost
    assert lost is not None
    assert "no sign of life" in lost
    assert "hang_after_s" in lost
    await emptied(session)
    record_fault("worker", "stopped by SIGSTOP", "told as stalled, ended after `hang_after_s`, replaced")


async def test_a_stopped_worker_that_is_let_go_on_pauses_and_loses_no_step(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_guard, "KILL_AFTER_TERM_S", 3600)
    provider = await at_work(bench, ("polite", None))
    kill(int(json_in(bench.started)["pid"]), signal.SIGSTOP)
    await look(bench, provider, after_s=110)
    await looks(bench, provider, count=6)
    last = (await poll_until(provider, lambda each: each.worker_lost is not None))[-1]
    assert last.provider_status == "paused"
    assert last.error is None


async def test_a_worker_that_beats_and_gets_nowhere_is_stalled_and_ended(bench: Bench) -> None:
    """Its heart is a thread of its own: a loop in a step leaves it beating."""
    provider = await at_work(bench)
    seen = await looks(bench, provider, count=90, beat=True)
    assert seen.phase is not JobPhase.STALLED
    seen = await looks(bench, provider, count=12, beat=True)
    assert seen.phase is JobPhase.STALLED
    assert seen.message is not None
    assert "has got nowhere" in seen.message
    await looks(bench, provider, count=7, beat=True)
    bench.ahead_s += 20
    lost = (await poll_until(provider, lambda each: each.worker_lost is not None))[-1].worker_lost
    assert "has got nowhere" in str(lost)
    record_fault("worker", "stuck in a loop, its heart beating", "told as stalled after `idle_after_s`, then replaced")


async def test_a_machine_that_slept_or_a_clock_that_jumped_ends_nobody(bench: Bench) -> None:
    provider = await at_work(bench)
    for _ in range(5):
        assert (await look(bench, provider, after_s=90_000)).phase is JobPhase.STALLED
    assert not verdict(bench)
    touch(bench, "heartbeat")
    touch(bench, "progress.jsonl")
    assert (await look(bench, provider, after_s=1)).phase is not JobPhase.STALLED
    record_fault("worker", "a machine that sleeps for days under it", "goes on", times=5)


def verdict(bench: Bench) -> bool:
    return (bench.attempt.parent / "attempt-1.verdict.json").exists()


async def test_without_a_limit_a_stalled_worker_is_never_ended(tmp_path: Path) -> None:
    with bench_in(tmp_path, stall_after_s=100, hang_after_s=0) as bench:
        provider = await at_work(bench)
        await look(bench, provider, after_s=110)
        assert (await looks(bench, provider, count=50)).phase is JobPhase.STALLED
        assert not verdict(bench)


async def test_a_later_daemon_ends_what_an_earlier_one_had_given_up(bench: Bench) -> None:
    provider = await at_work(bench, ("deaf", None))
    await look(bench, provider, after_s=110)
    await looks(bench, provider, count=6)
    assert verdict(bench)
    bench.ahead_s += 20
    last = (await poll_until(bench.provider(), lambda each: each.worker_lost is not None))[-1]
    assert "hang_after_s" in str(last.worker_lost)


async def test_a_job_whose_workers_all_hang_is_resumed_a_few_times_and_then_fails(tmp_path: Path) -> None:
    limits = {"stall_after_s": 0.2, "hang_after_s": 0.2, "poll_s": 0.05}
    async with house(tmp_path, **limits) as at:
        job_id = await at.job(STARTED, ("beat", None), step_line(1), CHECKPOINT, ("strike", signal.SIGSTOP), ("die", 1))
        job = await at.rig.ended(job_id)
        assert job.status is JobStatus.FAILED
        assert len(job.attempts) == MAX_AUTOMATIC_RESUMES + 1
        assert job.error is not None
        assert "hang_after_s" in job.error.message
        told = await at.rig.types(f"job/{job_id}")
        assert told.count("job.worker_lost") == MAX_AUTOMATIC_RESUMES + 1
    record_fault("worker", "hangs in every attempt", "resumed three times, then failed with the reason")
