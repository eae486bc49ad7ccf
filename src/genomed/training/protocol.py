"""The files a worker and its daemon speak through: progress lines, the control wish, the worker's identity, its pulse.

Knows how a line reaches the disk whole and once. Does not know what the lines mean.
"""

import json
import math
import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Literal, Self

Wish = Literal["pause", "cancel"]
PULSE_S = 2.0
"""How often the heartbeat file is touched; the daemon calls a worker stalled after a multiple of it."""


class Progress:
    """Appends one JSON line per fact, each with one write(); `seq` goes on from what an existing file holds."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._seq = self._mend(path)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    @staticmethod
    def _mend(path: Path) -> int:
        """The last sequence number; a torn last line is closed, so that the next one starts on a line of its own."""
        try:
            held = path.read_bytes()
        except FileNotFoundError:
            return 0
        if held and not held.endswith(b"\n"):
            with path.open("ab") as torn:
                torn.write(b"\n")
        for line in reversed(held.splitlines()):
            try:
                return int(json.loads(line)["seq"])
            except (ValueError, KeyError, TypeError):
                continue
        return 0

    def tell(self, kind: str, /, **facts: object) -> None:
        with self._lock:
            self._seq += 1
            line = json.dumps(
                {"seq": self._seq, "at": time.time(), "type": kind, **{key: _plain(v) for key, v in facts.items()}},
                separators=(",", ":"),
                ensure_ascii=False,
                allow_nan=False,
            )
            data = line.encode("utf-8", "backslashreplace") + b"\n"
            written = os.write(self._file, data)
            if written != len(data):
                raise OSError(f"progress line cut after {written} of {len(data)} bytes")

    def close(self) -> None:
        with self._lock:
            os.fsync(self._file)
            os.close(self._file)


def _plain(value: object) -> object:
    """A number that is no number is unknown: null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Wishes:
    """What the daemon, or a SIGTERM, wants of a running worker. Reading costs one stat() while nothing changes."""

    def __init__(self, control: Path) -> None:
        self._control = control
        self._seen: tuple[int, int] | None = None
        self._wish: Wish | None = None
        self._terminated = False

    def listen(self) -> None:
        """SIGTERM becomes a pause. Only in the main thread of the worker's own process."""
        signal.signal(signal.SIGTERM, self._on_term)

    def _on_term(self, _signal: int, _frame: FrameType | None) -> None:
        self._terminated = True

    def now(self) -> Wish | None:
        try:
            stat = self._control.stat()
        except FileNotFoundError:
            return "pause" if self._terminated else None
        if (mark := (stat.st_mtime_ns, stat.st_ino)) != self._seen:
            self._wish = self._read()
            self._seen = mark
        return self._wish or ("pause" if self._terminated else None)

    def _read(self) -> Wish | None:
        try:
            want = json.loads(self._control.read_bytes())["want"]
        except (OSError, ValueError, KeyError, TypeError):
            return self._wish
        return want if want in ("pause", "cancel") else None


class Heartbeat:
    """Touches a file from a thread of its own, so that a long step still looks alive and a dead process does not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._path.touch()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(timeout=PULSE_S)

    def _beat(self) -> None:
        while not self._done.wait(PULSE_S):
            self._path.touch()


def start_ticks(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat, proc_pid_stat(5): with the pid it names a process once. None without a /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])


def write_atomically(path: Path, document: object) -> None:
    """Beside, fsync, rename, fsync of the folder: a reader sees the old file or the whole new one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("w", encoding="utf-8") as file:
        json.dump(document, file, indent=1, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
