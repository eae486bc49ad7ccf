"""A whole daemon in a process of its own, spoken to over its socket: it can be killed, stopped and started again."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, socket
from time import monotonic, sleep
from types import MappingProxyType
from typing import Any

import msgspec
from tests.patience import PATIENCE_S

Json = dict[str, Any]


CONFIGURATION = """
[courier.poll_s]
simulated = 0.02

[learning]
base_model = "tiny"
"""


class UnixConnection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("daemon", timeout=PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket(AF_UNIX, SOCK_STREAM)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(str(self._path))


class DaemonProcess:
    """`folder` is short, for the socket's sake. `start` after `kill` is the same daemon again.

    environment: beside the test's own. files: how many it may have open, as `ulimit -n`.
    """

    def __init__(
        self, folder: Path, *, configuration: str = CONFIGURATION, environment: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.folder, self.data, self.socket = folder, folder / "data", folder / "run" / "s"
        self.log = folder / "daemon.log"
        (folder / "config.toml").write_text(configuration)
        self.environment = environment
        self.files: int | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def spawn(self) -> subprocess.Popen[bytes]:
        limited = ["prlimit", f"--nofile={self.files}:{self.files}"] if self.files else []
        command = [*limited, sys.executable, "-m", "genomed.daemon"]
        command += ["--data-dir", str(self.data), "--socket", str(self.socket)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--config", str(self.folder / "config.toml")],
                stdout=log,
                stderr=log,
                env=os.environ | self.environment,
            )
        return self.process

    def start(self) -> None:
        process = self.spawn()
        deadline = monotonic() + PATIENCE_S
        while True:
            try:
                self.health()
                return
            except (OSError, HTTPException):
                assert process.poll() is None, self.log.read_text()
                assert monotonic() < deadline, self.log.read_text()
                sleep(0.02)

    def kill(self) -> None:
        """As `kill -9` does it: nothing is flushed, nobody is told."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """Asked to stop; the exit code."""
        assert self.process is not None
        self.process.send_signal(with_signal)
        code = self.process.wait(timeout=PATIENCE_S)
        self.process = None
        return code

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        connection = UnixConnection(self.socket)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def health(self) -> Json:
        status, body = self.request("GET", "/healthz")
        assert status == 200
        found: Json = msgspec.json.decode(body)
        return found

    def position(self) -> int:
        return int(self.health()["head"]["position"])

    def answer(self, name: str, params: object = None, *, key: str | None = None) -> Json:
        """The whole body: result or error, head, replayed."""
        headers = {"Idempotency-Key": key} if key else {}
        _, body = self.request("POST", f"/genome/{name}", msgspec.json.encode(params or {}), headers)
        answer: Json = msgspec.json.decode(body)
        return answer

    def call(self, name: str, params: object = None, *, key: str | None = None) -> Json:
        answer = self.answer(name, params, key=key)
        assert "result" in answer, (answer, self.log.read_text()[-3000:])
        return dict(answer["result"])

    def wait_for_end(self, job_id: str) -> Json:
        deadline = monotonic() + PATIENCE_S
        while True:
            job: Json = self.call("job-status", {"jobId": job_id})["job"]
            if job["status"] in ("succeeded", "failed", "cancelled"):
                return job
            assert monotonic() < deadline, (job, self.log.read_text()[-3000:])
            sleep(0.01)

    def events(self, *, after: int = 0) -> list[Json]:
        """Everything after a position, as the event door tells it."""
        _, body = self.request("GET", f"/events?after={after}&follow=false")
        return [
            msgspec.json.decode(line.removeprefix(b"data: ")) for line in body.splitlines() if line.startswith(b"data:")
        ]


@contextmanager
def daemon_process(
    *,
    configuration: str = CONFIGURATION,
    environment: Mapping[str, str] = MappingProxyType({}),
    files: int | None = None,
) -> Iterator[DaemonProcess]:
    """A daemon that runs, in a fresh short folder; whatever is left of it is killed at the end."""
    with tempfile.TemporaryDirectory(prefix="gn", dir="/tmp") as folder:
        daemon = DaemonProcess(Path(folder), configuration=configuration, environment=environment)
        daemon.files = files
        try:
            daemon.start()
            yield daemon
        finally:
            daemon.kill()


def toml(settings: Mapping[str, object], within: str = "") -> str:
    """Sections of settings as a configuration file: one dotted line each."""
    lines = []
    for name, value in settings.items():
        key = f"{within}{msgspec.json.encode(name).decode()}"
        if isinstance(value, Mapping):
            lines.append(toml(value, f"{key}."))
        else:
            lines.append(f"{key} = {msgspec.json.encode(value).decode()}\n")
    return "".join(lines)


def our_uid() -> str:
    return f"uid:{os.getuid()}"
