"""Worker processes: started once, found again by any later daemon, signalled only when they are surely ours.

A worker inherits a locked file descriptor. The lock falls with the process, whatever kills it, and no pid can be
mistaken for another; so "does it live" has an answer even between the start and the first word written. The process
id with its start time says whom to signal. Blocking: call it in a thread. Does not know what a worker does.
"""

import fcntl
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen
from threading import Lock

import msgspec
from msgspec import Struct

from genomed.adapters._durable_files import write_atomically
from genomed.adapters.local.attempt_folder import AttemptFolder

PASSED = (
    "PATH", "HOME", "USER", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "XDG_CACHE_HOME",
    "HF_HOME", "HF_HUB_CACHE", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF",
)  # fmt: skip
PASSED_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "NCCL_")
PASSED_FOR_HUB = ("HF_ENDPOINT", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR")
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


class Identity(Struct, frozen=True, kw_only=True, rename="camel"):
    """A process, once and for all: ids are reused, start times in one boot are not. start_ticks: null without /proc."""

    pid: int
    start_ticks: int | None = None


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
        return msgspec.json.decode(path.read_bytes(), type=Identity)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def is_running(identity: Identity | None) -> bool:
    return (
        identity is not None and identity.start_ticks is not None and start_ticks(identity.pid) == identity.start_ticks
    )


class _Outliving(Popen[bytes]):
    """A child that is meant to outlive us: to forget it while it runs is no leak, so it does not warn."""

    def __del__(self) -> None:
        """Does nothing: a later daemon finds it by its files."""


class Workers:
    """Handles are kept for reaping alone; every answer comes from the files."""

    def __init__(self) -> None:
        self._children: list[_Outliving] = []
        self._gate = Lock()

    def start(self, folder: AttemptFolder, command: Sequence[str], environment: Mapping[str, str]) -> bool:
        """False when a worker of this attempt is, or was, there already. Raises OSError when it cannot be started."""
        with self._gate:
            if self._was_started(folder):
                return False
            lock = os.open(folder.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with folder.log.open("ab") as log:
                    child = _Outliving(
                        command,
                        cwd=folder.root,
                        env=dict(environment),
                        stdin=DEVNULL,
                        stdout=log,
                        stderr=STDOUT,
                        start_new_session=True,
                        pass_fds=(lock,),
                    )
            finally:
                os.close(lock)
            self._children.append(child)
            identity = Identity(pid=child.pid, start_ticks=start_ticks(child.pid))
            write_atomically(folder.started, msgspec.json.encode(identity))
            return True

    def was_started(self, folder: AttemptFolder) -> bool:
        with self._gate:
            return self._was_started(folder)

    def _was_started(self, folder: AttemptFolder) -> bool:
        written = (folder.started, folder.worker, folder.progress)
        return any(path.exists() for path in written) or _is_locked(folder.lock)

    def alive(self, folder: AttemptFolder) -> bool:
        with self._gate:
            self._children = [child for child in self._children if child.poll() is None]
            # the lock first: an interpreter behind a wrapper that closes descriptors is still known by its own word
            return _is_locked(folder.lock) or any(is_running(identity) for identity in _identities(folder))

    def signal(self, folder: AttemptFolder, number: signal.Signals) -> bool:
        """To the worker's whole process group; False when there is nobody who is surely it."""
        for identity in _identities(folder):
            if is_running(identity):
                return _signal_group(identity.pid, number)
        return False


def _signal_group(pid: int, number: signal.Signals) -> bool:
    try:
        group = os.getpgid(pid)
        if group == os.getpgrp():  # it was not started by us: a worker leads a session of its own
            return False
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _identities(folder: AttemptFolder) -> list[Identity]:
    found = (identity_in(path) for path in (folder.started, folder.worker))
    return [identity for identity in found if identity is not None]


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
