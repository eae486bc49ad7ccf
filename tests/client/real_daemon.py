"""The daemon itself, in a process of its own, for tests from the outside. It can be killed and started again."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from tests.patience import PATIENCE_S

from genomed.cli.failures import Unreachable
from genomed.cli.transport import Wire


class RealDaemon:
    """One data folder and socket; `start` after `kill` is the same daemon again."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.socket = str(folder / "d.sock")
        self._log = folder / "daemon.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        command = [sys.executable, "-m", "genomed.daemon", "--data-dir", str(self.data), "--socket", self.socket]
        with self._log.open("ab") as log:
            environment = os.environ | {"GENOMED_BASE_MODEL": "tiny"}
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                Wire(self.socket).head()
                return
            except Unreachable:
                assert self._process.poll() is None, self._log.read_text()
                assert time.monotonic() < deadline, self._log.read_text()
                time.sleep(0.05)

    def kill(self) -> None:
        """As `kill -9` does it: nothing is flushed, nobody is told."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None


def chat_lines(count: int) -> str:
    """A chat dataset as JSON Lines."""
    turns = [[{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": f"a{n}"}] for n in range(count)]
    return "\n".join(json.dumps({"messages": messages}) for messages in turns)
