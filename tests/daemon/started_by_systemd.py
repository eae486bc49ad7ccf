"""A daemon as systemd starts one, without systemd: this process holds its socket and hears what it says.

The listening socket stays open here across restarts of the daemon, as PID 1 keeps that of a .socket unit.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from types import MappingProxyType

from tests.daemon.daemon_process import CONFIGURATION, DaemonProcess
from tests.patience import PATIENCE_S

AS_DESCRIPTOR_3 = 'exec 3<&"$HELD"; unset HELD; export LISTEN_PID=$$; exec "$@"'
"""bash: `$$` is the process id that the daemon will have, since it takes this shell's place."""


class Ear:
    """A real datagram socket, as NOTIFY_SOCKET names one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self.heard: list[dict[str, str]] = []

    def next(self, limit_s: float = PATIENCE_S) -> dict[str, str]:
        """The next message, its lines by their names. Raises TimeoutError."""
        self._socket.settimeout(limit_s)
        lines = [line.partition("=") for line in self._socket.recv(65536).decode().splitlines()]
        message = {name: value for name, _, value in lines}
        self.heard.append(message)
        return message

    def until(self, name: str, value: str = "1") -> dict[str, str]:
        """The first message from now on that says so."""
        deadline = monotonic() + PATIENCE_S
        while monotonic() < deadline:
            message = self.next()
            if message.get(name) == value:
                return message
        raise AssertionError(f"{name}={value} was not said: {self.heard[-20:]}")

    def is_silent_for(self, seconds: float) -> bool:
        """Nothing came; what had come before is drained first, by the caller."""
        try:
            self.next(seconds)
        except TimeoutError:
            return True
        return False

    def drain(self) -> None:
        while not self.is_silent_for(0.001):
            pass

    def close(self) -> None:
        self._socket.close()


class HeldDaemon(DaemonProcess):
    """Starts with the held socket as descriptor 3. held: listening already, so a connection waits for the daemon.

    program: what Python runs.
    """

    def __init__(self, folder: Path, **given: Mapping[str, str]) -> None:
        super().__init__(folder, configuration=CONFIGURATION, **given)
        self.socket.parent.mkdir(mode=0o700)
        self.held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.held.bind(str(self.socket))
        self.held.listen(1024)
        self.listen_names = "api"
        self.program: tuple[str, str] = ("-m", "genomed.daemon")

    def spawn(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, *self.program, "--data-dir", str(self.data)]
        variables = {"HELD": str(self.held.fileno()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": self.listen_names}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["bash", "-c", AS_DESCRIPTOR_3, "bash", *command, "--config", str(self.folder / "config.toml")],
                stdout=log,
                stderr=log,
                env={**os.environ, **variables, **self.environment},
                pass_fds=(self.held.fileno(),),
            )
        return self.process


@contextmanager
def held_daemon(environment: Mapping[str, str] = MappingProxyType({})) -> Iterator[HeldDaemon]:
    """Not started yet; killed at the end."""
    with tempfile.TemporaryDirectory(prefix="gn", dir="/tmp") as folder:
        daemon = HeldDaemon(Path(folder), environment=environment)
        try:
            yield daemon
        finally:
            if daemon.process is not None:
                daemon.process.send_signal(signal.SIGCONT)
            daemon.kill()
            daemon.held.close()


@contextmanager
def ear() -> Iterator[Ear]:
    with tempfile.TemporaryDirectory(prefix="gn", dir="/tmp") as folder:
        listening = Ear(Path(folder) / "notify")
        try:
            yield listening
        finally:
            listening.close()
