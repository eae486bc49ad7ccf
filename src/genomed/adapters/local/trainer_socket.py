"""Workers started by a service manager: the daemon asks at a socket, and each connection becomes one worker.

For a daemon that is confined too tightly to train. Keeps the promises of `worker_process.Starter`: the lock travels
with the request, so the worker holds it as a child would. Blocking: call it in a thread. See
`training/started_by_systemd.py` for the other end.
"""

import json
import os
import socket
from pathlib import Path

import msgspec
from msgspec import Struct

from genomed.adapters.local.worker_process import Start, Started, Starter, as_child

ANSWER_S = 60.0
"""A service manager starts an instance, and its interpreter, before there is an answer."""


SPAWN = "spawn"


class TrainerAway(OSError):
    """Nobody answers at the trainer's socket now; somebody may in a moment."""


class _Answer(Struct, frozen=True):
    pid: int | None = None
    refused: str | None = None


class Adopted:
    """Another process's child. Nobody here can know how it ends; that it ended, its lock tells."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def poll(self) -> int | None:
        return None


def starter_for(launch: str) -> Starter:
    """launch: as in the settings, `spawn` or `socket:PATH`."""
    return as_child if launch == SPAWN else through(socket_of(launch))


def socket_of(launch: str) -> Path:
    return Path(launch.removeprefix("socket:"))


def through(path: Path) -> Starter:
    """A starter that asks at the trainer's socket."""

    def start(asked: Start) -> Started:
        log = os.open(asked.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            request = json.dumps({"folder": str(asked.folder), "environment": asked.environment}).encode() + b"\n"
            with _connected(path, ANSWER_S) as connection:
                socket.send_fds(connection, [request], [asked.lock, log])
                return Adopted(_pid(_line(connection)))
        finally:
            os.close(log)

    return start


def ask_probe(path: Path, *, timeout_s: float) -> bytes:
    """What the interpreter behind the socket says of itself, as it printed it. Raises OSError, also for a time-out."""
    with _connected(path, timeout_s) as connection:
        connection.sendall(b'{"probe": true}\n')
        said = b""
        while more := connection.recv(65536):
            said += more
    return said


def _connected(path: Path, timeout_s: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    try:
        connection.connect(str(path))
    except OSError as error:
        connection.close()
        raise TrainerAway(error.errno, f"no trainer answers on {path}: {error.strerror}") from error
    return connection


def _line(connection: socket.socket) -> bytes:
    said = b""
    while not said.endswith(b"\n") and (more := connection.recv(65536)):
        said += more
    return said


def _pid(said: bytes) -> int:
    """Raises OSError where the trainer refuses, or ends without a word."""
    try:
        answer = msgspec.json.decode(said, type=_Answer)
    except msgspec.MsgspecError as broken:
        raise OSError(f"the trainer ended without an answer: {broken}") from broken
    if answer.pid is None:
        raise OSError(f"the trainer refuses: {answer.refused}")
    return answer.pid
