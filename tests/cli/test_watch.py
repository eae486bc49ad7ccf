"""Watching a job: from its first event to its end, over restarts of the daemon, and without touching the job."""

import codecs
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any

import msgspec
import pytest
from tests.cli.conftest import Genome
from tests.client.small_daemon import SmallDaemon
from tests.patience import PATIENCE_S

from genomed.cli.failures import ExitCode, Unreachable
from genomed.cli.parsing import Globals
from genomed.cli.transport import Wire
from genomed.cli.watch import watch
from genomed.entities.errors import ErrorBody, ErrorKind, NotFound
from genomed.entities.events import (
    JobCancelled,
    JobEvent,
    JobFailed,
    JobPaused,
    JobSucceeded,
    ProgressReported,
    RetryRequested,
)
from genomed.entities.facts import Progress
from genomed.entities.wire import Frame, Reply

JOB = "job-01jd0000000000000000000000"
STREAM = f"job/{JOB}"
FAILED = JobFailed(attempt=1, error=ErrorBody(kind=ErrorKind.TRAINING_FAILED, message="out of luck", retryable=False))
CANCELLED = JobCancelled(attempt=1, reason="asked for")
RETRIED = RetryRequested(reason="again")
SUCCEEDED = JobSucceeded(attempt=2, layer_id="layer-1", adopted=True)


def moved(step: int) -> ProgressReported:
    return ProgressReported(
        attempt=1, progress=Progress(step=step, total_steps=40, loss=2.0 - step / 40, tokens_per_s=99.0)
    )


@pytest.fixture
def job(daemon: SmallDaemon) -> SmallDaemon:
    daemon.answers["job-status"] = lambda _: {"status": "running"}
    daemon.answers["job-metrics"] = lambda _: {"series": {}}
    return daemon


def later(*steps: Callable[[], None], pause_s: float = 0.2) -> threading.Thread:
    def run() -> None:
        for step in steps:
            time.sleep(pause_s)
            step()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([moved(1), SUCCEEDED], 0),
        ([moved(1), FAILED], 1),
        ([CANCELLED], 1),
        ([FAILED, RETRIED, SUCCEEDED], 0),
        ([CANCELLED, RETRIED, moved(2), FAILED], 1),
    ],
)
def test_the_exit_code_of_a_watch_is_the_last_outcome_of_the_job(
    genome: Genome, job: SmallDaemon, events: list[JobEvent], code: int
) -> None:
    job.append(STREAM, *events)
    ran = genome("job", "watch", JOB)
    assert ran.code == code
    assert len(ran.out.splitlines()) == len(events)


def test_an_ending_that_a_retry_undid_is_not_taken_for_the_end(genome: Genome, job: SmallDaemon) -> None:
    job.append(STREAM, FAILED, RETRIED)
    feeder = later(lambda: job.append(STREAM, moved(3)), lambda: job.append(STREAM, SUCCEEDED))
    ran = genome("job", "watch", JOB)
    feeder.join()
    assert ran.code == 0
    assert [line.split("  ", 1)[1] for line in ran.out.splitlines()] == [
        "failed: out of luck",
        "retry asked for: again",
        "step 3/40 8% loss 1.925 99 tok/s",
        "succeeded: layer layer-1, adopted",
    ]


def test_a_watch_goes_on_behind_its_last_event_when_the_daemon_comes_back(genome: Genome, job: SmallDaemon) -> None:
    job.append(STREAM, moved(1), moved(2))
    feeder = later(
        lambda: until_followed(job),
        lambda: job.append(STREAM, moved(3)),
        job.stop,
        lambda: job.append(STREAM, moved(4)),
        job.start,
        lambda: job.append(STREAM, SUCCEEDED),
    )
    ran = genome("job", "watch", JOB, "--json")
    feeder.join()
    assert ran.code == 0
    positions = [msgspec.json.decode(line)["position"] for line in ran.out.splitlines()]
    assert positions == [1, 2, 3, 4, 5]
    assert ran.err.count("interrupted") == 1


def until_followed(job: SmallDaemon) -> None:
    """The watch has read the past, and asked for what comes."""
    deadline = time.monotonic() + PATIENCE_S
    while len(job.last_event_ids) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)


class AwayForTheFirstLook(Wire):
    """A wire to a daemon that stops once it has said that there is such a job, and starts when it is missed."""

    def __init__(self, daemon: SmallDaemon) -> None:
        super().__init__(daemon.socket)
        self.daemon, self.missed = daemon, 0

    def call(self, name: str, params: Mapping[str, object], **given: Any) -> Reply:
        reply = super().call(name, params, **given)
        self.daemon.stop()
        return reply

    def frames(self, **given: Any) -> Generator[Frame, None, None]:
        try:
            yield from super().frames(**given)
        except Unreachable:
            self.missed += 1
            self.daemon.start()
            raise


def test_a_watch_waits_for_a_daemon_that_went_away_before_it_told_of_the_past(
    job: SmallDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    job.append(STREAM, FAILED, RETRIED, moved(3), SUCCEEDED)
    wire = AwayForTheFirstLook(job)
    assert watch(wire, JOB, Globals()) is ExitCode.OK
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 4
    assert (wire.missed, told.err.count("interrupted")) == (1, 1)


def test_waiting_is_watching_without_a_word(genome: Genome, job: SmallDaemon) -> None:
    feeder = later(lambda: job.append(STREAM, moved(1), FAILED))
    ran = genome("job", "wait", JOB)
    feeder.join()
    assert (ran.code, ran.out) == (1, "")


def test_a_job_that_does_not_exist_is_refused(genome: Genome, daemon: SmallDaemon) -> None:
    def missing(_: dict[str, object]) -> object:
        raise NotFound(f"there is no job {JOB}")

    daemon.answers["job-status"] = missing
    assert genome("job", "watch", JOB).code == 4


def test_on_a_terminal_progress_is_one_line_that_renews_itself_and_events_stand_above(job: SmallDaemon) -> None:
    at_us = 1_790_000_000_000_000
    job.answers["job-metrics"] = lambda params: {
        "series": {
            "loss": [{"step": n, "value": 3.0 - n / 10, "timestamp": at_us + n * 500_000} for n in range(2, 12)],
            "tokens_per_s": [{"step": n, "value": 123.0, "timestamp": at_us} for n in range(2, 12)],
        }
    }
    job.append(STREAM, moved(1))
    reader, terminal = pty.openpty()
    seen = Seen(reader)
    watching = subprocess.Popen(
        [sys.executable, "-m", "genomed.cli", "job", "watch", JOB], stdout=terminal, stderr=terminal, env=os.environ
    )
    os.close(terminal)
    try:
        shown = seen.until("ETA 14s")
        assert "step 11/40" in shown
        assert "123 tok/s ETA 14s" in shown
        assert "\x1b[K" in shown
        job.append(STREAM, JobPaused(attempt=1, step=11), SUCCEEDED)
        rest = seen.until("adopted")
        assert "paused at step 11\r\n" in rest
        assert watching.wait(timeout=PATIENCE_S) == 0
    finally:
        watching.kill()
        watching.wait()
        os.close(reader)


def test_ctrl_c_ends_the_view_says_how_to_look_again_and_asks_nothing_of_the_job(job: SmallDaemon) -> None:
    job.append(STREAM, moved(1))
    watching = subprocess.Popen(
        [sys.executable, "-m", "genomed.cli", "job", "watch", JOB],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert watching.stdout is not None
    assert "step 1/40" in watching.stdout.readline()
    time.sleep(0.3)
    watching.send_signal(signal.SIGINT)
    _, error = watching.communicate(timeout=PATIENCE_S)
    assert watching.returncode == 130
    assert f"genome job watch {JOB}" in error
    assert "Traceback" not in error
    assert {name for name, _, _ in job.requests} == {"job-status"}


def test_the_tail_shows_the_log_by_pattern_with_its_streams(genome: Genome, job: SmallDaemon) -> None:
    job.append(STREAM, moved(1), CANCELLED)
    job.append("job/job-2", moved(7))
    tail = subprocess.Popen(
        [sys.executable, "-m", "genomed.cli", "events", "tail", "--after", "0", "--pattern", "job.progress*"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert tail.stdout is not None
    lines = [tail.stdout.readline() for _ in range(2)]
    tail.send_signal(signal.SIGINT)
    tail.communicate(timeout=PATIENCE_S)
    assert tail.returncode == 130
    assert [line.split()[2:4] for line in lines] == [["1", STREAM], ["3", "job/job-2"]]


class Seen:
    """What a terminal is told, as it comes: a read may end inside a line, and inside a character."""

    def __init__(self, reader: int) -> None:
        self._reader, self._decoder = reader, codecs.getincrementaldecoder("utf-8")()

    def until(self, wanted: str) -> str:
        """Everything from now on up to this, and what came with it."""
        shown, deadline = "", time.monotonic() + PATIENCE_S
        while wanted not in shown and time.monotonic() < deadline:
            if select.select([self._reader], [], [], 0.2)[0]:
                try:
                    shown += self._decoder.decode(os.read(self._reader, 65536))
                except OSError:  # the other end of the terminal is closed
                    break
        assert wanted in shown, shown
        return shown


@pytest.mark.parametrize("line", [("events", "tail"), ("events", "tail", "--after", "0"), ("job", "watch", JOB)])
def test_where_no_daemon_ever_answered_none_is_waited_for(
    genome: Genome, daemon: SmallDaemon, line: tuple[str, ...]
) -> None:
    daemon.stop()
    ran = genome(*line)
    assert (ran.code, ran.out) == (3, "")
    assert "no daemon answers on" in ran.err
    assert "waiting" not in ran.err
