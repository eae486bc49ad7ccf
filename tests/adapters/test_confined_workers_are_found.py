"""A confined worker, behind whatever stands around it, is found again, steered and ended like any other."""

import json
import os
import signal
import subprocess
import sys

import pytest
from tests.adapters.local_bench import (
    JOB,
    STARTED,
    Bench,
    accepted,
    emptied,
    json_in,
    level_that_works,
    poll_until,
    step_line,
)

from genomed.adapters.local.attempt_folder import AttemptFolder
from genomed.adapters.local.worker_process import Workers, start_ticks
from genomed.entities.types import JobStatus


@pytest.fixture(params=["rlimits", "landlock", "bubblewrap"])
def held(request: pytest.FixtureRequest, bench: Bench) -> Bench:
    level = request.param
    choice = level_that_works(level)
    if choice.level != level:
        pytest.skip("; ".join(choice.missing))
    bench.settings = {**bench.settings, "sandbox": level}
    return bench


async def working(bench: Bench, *script: tuple[str, object]) -> int:
    """The session of a worker that is past its first step."""
    bench.script(*script, STARTED, step_line(1), ("sleep", 60))
    await accepted(bench, bench.submission())
    await poll_until(bench.provider(), lambda each: each.progress is not None)
    return int(json_in(bench.started)["pid"])


async def test_a_polite_signal_reaches_the_worker_and_leaves_it_time(held: Bench) -> None:
    await working(held, ("polite", None))
    assert Workers().signal(AttemptFolder(held.attempt), signal.SIGTERM)
    await poll_until(held.provider(), lambda each: each.status is JobStatus.PAUSED)


async def test_force_ends_everything_that_stands_around_the_worker(held: Bench) -> None:
    session = await working(held, ("deaf", None), ("child", 1))
    provider = held.provider()
    await provider.cancel("local-x", job_id=JOB, attempt=1)
    held.ahead_s = 600
    await poll_until(held.provider(), lambda each: each.status is JobStatus.CANCELLED)
    await emptied(session)


@pytest.mark.parametrize("held", ["bubblewrap"], indirect=True)
async def test_a_worker_whose_keeper_was_killed_lives_on_and_can_still_be_ended(held: Bench) -> None:
    """Bubblewrap's outer process only waits; the lock says that the worker lives, and its session is known."""
    session = await working(held)
    os.kill(session, signal.SIGKILL)
    provider = held.provider()
    for _ in range(3):
        assert (await provider.poll("local-x", job_id=JOB, attempt=1, cursor="")).worker_lost is None
    assert Workers().signal(AttemptFolder(held.attempt), signal.SIGKILL)
    await poll_until(provider, lambda each: each.worker_lost is not None)
    await emptied(session)


async def test_a_worker_that_nobody_wrote_down_is_found_by_what_it_was_started_with(held: Bench) -> None:
    session = await working(held)
    written = held.started.read_bytes()
    held.started.unlink()
    assert Workers().signal(AttemptFolder(held.attempt), signal.SIGKILL)
    await poll_until(held.provider(), lambda each: each.worker_lost is not None)
    await emptied(session)
    held.started.write_bytes(written)  # so that the bench can reap it


@pytest.fixture
def stranger() -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)


async def test_a_worker_that_names_another_process_as_itself_has_it_signalled_by_nobody(
    bench: Bench, stranger: "subprocess.Popen[bytes]"
) -> None:
    await working(bench)
    claim = {"pid": stranger.pid, "startTicks": start_ticks(stranger.pid)}
    (bench.attempt / "worker.json").write_text(json.dumps(claim))
    written = bench.started.read_bytes()
    os.killpg(json.loads(written)["pid"], signal.SIGKILL)
    await poll_until(bench.provider(), lambda each: each.worker_lost is not None)
    bench.started.unlink()
    assert not Workers().signal(AttemptFolder(bench.attempt), signal.SIGKILL)
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()
    bench.started.write_bytes(written)
