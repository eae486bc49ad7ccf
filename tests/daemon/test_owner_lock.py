"""One owner per data folder, whoever asks and however the owner ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from genomed.daemon.journal.owner_lock import LOCK_FILE, FolderOwned, owner_lock
from genomed.entities.errors import Conflict

HOLD = (
    "import sys; from pathlib import Path; from genomed.daemon.journal.owner_lock import owner_lock\n"
    "with owner_lock(Path(sys.argv[1]), now_us=0): print('held', flush=True); sys.stdin.read()"
)


def test_a_second_owner_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(FolderOwned, match=f"pid {first.pid}") as refusal, owner_lock(tmp_path, now_us=1):
            pass
        assert isinstance(refusal.value, Conflict)
        assert f"pid {first.pid}" in (tmp_path / LOCK_FILE).read_text(), "the second left the first's text alone"
        first.kill()
    with owner_lock(tmp_path, now_us=1_795_000_000_000_000):
        assert (tmp_path / LOCK_FILE).read_text() == f"pid {os.getpid()}, since 2026-11-18T11:06:40+00:00\n"


def test_a_lock_file_left_behind_locks_nothing(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text("pid 1, since long ago\n")
    for _ in range(2):
        with owner_lock(tmp_path, now_us=0):
            pass
