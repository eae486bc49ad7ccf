"""What the operator of a real daemon sees of damage: an exit code and a sentence at the start, or a reason.

The daemon is a process of its own; files are changed while it is down, or under it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.daemon.daemon_process import DaemonProcess, daemon_process
from tests.fault_record import record_fault
from tests.patience import PATIENCE_S

CAPTURE = {"personaId": "ada", "domain": "sums", "input": "2+2", "output": "4"}
EXIT_REFUSED = 2


@pytest.fixture
def daemon() -> Iterator[DaemonProcess]:
    with daemon_process() as running:
        yield running


def captured(daemon: DaemonProcess, times: int) -> None:
    for number in range(times):
        daemon.call("capture-interaction", CAPTURE | {"input": f"{number}+{number}"})


def refused(daemon: DaemonProcess) -> str:
    """The start ends with the code for it; what it said."""
    before = daemon.log.stat().st_size
    assert daemon.spawn().wait(timeout=PATIENCE_S) == EXIT_REFUSED
    daemon.process = None
    said = daemon.log.read_text()[before:]
    assert "Traceback" not in said
    assert "what to do:" in said
    return said


def without(*names: str) -> Callable[[Path], None]:
    def damage(data: Path) -> None:
        for name in names:
            (data / name).unlink()

    return damage


def not_a_database(data: Path) -> None:
    """With its write-ahead log gone: that holds whole pages, and may hold all of them."""
    without("journal.db-wal", "journal.db-shm")(data)
    (data / "journal.db").write_bytes(b"something else" * 1000)


DAMAGES = {
    "killed, -wal and -shm deleted": (without("journal.db-wal", "journal.db-shm"), "before its anchor"),
    "killed, journal.db overwritten": (not_a_database, "NOTADB"),
}


@pytest.mark.crash
@pytest.mark.fault
@pytest.mark.long
def test_a_damaged_folder_stops_the_start_with_a_sentence_and_the_way_out(daemon: DaemonProcess) -> None:
    captured(daemon, 5)
    daemon.kill()
    whole = {path.name: path.read_bytes() for path in daemon.data.iterdir() if path.is_file()}
    for name, (damage, told) in DAMAGES.items():
        damage(daemon.data)
        assert told in refused(daemon), name
        for left in daemon.data.glob("journal.db*"):
            left.unlink()
        for file, content in whole.items():
            (daemon.data / file).write_bytes(content)
        record_fault("disk", name, "refuses to start, says what to do")
    daemon.start()
    assert len([one for one in daemon.events() if one["type"] == "interaction.captured"]) == 5


@pytest.mark.crash
@pytest.mark.fault
@pytest.mark.long
def test_files_deleted_under_a_running_daemon_are_noticed_by_log_verify_or_at_the_next_start(
    daemon: DaemonProcess,
) -> None:
    captured(daemon, 3)
    without("journal.db-wal", "journal.db-shm")(daemon.data)
    captured(daemon, 3)
    assert not daemon.call("log-verify")["ok"]
    daemon.kill()
    assert "before its anchor" in refused(daemon)
    record_fault(
        "disk", "-wal and -shm deleted under the running daemon", "log-verify names it; the next start refuses"
    )
