"""The daemon as a process: who may have its folder and socket, how it starts and how it ends."""

import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from tests.daemon.daemon_process import DaemonProcess, daemon_process
from tests.patience import PATIENCE_S

from genomed.daemon.doors.unix_socket import bound_socket, own_socket
from genomed.entities.errors import Conflict

pytestmark = pytest.mark.crash


@pytest.fixture
def daemon() -> Iterator[DaemonProcess]:
    with daemon_process() as running:
        yield running


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_socket_is_0600_in_a_0700_folder_and_so_is_the_data(daemon: DaemonProcess) -> None:
    assert (mode(daemon.socket), mode(daemon.socket.parent), mode(daemon.data)) == (0o600, 0o700, 0o700)
    assert mode(daemon.data / "journal.db") == 0o600


def test_a_second_daemon_on_the_folder_is_refused_with_a_sentence_and_the_first_does_not_notice(
    daemon: DaemonProcess,
) -> None:
    before = daemon.health()
    second = [sys.executable, "-m", "genomed.daemon", "--data-dir", str(daemon.data)]
    for own in (str(daemon.socket), str(daemon.folder / "other")):
        done = subprocess.run(
            [*second, "--socket", own], capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
        assert done.returncode == 2
        assert f"pid {before['pid']}" in done.stderr
        assert "what to do:" in done.stderr
        assert "Traceback" not in done.stderr
    assert daemon.health() == before
    assert daemon.call("log-verify")["ok"] is True


def test_a_second_daemon_with_its_own_folder_cannot_take_a_socket_that_answers(daemon: DaemonProcess) -> None:
    second = [sys.executable, "-m", "genomed.daemon", "--data-dir", str(daemon.folder / "data2")]
    done = subprocess.run(
        [*second, "--socket", str(daemon.socket)], capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert (done.returncode, "answers on" in done.stderr) == (2, True)
    assert daemon.health()["ok"] is True


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_ends_with_code_0_and_takes_its_socket_away(
    daemon: DaemonProcess, with_signal: signal.Signals
) -> None:
    with socket.socket(socket.AF_UNIX) as idle, socket.socket(socket.AF_UNIX) as following:
        idle.connect(str(daemon.socket))
        following.connect(str(daemon.socket))
        following.sendall(b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n")
        assert b"200 OK" in following.recv(4096)
        assert daemon.stop(with_signal) == 0
    assert not daemon.socket.exists()
    assert "Traceback" not in daemon.log.read_text()


def test_after_a_kill_the_socket_it_left_is_replaced(daemon: DaemonProcess) -> None:
    daemon.kill()
    assert daemon.socket.exists()
    daemon.start()
    assert daemon.health()["ok"] is True


def test_what_is_no_socket_is_not_replaced() -> None:
    with tempfile.TemporaryDirectory(prefix="gn", dir="/tmp") as folder:
        path = Path(folder) / "s"
        path.write_text("precious")
        with pytest.raises(Conflict, match="is no socket"):
            bound_socket(path)
        assert path.read_text() == "precious"


def test_a_socket_that_is_only_busy_is_not_taken_for_dead() -> None:
    with tempfile.TemporaryDirectory(prefix="gn", dir="/tmp") as folder:
        path = Path(folder) / "s"
        with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
            busy.bind(str(path))
            busy.listen(0)
            waiting.setblocking(False)
            waiting.connect(str(path))  # the queue of one is full now
            with pytest.raises(Conflict):
                bound_socket(path)
            assert path.exists()


def test_the_socket_of_a_daemon_that_is_not_ready_yet_is_not_taken_for_dead() -> None:
    with tempfile.TemporaryDirectory(prefix="gn", dir="/tmp") as folder:
        path = Path(folder) / "s"
        with bound_socket(path), socket.socket(socket.AF_UNIX) as early:
            with pytest.raises(Conflict, match="answers on"):
                bound_socket(path)
            early.connect(str(path))


def test_at_its_end_a_daemon_takes_away_its_own_socket_and_no_other() -> None:
    with tempfile.TemporaryDirectory(prefix="gn", dir="/tmp") as folder:
        path = Path(folder) / "s"
        with own_socket(path):
            path.unlink()
            other = bound_socket(path)
        with other, socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(path))
        path.unlink()
        with own_socket(path):
            assert path.exists()
        assert not path.exists()


def test_a_bad_configuration_is_refused_with_every_problem_before_anything_is_made() -> None:
    with tempfile.TemporaryDirectory(prefix="gn", dir="/tmp") as folder:
        config = Path(folder) / "c.toml"
        config.write_text('surprise = 1\n[limits]\nbody_bytes = 5\n[access.roles]\n1000 = "king"\n')
        command = [sys.executable, "-m", "genomed.daemon", "--data-dir", f"{folder}/d", "--socket", f"{folder}/s"]
        done = subprocess.run(
            [*command, "--config", str(config)], capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
        assert done.returncode == 2
        assert all(name in done.stderr for name in ("surprise", "limits.body_bytes", "access.roles.1000"))
        assert not Path(folder, "d").exists()


def test_fifty_clients_at_once_are_all_answered_and_each_write_is_there_once(daemon: DaemonProcess) -> None:
    def one(n: int) -> str:
        said = {"personaId": "ada", "domain": "sums", "input": f"{n}+1", "output": str(n + 1)}
        kept = daemon.call("capture-interaction", said)
        assert daemon.call("overview")["totals"]["interactions"] >= 1
        return str(kept["interactionId"])

    with ThreadPoolExecutor(50) as pool:
        assert len(set(pool.map(one, range(50)))) == 50
    assert daemon.call("overview")["totals"]["interactions"] == 50
    assert daemon.call("log-verify")["ok"] is True


def test_an_acknowledged_command_survives_kill_9_and_replays_after_it(daemon: DaemonProcess) -> None:
    said = {"personaId": "ada", "domain": "sums", "input": "1+1", "output": "2"}
    answered = daemon.answer("capture-interaction", said, key="k")
    daemon.kill()
    daemon.start()
    replayed = daemon.answer("capture-interaction", said, key="k")
    assert (replayed["result"], replayed["replayed"]) == (answered["result"], True)
    assert daemon.call("overview")["totals"]["interactions"] == 1
    assert daemon.health()["head"] == answered["head"]


def test_another_user_without_a_role_is_refused_and_with_one_is_known_by_the_kernel() -> None:
    if os.getuid() != 0:
        pytest.skip("only root can connect as another user")
    with daemon_process(configuration='[access.roles]\n65534 = "read"\n') as daemon:
        daemon.folder.chmod(0o755)
        daemon.socket.parent.chmod(0o755)
        daemon.socket.chmod(0o666)
        assert as_user(65534, daemon, "overview")[0] == 200
        status, body = as_user(65534, daemon, "capture-interaction")
        assert (status, body["error"]["kind"]) == (403, "forbidden")
        status, body = as_user(12345, daemon, "overview")
        assert (status, body["error"]["kind"]) == (403, "forbidden")
        assert "uid 12345" in body["error"]["message"]


AS_ANOTHER = """
import os, socket, sys
os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
with socket.socket(socket.AF_UNIX) as it:
    it.connect(sys.argv[2])
    head = ["POST /genome/" + sys.argv[3] + " HTTP/1.1", "Host: d", "Content-Length: 0", "Connection: close", "", ""]
    it.sendall("\\r\\n".join(head).encode())
    while portion := it.recv(65536):
        sys.stdout.buffer.write(portion)
"""


def as_user(uid: int, daemon: DaemonProcess, command: str) -> tuple[int, dict[str, dict[str, str]]]:
    done = subprocess.run(
        [sys.executable, "-I", "-c", AS_ANOTHER, str(uid), str(daemon.socket), command],
        capture_output=True,
        check=True,
        timeout=PATIENCE_S,
        cwd="/",
    )
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    return int(head.split()[1]), msgspec.json.decode(body)
