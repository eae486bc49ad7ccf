"""Servers and programs in processes of their own: started, asked whether they answer, weighed, and ended.

Knows processes and a plain HTTP question over a Unix socket. Measures nothing but a program's own time and memory.
"""

import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
START_LIMIT_S = 60.0
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

CONFIGURATION = """
[learning]
base_model = "benchmark-model"
[learning.trigger]
enabled = false
"""
"""Captures must not start a training while something else is measured."""


class Served(NamedTuple):
    """A running server. seconds: from the start of the process to its first answer."""

    socket: Path
    pid: int
    seconds: float


class Ran(NamedTuple):
    """A program that ended well. peak_bytes: of resident memory, 0 when it was not weighed."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *arguments]


def daemon_command(folder: Path) -> list[str]:
    """The daemon with its data, configuration and socket `s` below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "config.toml"
    configuration.write_text(CONFIGURATION, encoding="utf-8")
    where = ("--data-dir", str(folder / "data"), "--socket", str(folder / "s"), "--config", str(configuration))
    return module("genomed.daemon", *where)


@contextmanager
def serving(command: Sequence[str], listening: Path, *, hello: bytes = HEALTH) -> Iterator[Served]:
    """Until the block ends; then SIGTERM. hello: what is sent to see whether it answers."""
    log = listening.with_suffix(".log")
    began = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        while not _answers(listening, hello):
            if process.poll() is not None or time.perf_counter() - began > START_LIMIT_S:
                raise RuntimeError(f"{command} does not answer: {log.read_text(encoding='utf-8')}")
            time.sleep(0.002)
        yield Served(listening, process.pid, time.perf_counter() - began)
    finally:
        process.terminate()
        process.wait(START_LIMIT_S)


def _answers(listening: Path, hello: bytes) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(START_LIMIT_S)
        try:
            asking.connect(str(listening))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        asking.sendall(hello)
        return bool(asking.recv(65536))


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def ran(command: Sequence[str], *, cwd: Path = ROOT, log: Path | None = None, weigh: bool = False) -> Ran:
    """weigh: also look at its memory ten times a second. Raises RuntimeError when it ends with another code than 0."""
    peak_bytes = 0
    with (log or Path(os.devnull)).open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        while weigh and os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            peak_bytes = max(peak_bytes, high_water_bytes(process.pid))
            time.sleep(0.1)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = log.read_text(encoding="utf-8", errors="replace")[-2000:] if log else ""
        raise RuntimeError(f"{command} ended with {process.returncode}: {said}")
    return Ran(seconds, used.ru_utime + used.ru_stime, peak_bytes)


def high_water_bytes(pid: int | None = None) -> int:
    """Of this program alone: ru_maxrss would count what we were at the fork. 0 once it is over."""
    for line in Path(f"/proc/{pid or 'self'}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
