"""Worker processes: started once, found again by any later daemon, signalled only when they are surely ours.

A worker inherits a locked file descriptor. The lock falls with the process, whatever kills it, and no pid can be
mistaken for another; so "does it live" has an answer even between the start and the first word written. The process
id with its start time says whom to signal. Blocking: call it in a thread. Does not know what a worker does, nor how
it is confined.
"""

import fcntl
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen
from threading import Lock
from time import monotonic, sleep
from typing import Protocol
from weakref import WeakValueDictionary

import msgspec
from msgspec import Struct

from genomed.adapters._durable_files import write_atomically
from genomed.adapters.local.attempt_folder import AttemptFolder
from genomed.adapters.local.sessions import command_line, everybody, oom_kills
from genomed.adapters.local.worker_file import read_plain
from genomed.entities.confinement_events import Confinement

PASSED = (
    "PATH", "HOME", "USER", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "XDG_CACHE_HOME",
    "HF_HOME", "HF_HUB_CACHE", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF",
)  # fmt: skip
PASSED_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "NCCL_")
PASSED_FOR_HUB = ("HF_ENDPOINT", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR")
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


LEAVE_S = 5.0
"""For a worker to leave after its last word; an interpreter that lets go of a GPU takes a second or two."""

GONE_S = 5.0
"""For a killed worker to be gone: one that waits for a disk cannot die before the disk answers."""

LOOK_AGAIN_S = 0.02


class Identity(Struct, frozen=True, kw_only=True, rename="camel"):
    """A process, once and for all: ids are reused, start times in one boot are not. start_ticks: null without /proc."""

    pid: int
    start_ticks: int | None = None


class Record(Struct, frozen=True, kw_only=True, rename="camel"):
    """started.json: whom we started, how confined, and how many processes the kernel had ended for memory by then.

    group: its control group, by path. lock: the lock file by device and number, so that a copy of the folder (put back
    from a backup, say, while the worker lives) claims nobody.
    """

    pid: int
    start_ticks: int | None = None
    oom_kills: int | None = None
    confinement: Confinement | None = None
    group: str | None = None
    lock: tuple[int, int] | None = None

    @property
    def identity(self) -> Identity:
        return Identity(pid=self.pid, start_ticks=self.start_ticks)


def worker_environment(ours: Mapping[str, str], *, allow_hub: bool) -> dict[str, str]:
    """What a worker inherits: a list of what it needs, so that no key of a provider can slip through."""
    names = PASSED + PASSED_FOR_HUB if allow_hub else PASSED
    passed = {name: value for name, value in ours.items() if name in names or name.startswith(PASSED_PREFIXES)}
    return passed | {"TOKENIZERS_PARALLELISM": "false"} | ({} if allow_hub else OFFLINE)


def start_ticks(pid: int) -> int | None:
    """When it started, in clock ticks since boot; None when it is gone or a zombie. Source: proc_pid_stat(5)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # the name in parentheses may itself hold spaces and parentheses; what follows starts with field 3, the state
    after_name = stat.rpartition(")")[2].split()
    return None if after_name[0] in "ZX" else int(after_name[19])


def identity_in(path: Path) -> Identity | None:
    try:
        return msgspec.json.decode(read_plain(path), type=Identity)
    except (FileNotFoundError, UnicodeDecodeError, msgspec.MsgspecError):
        return None


def is_running(identity: Identity | None) -> bool:
    return (
        identity is not None and identity.start_ticks is not None and start_ticks(identity.pid) == identity.start_ticks
    )


class Start(Struct, frozen=True, kw_only=True):
    """A worker to be started. lock: a descriptor that it must inherit, and keep as long as it lives. log: takes its
    output and its errors.
    """

    command: tuple[str, ...]
    environment: dict[str, str]
    folder: Path
    lock: int
    log: Path


class Started(Protocol):
    """What was started: the leader of a session and process group of its own."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """How it ended, as subprocess tells it; None while it runs, and where nobody can know."""
        ...


Starter = Callable[[Start], Started]
"""The one seam through which workers come to life. Another one (a socket of a service manager, say) must keep three
promises: the process inherits `lock`, it leads its own session, and it outlives this daemon. Then it is found again,
steered and ended like any other. Raises OSError where it cannot be started.
"""


class _Outliving(Popen[bytes]):
    """A child that is meant to outlive us: to forget it while it runs is no leak, so it does not warn."""

    def __del__(self) -> None:
        """Does nothing: a later daemon finds it by its files."""


def as_child(start: Start) -> Started:
    with start.log.open("ab") as log:
        return _Outliving(
            start.command,
            cwd=start.folder,
            env=start.environment,
            stdin=DEVNULL,
            stdout=log,
            stderr=STDOUT,
            start_new_session=True,
            pass_fds=(start.lock,),
        )


class Workers:
    """Handles are kept for reaping, and for how a child ended; every other answer comes from the files.

    A start may take minutes: who asks about that worker waits for it, and nobody else does.
    """

    def __init__(self, starter: Starter = as_child) -> None:
        self._starter = starter
        self._children: dict[Path, Started] = {}
        self._codes: dict[Path, int] = {}
        self._gate = Lock()
        self._turns: WeakValueDictionary[Path, Lock] = WeakValueDictionary()

    def start(
        self,
        folder: AttemptFolder,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        confinement: Confinement | None = None,
        group: str | None = None,
    ) -> bool:
        """False when a worker of this attempt is, or was, there already. Raises OSError when it cannot be started."""
        with self._turn(folder):
            if self._was_started(folder):
                return False
            lock = os.open(folder.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            killed = oom_kills()
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                child = self._starter(
                    Start(
                        command=tuple(command),
                        environment=dict(environment),
                        folder=folder.root,
                        lock=lock,
                        log=folder.log,
                    )
                )
            finally:
                os.close(lock)
            record = Record(  # before anybody can reap it: until then its number is nobody else's
                pid=child.pid,
                start_ticks=start_ticks(child.pid),
                oom_kills=killed,
                confinement=confinement,
                group=group,
                lock=_number_of(folder.lock),
            )
            with self._gate:
                self._children[folder.root] = child
                self._codes.pop(folder.root, None)
            write_atomically(folder.started, msgspec.json.encode(record))
            return True

    def was_started(self, folder: AttemptFolder) -> bool:
        with self._turn(folder):
            return self._was_started(folder)

    def _was_started(self, folder: AttemptFolder) -> bool:
        written = (folder.started, folder.worker, folder.progress)
        return any(path.exists() for path in written) or _is_locked(folder.lock)

    def alive(self, folder: AttemptFolder) -> bool:
        with self._turn(folder):
            self._reap()
            return _is_locked(folder.lock) or _runs_without_lock(folder)

    def code(self, folder: AttemptFolder) -> int | None:
        """How it ended, as subprocess tells it; None while it lives, and for one that another daemon started."""
        with self._turn(folder):
            self._reap()
            return self._codes.get(folder.root)

    def _turn(self, folder: AttemptFolder) -> Lock:
        """One at a time per worker: a look at its lock would have the start itself refused."""
        with self._gate:
            return self._turns.setdefault(folder.root, Lock())

    def _reap(self) -> None:
        with self._gate:
            for root, child in list(self._children.items()):
                if (code := child.poll()) is not None:
                    self._codes[root] = code
                    del self._children[root]

    def end(self, folder: AttemptFolder) -> None:
        """Of a worker that said its last word: it leaves by itself, or by force when it took its time. Waits for it."""
        until = monotonic() + LEAVE_S
        while self.alive(folder) and monotonic() < until + GONE_S:
            if monotonic() >= until:
                self.signal(folder, signal.SIGKILL)
            sleep(LOOK_AGAIN_S)

    def signal(self, folder: AttemptFolder, number: signal.Signals) -> bool:
        """To the worker's whole process group; False when there is nobody who is surely it."""
        session = session_of(folder)
        return session is not None and _signal_group(session, number)


def record_in(folder: AttemptFolder) -> Record | None:
    try:
        return msgspec.json.decode(folder.started.read_bytes(), type=Record)
    except (FileNotFoundError, UnicodeDecodeError, msgspec.MsgspecError):
        return None


def _is_a_copy(folder: AttemptFolder, record: Record) -> bool:
    return record.lock is not None and record.lock != _number_of(folder.lock)


def _number_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def session_of(folder: AttemptFolder) -> int | None:
    """The id of the worker's session, which is its process group's; None when nobody is surely it.

    Our own record is believed. Its leader may be gone before the others (it only waited for them), or hidden from us
    (a /proc that shows nobody who may not be traced): the number cannot have been given to somebody else while the
    lock shows that the worker, who is in that session, lives. The worker's
    own word is not believed, lest it have us signal a stranger: without a record (we died right after the start) it is
    the leader of a session that was started with this attempt's file on its command line.
    """
    record = record_in(folder)
    if record is not None and _is_a_copy(folder, record):
        return None
    if record is not None and is_running(record.identity):
        return record.pid
    if not _is_locked(folder.lock):
        return None
    if record is not None:
        return record.pid
    named = {str(folder.policy), str(folder.spec)}
    leaders = (member.pid for member in everybody() if member.pid == member.session)
    return next((pid for pid in leaders if named & {*command_line(pid)}), None)


def _signal_group(group: int, number: signal.Signals) -> bool:
    if group == os.getpgrp():  # it was not started by us: a worker leads a session of its own
        return False
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _runs_without_lock(folder: AttemptFolder) -> bool:
    """An interpreter behind a wrapper that closes descriptors. Its own word counts for a process of its session."""
    record, told = record_in(folder), identity_in(folder.worker)
    if record is not None and _is_a_copy(folder, record):
        return False
    if record is not None and is_running(record.identity):
        return True
    if told is None or not is_running(told):
        return False
    return record is None or _session(told.pid) == record.pid


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def _is_locked(path: Path) -> bool:
    """A shared lock is refused exactly while the worker holds the exclusive one."""
    try:
        probe = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(probe, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(probe)
    return False
