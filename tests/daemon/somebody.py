"""Another user of the machine: a process that gives up being root and then speaks to a socket.

Run as a script it imports nothing of ours: what it needs is loaded while it still may read it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

NOBODY = 65534

SCRIPT = """
import json, os, socket, sys
task = json.load(sys.stdin)
os.setgroups(task["groups"]); os.setgid(task["gid"]); os.setuid(task["uid"])
told = []
for text in task["requests"]:
    with socket.socket(socket.AF_UNIX) as wire:
        wire.settimeout(240)
        try:
            wire.connect(task["socket"])
        except OSError as error:
            told.append([0, error.strerror])
            continue
        wire.sendall(text.encode())
        answer = b""
        while part := wire.recv(65536):
            answer += part
        head, _, body = answer.partition(b"\\r\\n\\r\\n")
        told.append([int(head.split()[1]), body.decode()])
print(json.dumps(told))
"""


def asked(
    name: str, params: object = None, *, token: str | None = None, method: str = "POST", path: str | None = None
) -> str:
    """One request as it goes over the wire; the connection ends with its answer."""
    body = json.dumps(params or {}) if method == "POST" else ""
    authorization = f"Authorization: Bearer {token}\r\n" if token is not None else ""
    return (
        f"{method} {path or f'/genome/{name}'} HTTP/1.1\r\nHost: daemon\r\nConnection: close\r\n{authorization}"
        f"Content-Type: application/json\r\nContent-Length: {len(body.encode())}\r\n\r\n{body}"
    )


def told_to(
    socket: Path | str, requests: Sequence[str], *, uid: int, gid: int | None = None, groups: Sequence[int] = ()
) -> list[tuple[int, Any]]:
    """Status and body of each answer, to a process of this user; status 0 where it could not even connect."""
    task: Mapping[str, object] = {
        "socket": str(socket),
        "requests": list(requests),
        "uid": uid,
        "gid": uid if gid is None else gid,
        "groups": list(groups),
    }
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", SCRIPT], input=json.dumps(task), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [(status, _read(body)) for status, body in json.loads(done.stdout)]


def _read(body: str) -> Any:
    try:
        return json.loads(body)
    except json.JSONDecodeError:
        return body
