"""One command of a running daemon, asked as curl would: for benchmarks that set something up rather than measure it."""

import json
import socket
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

PATIENCE_S = 120.0


class _Unix(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("x", timeout=PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def call(path: Path, command: str, params: object) -> dict[str, Any]:
    """Raises RuntimeError for an answer that is not 200."""
    connection = _Unix(path)
    try:
        connection.request("POST", f"/genome/{command}", json.dumps(params), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{command}: {answer.status} {body.decode()}")
    found: dict[str, Any] = json.loads(body)["result"]
    return found
