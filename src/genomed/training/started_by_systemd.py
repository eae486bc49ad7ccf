"""What a service manager starts for each connection to the trainer's socket: reads one request and becomes the worker.

For daemons that are confined too tightly to train themselves. The standard library alone, in one file, run by its path.
A request names an attempt's folder and brings two descriptors: the attempt's lock, held, and its log. Little of it is
believed: the caller must be our own user, the folder must lie in the data folder, the lock must be that attempt's own.
What is run is said by the files there, never by the request. Knows nothing of training.
"""

import argparse
import fcntl
import json
import os
import re
import socket
import stat
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

WORKER = Path(__file__).resolve().with_name("__main__.py")
REQUEST_MAX_BYTES = 64 * 1024
PATIENCE_S = 10.0
"""For a caller that connects and says nothing."""

JOBS, ERRANDS = "jobs", "errands"
ATTEMPT = re.compile(r"attempt-[0-9]{1,9}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


class Refused(Exception):
    """The request is not carried out, and the caller is told why."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="genomed-trainer", description="Becomes the worker that a connection asks for."
    )
    parser.add_argument("--data-dir", help="the daemon's data folder (default: the unit's state directory)")
    given = parser.parse_args(arguments)
    connection = socket.socket(fileno=os.dup(0))
    connection.settimeout(PATIENCE_S)
    try:
        _only_from_ourselves(connection)
        request, descriptors = _request(connection)
        data_dir = given.data_dir or os.environ.get("STATE_DIRECTORY", "").split(":")[0]
        if request.get("probe") is True:
            return _become_probe(connection)
        return _become_worker(connection, request, descriptors, data_dir)
    except (Refused, OSError) as refusal:
        sys.stderr.write(f"refused: {refusal}\n")
        _answer(connection, {"refused": str(refusal)})
        return 1


def _only_from_ourselves(connection: socket.socket) -> None:
    if connection.family != socket.AF_UNIX:
        raise Refused("only a Unix socket says who calls")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    if uid not in (os.geteuid(), 0):
        raise Refused(f"uid {uid} is not the daemon's ({os.geteuid()})")


def _request(connection: socket.socket) -> tuple[dict[str, object], list[int]]:
    """One line of JSON, with the descriptors that came beside its first byte."""
    text, descriptors, _, _ = socket.recv_fds(connection, REQUEST_MAX_BYTES, 2)
    while text and not text.endswith(b"\n") and len(text) <= REQUEST_MAX_BYTES:
        more = connection.recv(REQUEST_MAX_BYTES)
        if not more:
            break
        text += more
    try:
        request = json.loads(text)
    except (ValueError, RecursionError) as broken:
        raise Refused(f"the request is not JSON: {broken}") from None
    if not isinstance(request, dict):
        raise Refused("the request is not a JSON object")
    return request, descriptors


def _become_probe(connection: socket.socket) -> int:
    """Its answer goes down the connection, which ends with it."""
    connection.settimeout(None)
    os.dup2(connection.fileno(), 1)
    _silence_stdin()
    os.execv(sys.executable, [sys.executable, str(WORKER), "probe"])  # noqa: S606 - no shell is wanted


def _become_worker(
    connection: socket.socket, request: Mapping[str, object], descriptors: Sequence[int], data_dir: str
) -> int:
    folder = _folder(request.get("folder"), data_dir)
    if len(descriptors) != 2:
        raise Refused(f"{len(descriptors)} descriptors came instead of the lock and the log")
    lock, log = descriptors
    _is_held_lock(lock, folder.with_name(f"{folder.name}.lock"))
    _is_same_file(log, folder / "worker.log")
    policy = folder.with_name(f"{folder.name}.policy.json")
    verb = "errand" if folder.parent.parent.name == ERRANDS else "run"
    said = ["confine", str(policy)] if policy.exists() else [verb, str(folder / "spec.json")]
    environment = _environment(request.get("environment"))
    if os.getsid(0) != os.getpid():
        os.setsid()  # systemd has done so; its trial tool has not
    os.chdir(folder)
    os.set_inheritable(lock, True)
    os.dup2(log, 1)
    os.dup2(log, 2)
    _answer(connection, {"pid": os.getpid()})
    connection.close()
    _silence_stdin()
    os.execve(sys.executable, [sys.executable, str(WORKER), *said], environment)  # noqa: S606 - no shell is wanted


def _folder(named: object, data_dir: str) -> Path:
    """Raises Refused unless, all links followed, it is an attempt's folder among the jobs of the data folder."""
    if not data_dir:
        raise Refused("no data folder is known: neither --data-dir nor STATE_DIRECTORY")
    if not isinstance(named, str) or not named.startswith("/"):
        raise Refused("the request names no absolute folder")
    homes, folder = [Path(data_dir, home).resolve() for home in (JOBS, ERRANDS)], Path(named).resolve()
    if folder.parent.parent not in homes or not ATTEMPT.fullmatch(folder.name):
        raise Refused(f"{named} is no attempt in {homes[0]}")
    specification = folder / "spec.json"
    if not specification.is_file() or specification.is_symlink():
        raise Refused(f"{named} holds no specification")
    return folder


def _is_same_file(descriptor: int, path: Path) -> None:
    """Raises Refused unless the descriptor is open on the very file at `path`, which is a plain one."""
    found, wanted = os.fstat(descriptor), path.lstat()
    if not stat.S_ISREG(wanted.st_mode) or (found.st_dev, found.st_ino) != (wanted.st_dev, wanted.st_ino):
        raise Refused(f"the descriptor that came is not {path.name}")


def _is_held_lock(descriptor: int, path: Path) -> None:
    """Asked through another description of the file, to which the lock that came with the request is a stranger's."""
    _is_same_file(descriptor, path)
    probe = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(probe, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    finally:
        os.close(probe)
    raise Refused("the attempt's lock is not held")


def _environment(wanted: object) -> dict[str, str]:
    """The unit's own, and of the request what the unit does not set. Nothing that steers the loader."""
    ours = dict(os.environ)
    asked = wanted if isinstance(wanted, dict) else {}
    for name, value in asked.items():
        fits = isinstance(name, str) and isinstance(value, str) and VARIABLE.fullmatch(name) and "\0" not in value
        if fits and name not in ours and not name.startswith(("LD_", "PYTHON")):
            ours[name] = value
    return ours


def _answer(connection: socket.socket, said: Mapping[str, object]) -> None:
    """A caller that is gone needs no answer: the lock tells the next one."""
    try:
        connection.sendall(json.dumps(said).encode() + b"\n")
    except OSError as gone:
        sys.stderr.write(f"not answered: {gone}\n")


def _silence_stdin() -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
