"""One worker in advance: started while nothing needs it, so that the next job does not wait for libraries to load.

Keeps the promises of `worker_process.Starter`, and leaves to the usual starter what it cannot serve. It is used once:
the next one is started after a job took it, if memory allows. Blocking: call it in a thread. See `training/warm.py` for
the other end.
"""

import json
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from subprocess import DEVNULL, Popen
from threading import Lock
from typing import NamedTuple

import msgspec
from msgspec import Struct

from genomed.adapters.local import memory
from genomed.adapters.local.settings import WORKER, LocalSettings
from genomed.adapters.local.worker_process import Start, Started, Starter, worker_environment

READY_S = 120.0
"""For what is left of its loading when a job comes: a fresh worker would have all of it before it."""
SINGLE = {
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
"""What keeps libraries from starting threads when they are loaded: those would escape a later confinement. The last is
of the allocator inside pyarrow.
"""


class _Said(Struct, frozen=True):
    ready: bool = False
    taken: bool = False
    refused: str | None = None


class _Waiting(NamedTuple):
    process: Popen[bytes]
    connection: socket.socket


class WarmWorkers:
    """A `Starter`. At most one process waits at a time."""

    def __init__(self, fallback: Starter, settings: LocalSettings) -> None:
        self._fallback, self._settings = fallback, settings
        self._gate = Lock()
        self._waiting: _Waiting | None = None
        self.served = 0
        self.refusal: str | None = None

    def __call__(self, start: Start) -> Started:
        with self._gate:
            waiting, self._waiting = self._waiting, None
        if waiting is None:
            return self._fallback(start)
        with waiting.connection:
            if self._fits(start) and self._taken(waiting, start):
                self.served += 1
                return waiting.process
        _end(waiting.process)
        return self._fallback(start)

    def _fits(self, start: Start) -> bool:
        return start.command[:2] == (self._settings.python, str(WORKER))

    def _taken(self, waiting: _Waiting, start: Start) -> bool:
        """False where it is gone, hangs, or cannot become that worker: then nothing of the job was begun."""
        log = os.open(start.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        request = {"arguments": start.command[2:], "folder": str(start.folder), "environment": start.environment}
        try:
            if not _said(waiting.connection).ready:
                return False
            socket.send_fds(waiting.connection, [json.dumps(request).encode() + b"\n"], [start.lock, log])
            said = _said(waiting.connection)
        except (OSError, msgspec.MsgspecError):
            return False
        finally:
            os.close(log)
        self.refusal = said.refused
        return said.taken

    def warm_up(self) -> None:
        """For the next job, unless memory is short or no process can be had: a favour, which no job may suffer from."""
        available = memory.available_bytes()
        if available is None or available < self._settings.memory_reserve_bytes + memory.PROCESS_BYTES:
            return
        with suppress(OSError):
            self.warm(worker_environment(os.environ, allow_hub=self._settings.allow_hub))

    def warm(self, environment: Mapping[str, str]) -> None:
        """Starts the next one, unless one waits already. Raises OSError."""
        with self._gate:
            if self._waiting is not None and self._waiting.process.poll() is None:
                return
            self._discard()
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            ours.settimeout(READY_S)
            with theirs:
                process = Popen(
                    self._command(theirs.fileno()),
                    env={**environment, **SINGLE},
                    stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL,
                    start_new_session=True, pass_fds=(theirs.fileno(),),
                )  # fmt: skip
            self._waiting = _Waiting(process, ours)

    def _command(self, descriptor: int) -> list[str]:
        settings = self._settings
        hub = ["--hub"] if settings.allow_hub else []
        asked = ["warm", "--descriptor", str(descriptor), "--idle-s", str(settings.warm_idle_s), *hub]
        return [settings.python, str(WORKER), *asked]

    def close(self) -> None:
        """Ends the one that waits. Workers at work are none of ours any more."""
        with self._gate:
            self._discard()

    def _discard(self) -> None:
        if self._waiting is not None:
            self._waiting.connection.close()
            _end(self._waiting.process)
            self._waiting = None


def _end(process: Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _said(connection: socket.socket) -> _Said:
    """Raises OSError, also for a time-out or an end; msgspec.MsgspecError for what is no word of ours."""
    line = b""
    while not line.endswith(b"\n"):
        more = connection.recv(4096)
        if not more:
            raise ConnectionResetError("it ended without a word")
        line += more
    return msgspec.json.decode(line, type=_Said)
