"""The watchdog's pings: they come while loop and writer live, through a slow commit too, and from nothing dead."""

import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event
from time import monotonic, sleep

import anyio
import pytest
from tests.daemon.started_by_systemd import Ear, ear, held_daemon
from tests.fault_record import record_fault
from tests.faults.vfs import watched as disk_watched
from tests.patience import PATIENCE_S

from genomed.daemon.assembly import new_event_id, now_us
from genomed.daemon.journal.database import Statement, WritingConnection
from genomed.daemon.journal.journal import Journal, JournalKinds, open_journal
from genomed.daemon.observation.notify import notifier
from genomed.daemon.observation.watchdog import Watch, watchdog
from genomed.daemon.read_models import GenomeReadModels

WATCHDOG_USEC = 40_000
ROUNDS = 12
"""Silence for so many rounds is taken for silence."""


@pytest.mark.crash
def test_a_daemon_that_is_stopped_says_nothing_and_one_that_goes_on_says_so_again() -> None:
    with ear() as listening:
        environment = {"NOTIFY_SOCKET": str(listening.path), "WATCHDOG_USEC": str(WATCHDOG_USEC)}
        with held_daemon(environment) as daemon:
            process = daemon.spawn()
            listening.until("READY")
            listening.until("WATCHDOG")
            os.kill(process.pid, signal.SIGSTOP)
            deadline = monotonic() + PATIENCE_S
            while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
                assert monotonic() < deadline
                sleep(0.001)
            listening.drain()
            assert listening.is_silent_for(ROUNDS * WATCHDOG_USEC / 2e6)
            os.kill(process.pid, signal.SIGCONT)
            listening.until("WATCHDOG")
            assert daemon.stop() == 0
    record_fault("process", "SIGSTOP under a watchdog", "no more pings, so it is restarted")


class SlowConnection(WritingConnection):
    """Its commits wait for the test, in the real thread and within the real commit: a sync as slow as one likes."""

    go_on = Event()
    committing = Event()

    def _commit(self) -> None:
        self.committing.set()
        assert self.go_on.wait(PATIENCE_S)
        super()._commit()


@asynccontextmanager
async def watched(
    data_dir: Path, listening: Ear, *, slowest_commit_s: float, kinds: JournalKinds
) -> AsyncIterator[Journal]:
    """A real journal under a real watchdog, heard by `listening`."""
    environment = {"NOTIFY_SOCKET": str(listening.path), "WATCHDOG_USEC": str(WATCHDOG_USEC)}
    manager = notifier(environment, pid=os.getpid())
    opened = open_journal(
        data_dir, read_models=GenomeReadModels(), now_us=now_us, new_event_id=new_event_id, kinds=kinds
    )
    async with opened as journal, anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: watchdog(manager, journal, slowest_commit_s=slowest_commit_s))
        yield journal
        tasks.cancel_scope.cancel()
    manager.close()


@pytest.fixture
def slow() -> Iterator[type[SlowConnection]]:
    """Its commits pass until the test clears `go_on`."""

    class Slow(SlowConnection):
        go_on, committing = Event(), Event()

    Slow.go_on.set()
    yield Slow
    Slow.go_on.set()


async def hears_ping(listening: Ear) -> None:
    await anyio.to_thread.run_sync(listening.until, "WATCHDOG")


async def falls_silent(listening: Ear) -> None:
    """Until no ping comes for many rounds."""
    deadline = monotonic() + PATIENCE_S
    while not await anyio.to_thread.run_sync(listening.is_silent_for, ROUNDS * WATCHDOG_USEC / 2e6):
        assert monotonic() < deadline, "the pings do not end"


async def test_a_slow_sync_is_tolerated(tmp_path: Path) -> None:
    go_on = Event()
    with ear() as listening, disk_watched(tmp_path) as disk:
        async with (
            watched(tmp_path / "d", listening, slowest_commit_s=120, kinds=JournalKinds()) as journal,
            anyio.create_task_group() as tasks,
        ):
            slow = disk.fail("sync", until=go_on, once=True)
            tasks.start_soon(journal.rebuild)
            while not slow.hits:  # noqa: ASYNC110 - told by SQLite's thread
                await anyio.sleep(0.01)
            listening.drain()
            for _ in range(ROUNDS):
                await hears_ping(listening)
            go_on.set()
    record_fault("disk", "a sync hangs under a watchdog", "pings go on for two minutes")


async def test_a_writer_that_hangs_is_no_slow_commit_and_when_it_goes_on_so_do_the_pings(
    tmp_path: Path, slow: type[SlowConnection]
) -> None:
    kinds = JournalKinds(connection=slow)
    with ear() as listening:
        async with watched(tmp_path, listening, slowest_commit_s=5 * WATCHDOG_USEC / 2e6, kinds=kinds) as journal:
            async with anyio.create_task_group() as tasks:
                slow.go_on.clear()
                slow.committing.clear()
                tasks.start_soon(journal.rebuild)
                await anyio.to_thread.run_sync(slow.committing.wait)
                await falls_silent(listening)
                slow.go_on.set()
            await hears_ping(listening)
    record_fault("process", "the log's writer hangs", "no more pings, so it is restarted")


async def test_a_long_transaction_that_gets_on_is_no_hang(tmp_path: Path) -> None:
    """As a rebuild of the read models of a long log: many statements, one commit."""
    turn = Event()

    def statements() -> Iterator[Statement]:
        for _ in range(6 * ROUNDS):
            assert turn.wait(PATIENCE_S)
            sleep(WATCHDOG_USEC / 2e6 / 4)
            yield "SELECT 1", None

    with ear() as listening:
        limit = 5 * WATCHDOG_USEC / 2e6
        async with (
            watched(tmp_path, listening, slowest_commit_s=limit, kinds=JournalKinds()) as journal,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(lambda: journal._writer.exclusive("rebuild", statements()))
            turn.set()
            for _ in range(ROUNDS):
                await hears_ping(listening)


async def test_a_loop_that_does_not_turn_sends_nothing(tmp_path: Path) -> None:
    with ear() as listening:
        async with watched(tmp_path, listening, slowest_commit_s=120, kinds=JournalKinds()):
            await hears_ping(listening)
            listening.drain()
            assert listening.is_silent_for(ROUNDS * WATCHDOG_USEC / 2e6)  # blocks the loop that the watchdog runs on
            await hears_ping(listening)


async def test_an_error_of_the_disk_is_an_answer_too(tmp_path: Path) -> None:
    class Failing(WritingConnection):
        failing = False

        def execute(self, sql: str, /, *given: object) -> sqlite3.Cursor:
            if self.failing and sql == "SELECT 1":
                raise sqlite3.OperationalError("disk I/O error")
            return super().execute(sql, *given)  # type: ignore[arg-type]  # as given

    with ear() as listening:
        async with watched(tmp_path, listening, slowest_commit_s=0.05, kinds=JournalKinds(connection=Failing)):
            Failing.failing = True
            for _ in range(ROUNDS):
                await hears_ping(listening)


def test_standing_still_is_counted_in_rounds_so_that_no_clock_can_mislead() -> None:
    watch = Watch(every_s=10, slowest_commit_s=30)
    assert [watch.alive((0, 0)) for _ in range(6)] == [True, True, True, True, False, False]
    assert watch.alive((0, 1)), "progress within a transaction counts"
    assert watch.alive((1, 1)), "so does an answer"
