"""What the daemon says to a service manager: readiness, status, stopping, and that a long start is no hang."""

import os
import re
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from tests.daemon.daemon_process import daemon_process
from tests.daemon.daemon_rig import running
from tests.daemon.started_by_systemd import Ear, ear, held_daemon
from tests.patience import PATIENCE_S

from genomed.daemon.observation.notify import Notifier, extend_start, keep_status, notifier, status_text


def told(listening: Ear) -> Notifier:
    environment = {"NOTIFY_SOCKET": str(listening.path)}
    return notifier(environment, pid=os.getpid())


@pytest.mark.crash
def test_ready_is_said_when_the_doors_are_open_then_the_status_follows_and_stopping_comes_before_the_end() -> None:
    with ear() as listening, held_daemon({"NOTIFY_SOCKET": str(listening.path)}) as daemon:
        daemon.spawn()
        # Nobody has connected yet: it is the datagram alone that says so.
        ready = listening.until("READY")
        assert listening.heard[0]["EXTEND_TIMEOUT_USEC"].isdigit()
        assert "open" in ready["STATUS"]
        assert daemon.health()["ok"] is True
        assert re.fullmatch(r"head \d+, 0 open jobs", listening.next()["STATUS"])
        captured = {"personaId": "ada", "domain": "sums", "input": "1", "output": "1"}
        daemon.call("capture-interaction", captured)
        assert listening.until("STATUS", f"head {daemon.position()}, 0 open jobs")
        assert daemon.stop() == 0
        assert listening.until("STOPPING")["STATUS"]


@pytest.mark.crash
def test_a_manager_that_does_not_listen_any_more_stops_nothing() -> None:
    with ear() as gone:
        path = gone.path
    with daemon_process(environment={"NOTIFY_SOCKET": str(path)}) as daemon:
        assert daemon.health()["ok"] is True
        assert daemon.stop() == 0
        assert daemon.log.read_text().count("service manager not told") == 1


async def test_an_unfinished_start_asks_for_more_time_until_it_is_ready() -> None:
    with ear() as listening:
        one = told(listening)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(extend_start, one)
            asked = await anyio.to_thread.run_sync(listening.next)
            assert int(asked["EXTEND_TIMEOUT_USEC"]) > 1_000_000
            assert asked["STATUS"].startswith("starting")
            one.ready("up")
        assert listening.next()["READY"] == "1"
        one.close()


def test_a_reload_is_framed_by_its_time_and_by_readiness() -> None:
    with ear() as listening:
        one = told(listening)
        one.reloading()
        one.ready("reloaded")
        began = listening.next()
        assert began["RELOADING"] == "1"
        assert began["MONOTONIC_USEC"].isdigit()
        assert listening.next() == {"READY": "1", "STATUS": "reloaded"}
        one.close()


def test_the_variables_are_taken_away_and_a_watch_over_another_process_is_not_ours() -> None:
    environment = {"NOTIFY_SOCKET": "@genomed-nobody", "WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1", "PATH": "/bin"}
    with closing(notifier(environment, pid=os.getpid())) as theirs:
        assert (theirs.wanted, theirs.watchdog_s) == (True, None)
    assert environment == {"PATH": "/bin"}
    ours = {"NOTIFY_SOCKET": "@genomed-nobody", "WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid())}
    with closing(notifier(ours, pid=os.getpid())) as watched:
        assert watched.watchdog_s == 2.0
    assert notifier({"WATCHDOG_USEC": "2000000"}, pid=os.getpid()).wanted is False


def test_an_abstract_address_is_understood_and_no_line_of_a_status_can_pass_for_a_message() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as abstract:
        name = f"genomed-test-{os.getpid()}"
        abstract.bind(f"\0{name}")
        abstract.settimeout(PATIENCE_S)
        one = notifier({"NOTIFY_SOCKET": f"@{name}"}, pid=os.getpid())
        one.status("fine\nREADY=1")
        assert abstract.recv(4096) == b"STATUS=fine READY=1"
        one.close()


async def test_the_status_names_the_reason_when_the_log_takes_no_more_writes(tmp_path: Path) -> None:
    async with running(tmp_path, courier=False, triggers=False, forgetter=False) as rig:
        assert await status_text(rig.journal) == f"head {rig.journal.head().position}, 0 open jobs"
        job = await rig.create_job()
        assert job
        assert (await status_text(rig.journal)).endswith(", 1 open jobs")
        rig.journal._writer.stopped = "the disk failed"
        assert (await status_text(rig.journal)).startswith("read-only: the disk failed; head ")


async def test_the_same_status_is_not_said_twice(tmp_path: Path) -> None:
    with ear() as listening:
        one = told(listening)
        async with (
            running(tmp_path, courier=False, triggers=False, forgetter=False) as rig,
            anyio.create_task_group() as tasks,
        ):
            one.ready("up")
            assert (await anyio.to_thread.run_sync(listening.next))["READY"] == "1"
            tasks.start_soon(keep_status, one, rig.journal)
            first = await anyio.to_thread.run_sync(listening.next)
            await rig.capture(1)
            second = await anyio.to_thread.run_sync(listening.next)
            assert first != second == {"STATUS": await status_text(rig.journal)}
            tasks.cancel_scope.cancel()
        one.close()


def test_systemds_own_notifier_and_ours_say_the_same_bytes() -> None:
    tool = Path("/usr/bin/systemd-notify")
    if not tool.exists():
        pytest.skip("systemd-notify is not here")
    with ear() as listening:
        command = [str(tool), "--no-block", "--ready", "--status=doors are open", f"--pid={os.getpid()}"]
        subprocess.run(command, env={"NOTIFY_SOCKET": str(listening.path)}, check=True, timeout=PATIENCE_S)
        theirs = listening.next()
        one = told(listening)
        one.ready("doors are open")
        ours = listening.next()
        one.close()
        assert {name: theirs[name] for name in ours} == ours


def test_importing_the_daemon_says_nothing() -> None:
    with ear() as listening:
        code = "import genomed.daemon.serve"
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"NOTIFY_SOCKET": str(listening.path)}, check=True
        )
        assert listening.is_silent_for(0.001)
