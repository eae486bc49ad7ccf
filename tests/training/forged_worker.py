"""Workers of these tests: the real program from its first line, in a process that had its libraries loaded before.

Importing them takes longer than most of what is tested here. That a worker also starts from nothing is seen wherever a
daemon or an adapter starts one.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tests.patience import PATIENCE_S

FORGE = Path(__file__).with_name("forge.py")
ROOT = Path(__file__).parents[2]


class Forge:
    """One for each process that runs tests."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(FORGE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, **SINGLE},
        )
        self._codes: dict[int, int] = {}

    def begin(self, arguments: Sequence[str], *, folder: Path, log: Path) -> "Worker":
        assert self.process.stdin is not None
        order = {"arguments": list(arguments), "folder": str(folder), "log": str(log)}
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()
        while True:
            said = self._heard()
            if "code" not in said:
                self._codes.pop(said["pid"], None)  # of an earlier worker with the same number
                return Worker(self, said["pid"])
            self._codes[said["pid"]] = said["code"]

    def code(self, pid: int, timeout_s: float) -> int | None:
        """How it ended; None when it has not, within that time."""
        assert self.process.stdout is not None
        until = time.monotonic() + timeout_s
        while pid not in self._codes:
            left = max(0.0, until - time.monotonic())
            if not select.select([self.process.stdout], [], [], left)[0]:
                return None
            said = self._heard()
            self._codes[said["pid"]] = said["code"]
        return self._codes[pid]

    def _heard(self) -> dict[str, int]:
        """A line is written at once and whole, and read without a buffer, so that select() knows of what is left."""
        assert self.process.stdout is not None
        line = bytearray()
        while not line.endswith(b"\n"):
            byte = os.read(self.process.stdout.fileno(), 1)
            assert byte, "the forge ended"
            line += byte
        found: dict[str, int] = json.loads(line)
        return found

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


SINGLE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}


@cache
def forge() -> Forge:
    return Forge()


def done(arguments: Sequence[str], *, folder: Path, code: int = 0, timeout_s: float = PATIENCE_S) -> str:
    """What it said, where all that matters is that it ended so."""
    log = folder / "worker.log"
    ended = forge().begin(arguments, folder=folder, log=log).wait(timeout_s)
    said = log.read_text(encoding="utf-8", errors="replace")
    assert ended == code, said[-4000:]
    return said


class Worker:
    """As much of subprocess.Popen as tests need."""

    def __init__(self, forge: Forge, pid: int) -> None:
        self._forge, self.pid = forge, pid

    def wait(self, timeout: float = PATIENCE_S) -> int:
        code = self._forge.code(self.pid, timeout)
        if code is None:
            raise TimeoutError(f"worker {self.pid} has not ended in {timeout} s")
        return code

    def poll(self) -> int | None:
        return self._forge.code(self.pid, 0.0)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)
