"""Sockets handed over by systemd: who connects while the daemon restarts waits, and is answered."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from time import monotonic, sleep

import msgspec
import pytest
from tests.daemon.daemon_process import UnixConnection
from tests.daemon.started_by_systemd import ear, held_daemon
from tests.fault_record import record_fault
from tests.patience import PATIENCE_S

from genomed.daemon.configuration.settings import load_settings
from genomed.daemon.doors.activation import activated

CLIENTS = 6
PATIENT = f"""
import runpy
from genomed.daemon.doors import listening
listening.FIRST_WORD_S = listening.SHUTDOWN_S = {PATIENCE_S}
runpy.run_module("genomed.daemon", run_name="__main__", alter_sys=True)
"""
"""The daemon itself, which at its end waits for clients that a busy machine does not let speak."""


def ask(path: Path, n: int) -> int:
    """One capture over a connection of its own; the status of its answer."""
    connection = UnixConnection(path)
    try:
        body = {"personaId": "ada", "domain": "sums", "input": f"{n}", "output": f"{n}"}
        connection.request("POST", "/genome/capture-interaction", msgspec.json.encode(body))
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


@pytest.mark.crash
def test_clients_that_never_pause_are_all_answered_across_restarts_and_every_capture_is_there_once() -> None:
    with held_daemon() as daemon:
        daemon.program = ("-c", PATIENT)
        daemon.start()
        enough = Event()

        def keep_asking(client: int) -> list[int]:
            statuses: list[int] = []
            while not enough.is_set():
                statuses.append(ask(daemon.socket, client * 1_000_000 + len(statuses)))
            return statuses

        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [pool.submit(keep_asking, client) for client in range(CLIENTS)]
            try:
                for _ in range(2):
                    assert daemon.stop() == 0
                    daemon.start()
            finally:
                enough.set()
            statuses = [status for client in clients for status in client.result()]
        assert set(statuses) == {200}
        captured = [event for event in daemon.events() if event["type"] == "interaction.captured"]
        assert len(captured) == len(statuses) > CLIENTS
        assert daemon.stop() == 0
        assert daemon.socket.exists(), "it belongs to whoever holds it"
        lost = len(statuses) - len(captured)
        record_fault("socket", "a restart under clients that never pause", "every one is answered", times=2, lost=lost)


@pytest.mark.crash
def test_who_connects_while_no_daemon_runs_or_after_it_was_killed_is_answered_by_the_next() -> None:
    with held_daemon() as daemon, ThreadPoolExecutor(CLIENTS) as pool:
        early = [pool.submit(ask, daemon.socket, n) for n in range(CLIENTS)]
        daemon.start()
        assert {one.result() for one in early} == {200}
        daemon.kill()
        between = [pool.submit(ask, daemon.socket, n) for n in range(CLIENTS)]
        daemon.start()
        assert {one.result() for one in between} == {200}


@pytest.mark.crash
@pytest.mark.parametrize(("name", "said"), [("tcp", "AF_UNIX"), ("web", "means nothing here")])
def test_a_socket_under_a_wrong_name_is_refused_with_what_the_unit_should_say(name: str, said: str) -> None:
    with held_daemon() as daemon:
        daemon.listen_names = name
        assert daemon.spawn().wait(timeout=PATIENCE_S) == 2
        text = daemon.log.read_text()
        assert said in text
        assert "FileDescriptorName=api" in text


def test_variables_for_another_process_are_taken_away_and_give_nothing() -> None:
    environment = {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "api", "PATH": "/bin"}
    found = activated(environment, pid=os.getpid(), allow_tcp=True)
    assert (found.api, found.tcp) == (None, None)
    assert environment == {"PATH": "/bin"}


def handed_to_a_child(listening: socket.socket, *, names: str, allow_tcp: bool) -> subprocess.CompletedProcess[str]:
    """What a fresh process makes of descriptor 3, in words."""
    code = (
        "import os\n"
        "from genomed.daemon.doors.activation import activated\n"
        f"found = activated(os.environ, pid=os.getpid(), allow_tcp={allow_tcp})\n"
        "print(found.api is not None, found.tcp is not None, os.get_inheritable(3), os.get_blocking(3),\n"
        "      any(name.startswith('LISTEN_') for name in os.environ))"
    )
    script = 'exec 3<&"$HELD"; unset HELD; export LISTEN_PID=$$; exec "$@"'
    variables = {"HELD": str(listening.fileno()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": names}
    return subprocess.run(
        ["bash", "-c", script, "bash", sys.executable, "-c", code],
        env=os.environ | variables,
        pass_fds=(listening.fileno(),),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_tcp_listener_is_taken_only_where_the_configuration_has_one() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        taken = handed_to_a_child(listening, names="tcp", allow_tcp=True)
        assert taken.stdout.split() == ["False", "True", "False", "False", "False"], taken.stderr
        refused = handed_to_a_child(listening, names="tcp", allow_tcp=False)
        assert refused.returncode != 0
        assert "[access.tcp]" in refused.stderr


def test_what_does_not_listen_is_refused() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        refused = handed_to_a_child(datagrams, names="api", allow_tcp=False)
        assert "does not listen" in refused.stderr


@pytest.mark.crash
@pytest.mark.skipif(shutil.which("systemd-socket-activate") is None, reason="systemd-socket-activate is not here")
def test_systemds_own_tool_starts_the_daemon_at_the_first_connection_and_hears_it() -> None:
    with tempfile.TemporaryDirectory(prefix="gn", dir="/tmp") as folder, ear() as listening:
        path = Path(folder) / "s"
        command = [sys.executable, "-m", "genomed.daemon", "--data-dir", f"{folder}/data"]
        variables = {"NOTIFY_SOCKET": str(listening.path), "WATCHDOG_USEC": "100000", "GENOMED_BASE_MODEL": "tiny"}
        passed = [word for name, value in variables.items() for word in ("-E", f"{name}={value}")]
        with Path(folder, "log").open("wb") as log:
            tool = subprocess.Popen(
                ["systemd-socket-activate", "-l", str(path), "--fdname=api", "-E", "PATH", *passed, *command],
                stdout=log,
                stderr=log,
            )
        try:
            deadline = monotonic() + PATIENCE_S
            while not path.exists():
                assert monotonic() < deadline, Path(folder, "log").read_text()
                sleep(0.01)
            assert ask(path, 1) == 200, Path(folder, "log").read_text()
            for word in ("READY", "WATCHDOG"):
                listening.until(word)
            tool.send_signal(signal.SIGTERM)
            listening.until("STOPPING")
            assert tool.wait(timeout=PATIENCE_S) == 0
            assert path.exists()
        finally:
            tool.kill()
            tool.wait()


def test_a_unit_with_a_configuration_folder_needs_no_variable_that_names_the_file(tmp_path: Path) -> None:
    unit = {"HOME": "/h", "CONFIGURATION_DIRECTORY": str(tmp_path), "STATE_DIRECTORY": "/var/lib/genomed"}
    assert load_settings(unit, config=None, data=None, socket=None).log_level == "info"
    (tmp_path / "config.toml").write_text('log_level = "debug"')
    found = load_settings(unit, config=None, data=None, socket=None)
    assert (found.log_level, found.data_dir) == ("debug", "/var/lib/genomed")
