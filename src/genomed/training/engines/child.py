"""Another program at work for a run: started in this session, listened to line by line, and stopped when it is wished.

Knows nothing of what it does. It writes its bars with carriage returns, which end a line here, too.
"""

import os
import re
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..failures import WorkerFailure

LISTEN_S = 0.5
"""How long a wish may wait behind a program that says nothing."""
LEAVE_S = 20.0
"""For it to stop by itself before it is ended."""
KEPT_LINES = 20
"""Of its last words, for the failure to quote."""


class Stop(Exception):
    """It was told to stop, and has."""


def run(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    hear: Callable[[str], None],
    wished: Callable[[], bool],
) -> None:
    """Raises Stop, or WorkerFailure training_failed where it ends with anything but 0."""
    last: list[str] = []
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as child:
        try:
            stopped = _listen(child, last, hear, wished)
        except BaseException:
            _end(child)
            raise
        if stopped:
            _end(child)
            raise Stop
    if child.returncode != 0:
        words = " / ".join(last[-3:])[-600:]
        raise WorkerFailure("training_failed", f"{Path(command[0]).name} ended with {child.returncode}: {words}")


def _listen(
    child: "subprocess.Popen[bytes]", last: list[str], hear: Callable[[str], None], wished: Callable[[], bool]
) -> bool:
    """Until it closes its output: False. Until it is wished to stop: True."""
    if child.stdout is None:
        raise ValueError("a child without a pipe")
    pipe, held = child.stdout.fileno(), b""
    with selectors.DefaultSelector() as ready:
        ready.register(pipe, selectors.EVENT_READ)
        while True:
            if wished():
                return True
            if not ready.select(LISTEN_S):
                continue
            more = os.read(pipe, 65536)
            if not more:
                _tell(held, last, hear)
                return False
            *lines, held = re.split(rb"[\r\n]+", held + more)
            for line in lines:
                _tell(line, last, hear)


def _tell(line: bytes, last: list[str], hear: Callable[[str], None]) -> None:
    text = line.decode(errors="replace").rstrip()
    if not text:
        return
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
    last.append(text)
    del last[:-KEPT_LINES]
    hear(text)


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.terminate()
    deadline = time.monotonic() + LEAVE_S
    while child.poll() is None and time.monotonic() < deadline:
        try:
            child.wait(LISTEN_S)
        except subprocess.TimeoutExpired:
            continue
    if child.poll() is None:
        child.kill()
        child.wait()
