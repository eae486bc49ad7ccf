"""The launcher does what its policy says or gives up, and what it asks of the kernel is what is meant."""

import errno
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.training.conftest import WORKER

from genomed.training import bubblewrap
from genomed.training.syscall_filter import (
    ALLOW,
    ARCHITECTURES,
    IO_URING_SETUP,
    JUMP_EQUAL,
    JUMP_FROM,
    LOAD_WORD,
    REFUSE,
    X32_BIT,
    Architecture,
    program,
)

REFUSED, ABSENT = REFUSE | errno.EACCES, REFUSE | errno.ENOSYS
READ_CALL = 0


def policy(folder: Path, **changes: object) -> Path:
    path = folder / "policy.json"
    limits = {"fileBytes": None, "openFiles": None, "tasks": None, "addressSpace": None}
    whole: dict[str, object] = {
        "level": "rlimits", "network": True, "hub": False, "reads": [], "writes": [str(folder)], "devices": [],
        "bubblewrap": None, "cgroup": None, "limits": limits, "folder": str(folder),
        "progress": str(folder / "progress.jsonl"), "command": [str(folder / "program.py"), "one", "two"],
    }  # fmt: skip
    path.write_text(json.dumps({**whole, **changes}))
    return path


def launched(path: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(WORKER), "confine", str(path)], capture_output=True, text=True, check=False
    )


def test_the_program_runs_as_if_it_had_been_started_itself(tmp_path: Path) -> None:
    say = "import sys, neighbour\nassert __name__ == '__main__'\nprint(sys.argv, neighbour.X)\nraise SystemExit(7)\n"
    (tmp_path / "program.py").write_text(say)
    (tmp_path / "neighbour.py").write_text("X = 1\n")
    done = launched(policy(tmp_path))
    assert (done.returncode, done.stdout) == (7, f"{[str(tmp_path / 'program.py'), 'one', 'two']} 1\n"), done.stderr


@pytest.mark.parametrize(
    "changes",
    [
        {"level": "bubblewrap"},
        {"level": "bubblewrap", "bubblewrap": "/nowhere/bwrap"},
        {"cgroup": "/nowhere"},
        {"level": "chroot"},
        {"sandbox": "more"},
    ],
)
def test_a_policy_that_cannot_be_kept_ends_the_attempt_and_starts_nothing(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    (tmp_path / "program.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    done = launched(policy(tmp_path, **changes))
    assert done.returncode == 1
    assert "cannot be confined as decided" in done.stderr
    told = json.loads((tmp_path / "progress.jsonl").read_text())
    assert (told["type"], told["kind"]) == ("failed", "unsupported")
    assert told["remedy"]
    assert not (tmp_path / "ran").exists()


def test_bubblewrap_covers_nothing_that_was_granted_and_lets_the_worker_outlive_its_daemon() -> None:
    made = bubblewrap.arguments(
        reads=["/data/jobs/j/train", "/usr", "/data"],
        writes=["/data/jobs/j"],
        devices=["/dev/nvidia0", "/dev/shm"],
        network=False,
        folder="/data/jobs/j",
    )
    order = [made[at + 1] for at, word in enumerate(made) if word in ("--ro-bind-try", "--bind-try")]
    assert order == ["/data", "/usr", "/data/jobs/j", "/data/jobs/j/train"]
    assert made.index("--tmpfs") < made.index("--ro-bind-try")
    assert "--share-net" not in made
    assert {"--die-with-parent", "--new-session"}.isdisjoint(made)
    assert made[made.index("--dev-bind-try") + 1] == "/dev/nvidia0"


def verdict(instructions: list[tuple[int, int, int, int]], *, audit: int, number: int, argument: int = 0) -> int:
    """What a kernel would decide, by seccomp_filter.rst."""
    words, held, at = {0: number, 4: audit, 16: argument}, 0, 0
    while True:
        code, yes, no, operand = instructions[at]
        at += 1
        if code == LOAD_WORD:
            held = words[operand]
        elif code == JUMP_EQUAL:
            at += yes if held == operand else no
        elif code == JUMP_FROM:
            at += yes if held >= operand else no
        else:
            return operand


@pytest.mark.parametrize("ours", ARCHITECTURES.values(), ids=ARCHITECTURES.keys())
@pytest.mark.parametrize("network", [True, False])
def test_sockets_are_refused_and_other_calls_are_not(ours: Architecture, *, network: bool) -> None:
    made = program(ours, network=network)
    inet = verdict(made, audit=ours.audit, number=ours.socket, argument=socket.AF_INET)
    assert inet == (ALLOW if network else REFUSED)
    assert verdict(made, audit=ours.audit, number=ours.socket, argument=socket.AF_UNIX) == REFUSED
    assert verdict(made, audit=ours.audit, number=READ_CALL) == ALLOW
    assert verdict(made, audit=ours.audit, number=IO_URING_SETUP) == ABSENT
    assert verdict(made, audit=ours.audit, number=X32_BIT | ours.socket) == ABSENT
    assert verdict(made, audit=ours.audit ^ 1, number=READ_CALL) == ABSENT
