"""Ends a worker that takes more memory than it may, with everything it started, before the machine suffers for it.

Politely first, so that the worker may write a checkpoint; then by force. The verdict is on disk before the first
signal, so that a later daemon goes on with it and tells the same. Knows sessions and sizes. Blocking.
"""

import signal
from pathlib import Path
from threading import Lock

import msgspec
from msgspec import Struct

from genomed.adapters._durable_files import write_atomically
from genomed.adapters.local import memory
from genomed.adapters.local.attempt_folder import AttemptFolder
from genomed.adapters.local.control_group import Group
from genomed.adapters.local.sessions import members, memory_bytes, oom_kills
from genomed.adapters.local.settings import LocalSettings
from genomed.adapters.local.worker_process import Workers, record_in, session_of
from genomed.entities.errors import ErrorBody, ErrorKind

KILL_AFTER_TERM_S = 10.0
SHORTAGE_LOOKS = 3
"""Looks in a row that must find the machine short: others come and go, and a run of hours is worth a moment's wait."""

SMALLER = "use a smaller model, batchSize or sequenceLength, or enable gradient_checkpointing"
KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
"""As subprocess tells it of a child, and as bubblewrap passes it on."""


class Verdict(Struct, frozen=True, kw_only=True, rename="camel"):
    """Why we end it. at_us: when that was decided. lost: it hangs, and another attempt is to go on in its place."""

    message: str
    remedy: str
    at_us: int
    lost: bool = False

    def error(self) -> ErrorBody:
        return ErrorBody(
            kind=ErrorKind.CAPACITY, message=self.message, remedy=self.remedy, retryable=True, provider="local"
        )


class MemoryGuard:
    """One per daemon: a shortage of the machine ends one worker at a time, for that may suffice."""

    def __init__(self, workers: Workers, settings: LocalSettings) -> None:
        self._workers, self._settings = workers, settings
        self._short: dict[Path, int] = {}
        self._ended_for_shortage: AttemptFolder | None = None
        self._judging = Lock()

    def look(self, folder: AttemptFolder, *, now_us: int) -> None:
        """At a worker that lives. Signals nobody but its own session."""
        verdict = verdict_in(folder) or self._judge(folder, now_us)
        if verdict is None:
            return
        late = now_us - verdict.at_us >= KILL_AFTER_TERM_S * 1e6
        self._workers.signal(folder, signal.SIGKILL if late else signal.SIGTERM)
        if verdict.lost:  # one that was stopped hears nothing before it goes on
            self._workers.signal(folder, signal.SIGCONT)

    def _judge(self, folder: AttemptFolder, now_us: int) -> Verdict | None:
        found = self._over_limit(folder)
        if found is None:
            with self._judging:  # workers are looked at in several threads, and one of them is to be chosen
                found = self._shortage(folder)
        if found is None:
            return None
        message, remedy = found
        return kept(folder, Verdict(message=message, remedy=remedy, at_us=now_us))

    def _over_limit(self, folder: AttemptFolder) -> tuple[str, str] | None:
        limit = self._settings.memory_limit_bytes
        if limit is None:
            return None
        held, count = _held(folder)
        if held <= limit:
            return None
        message = f"the worker and its children held {memory.gib(held)} GiB in {count} processes"
        return f"{message}; memory_limit_bytes allows {memory.gib(limit)} GiB", f"{SMALLER}, or raise the limit"

    def _shortage(self, folder: AttemptFolder) -> tuple[str, str] | None:
        reserve, available = self._settings.memory_reserve_bytes, memory.available_bytes()
        if available is None or available >= reserve:
            self._short.pop(folder.root, None)
            return None
        self._short[folder.root] = self._short.get(folder.root, 0) + 1
        if self._short[folder.root] < SHORTAGE_LOOKS or self._is_ending_another(folder):
            return None
        self._short.pop(folder.root)
        self._ended_for_shortage = folder
        held, count = _held(folder)
        message = (
            f"only {memory.gib(available)} GiB of this machine's memory were left, {memory.gib(reserve)} GiB are kept"
        )
        whose = f"the worker held {memory.gib(held)} GiB in {count} processes"
        return f"{message} (memory_reserve_bytes); {whose}", f"{SMALLER}, or end what else needs memory, then resume"

    def _is_ending_another(self, folder: AttemptFolder) -> bool:
        other = self._ended_for_shortage
        return other is not None and other != folder and self._workers.alive(other)


def _held(folder: AttemptFolder) -> tuple[int, int]:
    """Bytes and processes; none when nobody is surely the worker."""
    session = session_of(folder)
    found = [] if session is None else members(session)
    return memory_bytes(found), len(found)


def verdict_in(folder: AttemptFolder) -> Verdict | None:
    try:
        return msgspec.json.decode(folder.verdict.read_bytes(), type=Verdict)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def killed_for_memory(folder: AttemptFolder, workers: Workers, *, now_us: int) -> Verdict | None:
    """Of a worker that is gone and that we did not end: that the kernel did, where that is certain. Kept like ours."""
    record = record_in(folder)
    if record is None:
        return None
    in_group = 0 if record.group is None else Group(record.group).oom_kills()
    since = kills_since(folder)
    if not in_group and not (workers.code(folder) in KILLED and since):
        return None
    where = "its control group" if in_group else "this machine"
    message = (
        f"the kernel ended the worker for want of memory ({in_group or since} processes of {where} since it began)"
    )
    return kept(folder, Verdict(message=message, remedy=SMALLER, at_us=now_us))


def died_for_memory(folder: AttemptFolder, last_lines: str, *, now_us: int) -> Verdict | None:
    """Of a worker that ended without an ending, by the end of its log: libraries in C leave without Python's knowing.

    Another attempt would end there as well, so it is not lost but failed.
    """
    found = next((line for line in last_lines.splitlines()[-3:] if any(word in line for word in ABORTS)), None)
    if found is None:
        return None
    message = f"the worker found no memory: {found.strip()[:500]}"
    return kept(folder, Verdict(message=message, remedy=f"{SMALLER}, or raise its limits", at_us=now_us))


ABORTS = ("allocation still failed", "bad_alloc", "annot allocate memory", "can't allocate memory", "MemoryError")
"""Of OpenBLAS (seen under RLIMIT_AS), C++, the C library, torch's allocator, and Python where nothing else was left."""


def kept(folder: AttemptFolder, verdict: Verdict) -> Verdict:
    write_atomically(folder.verdict, msgspec.json.encode(verdict))
    return verdict


def kills_since(folder: AttemptFolder) -> int:
    """Processes of this machine that the kernel ended for memory since the worker was started."""
    record, now = record_in(folder), oom_kills()
    then = None if record is None else record.oom_kills
    return max(0, now - then) if now is not None and then is not None else 0
