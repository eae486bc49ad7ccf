"""The files a worker and its daemon speak through: progress lines, the control wish, the worker's identity, its pulse.

Knows how a line reaches the disk whole and once. Does not know what the lines mean.
"""

import errno
import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Literal, Self

Wish = Literal["pause", "cancel"]
PULSE_S = 2.0
"""How often the heartbeat file is touched; the daemon calls a worker stalled after a multiple of it."""
GONE_PULSES = 15
"""Pulses in a row without a home before a worker ends: a file server may be away for a moment."""
GONE_CODE = 74
"""EX_IOERR of sysexits(3)."""
LONGEST_DEBT_BYTES = 1 << 22
"""Of lines that a full disk did not take: hours of steps. With more than that the run is not worth going on with."""
LAST_WORDS_S = 60.0
"""How long a worker that has ended waits for a full disk to take its last line."""
ENDINGS = ("finished", "stopped", "failed")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Progress:
    """Appends one JSON line per fact, each with one write(); `seq` goes on from what an existing file holds.

    What a full disk does not take is owed, and written in its order when there is room again: no line is torn, and no
    training ends for want of a few bytes.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._path, self._owed = path, b""
        self.ended = self._closed = False
        self._told_at = time.monotonic()
        self._seq = self._mend(path)
        self._file = self._open()
        self._home = _number_of(path.parent)
        self._listener: Callable[[str, Mapping[str, object]], None] | None = None

    def attach(self, listener: Callable[[str, Mapping[str, object]], None]) -> None:
        """Who else hears what is told, after it was written."""
        self._listener = listener

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

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
            self._owed += line.encode("utf-8", "backslashreplace") + b"\n"
            self._told_at = time.monotonic()
            self.ended = self.ended or kind in ENDINGS
            self._pay()
            if len(self._owed) > LONGEST_DEBT_BYTES:
                raise OSError(
                    errno.ENOSPC, f"{len(self._owed)} bytes of progress could not be written", str(self._path)
                )
        if self._listener is not None:
            self._listener(kind, facts)

    def _pay(self) -> None:
        while self._owed:
            try:
                written = os.write(self._file, self._owed)
            except OSError as trouble:
                if trouble.errno not in FULL:
                    raise
                return
            self._owed = self._owed[written:]

    def work(self) -> None:
        """A sign that something goes on where there is nothing to tell: the file's time, every few seconds at most."""
        if time.monotonic() - self._told_at > PULSE_S:
            self._told_at = time.monotonic()
            with suppress(OSError):
                os.utime(self._file)

    def has_home(self) -> bool:
        """Whether the attempt's folder is still where it was: not deleted, moved or exchanged for a copy.

        A file that was taken out of it is made again, so that what is told next is told to somebody.
        """
        with self._lock:
            if self._home != _number_of(self._path.parent):
                return False
            if not self._closed and _number_of(self._path) != _number_of(self._file):
                with suppress(OSError):
                    again = self._open()
                    os.close(self._file)
                    self._file = again
            return True

    def close(self, *, patience_s: float = LAST_WORDS_S) -> None:
        """Raises OSError where the last words could not be written in that time: then they were not said."""
        deadline = time.monotonic() + patience_s
        with self._lock:
            self._pay()
            while self._owed and time.monotonic() < deadline:
                time.sleep(1.0)  # space that somebody else gives back wakes nobody
                self._pay()
            if self._owed:
                raise OSError(errno.ENOSPC, "the end could not be told", str(self._path))
            os.fsync(self._file)
            os.close(self._file)
            self._closed = True


def _number_of(file: Path | int) -> tuple[int, int] | None:
    """Device and number, which a copy does not share."""
    try:
        found = os.fstat(file) if isinstance(file, int) else file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


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
    """Touches a file from a thread of its own, so that a long step still looks alive and a dead process does not.

    A worker whose folder is gone ends: nobody will ever read what it does, and in a copy of the folder another may be
    at work already.
    """

    def __init__(self, path: Path, *, progress: Progress, pulse_s: float = PULSE_S) -> None:
        self._path, self._progress, self._pulse_s = path, progress, pulse_s
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
        homeless = 0
        while not self._done.wait(self._pulse_s):
            if self._progress.has_home():
                homeless = 0
                with suppress(OSError):
                    self._path.touch()
            elif (homeless := homeless + 1) >= GONE_PULSES:
                sys.stderr.write(f"{self._path.parent} is gone or another: the worker ends\n")
                sys.stderr.flush()
                os._exit(GONE_CODE)


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
