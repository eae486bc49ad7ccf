"""Starts a worker with less power than its daemon has: limits, no new privileges, and Landlock or bubblewrap.

Runs in the worker's own interpreter and becomes the worker, so that nothing is lost on the way. Does what the policy
says or gives up: a policy that cannot be kept ends the attempt with a `failed` line. Knows how each level is applied.
Which one is right, and what a job may read, is the daemon's to say.
"""

import ctypes
import json
import os
import platform
import re
import resource
import runpy
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from . import bubblewrap, landlock, syscall_filter
from .strict import Problems, read

PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, CLEAR_ALL = 4, 24, 38, 47, 4
CAPABILITY_VERSION = 0x20080522
"""_LINUX_CAPABILITY_VERSION_3, capget(2)."""

HOMES = (
    "HOME", "TMPDIR", "XDG_CACHE_HOME", "MPLCONFIGDIR", "HF_HOME",
    "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "CUDA_CACHE_PATH",
)  # fmt: skip
HUB_HOMES = ("HF_HUB_CACHE",)
SCRATCH = "scratch"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """None: not limited. open_files, tasks: soft and hard alike. address_space: never where CUDA maps memory."""

    file_bytes: int | None
    open_files: int | None
    tasks: int | None
    address_space: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """What the daemon decided. progress: where giving up is told. command: a Python program and its arguments.

    network: open. hub: the hub's cache is where the environment says, not in the private folder. cgroup: to move into.
    """

    level: Literal["rlimits", "landlock", "bubblewrap"]
    network: bool
    hub: bool
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    devices: tuple[str, ...]
    bubblewrap: str | None
    cgroup: str | None
    limits: Limits
    folder: str
    progress: str | None
    command: tuple[str, ...]


def main(policy_path: Path, *, inside: bool) -> int:
    """inside: bubblewrap has made the house already."""
    try:
        policy = read(Policy, json.loads(policy_path.read_bytes()))
        if policy.cgroup is not None and not inside:
            Path(policy.cgroup, "cgroup.procs").write_text("0", encoding="ascii")  # 0: the one who writes, cgroups(7)
        if policy.level == "bubblewrap" and not inside:
            _enter_bubblewrap(policy, policy_path.absolute())
        private = _prepare(policy)
        _restrict(policy)
    except (OSError, ValueError, Problems) as refused:
        return _give_up(policy_path, refused)
    try:
        return _run(policy.command)
    finally:
        if private is not None:
            shutil.rmtree(private, ignore_errors=True)


def interpreter_paths() -> tuple[str, ...]:
    """Where this interpreter and its libraries lie, links and what they lead to."""
    here = Path(__file__).resolve().parent
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    toolkits = [os.environ.get(name, "") for name in ("CUDA_HOME", "CUDA_PATH")]
    named = [sys.prefix, sys.exec_prefix, sys.base_prefix, str(Path(sys.executable).parent), str(here)]
    found = [
        path for path in (*named, *sys.path, *libraries, *toolkits) if path.startswith("/") and Path(path).exists()
    ]
    resolved = [str(Path(path).resolve()) for path in found]
    return tuple(sorted({*found, *resolved, str(Path(sys.executable).resolve().parent)} - {"/"}))


def _enter_bubblewrap(policy: Policy, policy_path: Path) -> None:
    """Does not return. SIGTERM is for the worker alone: bubblewrap's own processes, which wait for it, stay deaf."""
    if policy.bubblewrap is None:
        raise ValueError("bubblewrap is wanted and not named")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    house = bubblewrap.arguments(
        reads=(*policy.reads, *interpreter_paths(), str(policy_path)), writes=policy.writes, devices=policy.devices,
        network=policy.network, folder=policy.folder,
    )  # fmt: skip
    again = [sys.executable, str(Path(__file__).with_name("__main__.py")), "confine", "--inside", str(policy_path)]
    os.execv(policy.bubblewrap, [policy.bubblewrap, *house, "--", *again])  # noqa: S606 -- a list, and no shell


def _prepare(policy: Policy) -> str | None:
    """Limits, and a private folder that is home and scratch in one; None where the whole disk stays open anyway."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.umask(0o077)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, policy.limits.file_bytes)
    _limit(resource.RLIMIT_NOFILE, policy.limits.open_files)
    _limit(resource.RLIMIT_NPROC, policy.limits.tasks)
    _limit(resource.RLIMIT_AS, policy.limits.address_space)
    if policy.level == "rlimits":
        return None
    private = _private(policy)
    os.environ.update(dict.fromkeys(HOMES if policy.hub else (*HOMES, *HUB_HOMES), private))
    tempfile.tempdir = private
    return private


def _private(policy: Policy) -> str:
    """Bubblewrap's /tmp is the worker's own; else it is a part of the attempt's folder, which it may also remove."""
    if policy.level == "bubblewrap":
        return tempfile.mkdtemp(prefix="genomed-")
    folder = Path(policy.folder, SCRATCH)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return str(folder)


def _limit(which: int, wanted: int | None) -> None:
    """Never more than is allowed already."""
    if wanted is None:
        return
    _, hard = resource.getrlimit(which)
    bound = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(which, (bound, bound))


def _restrict(policy: Policy) -> None:
    """Raises OSError."""
    if platform.system() != "Linux":
        return
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    if policy.level != "rlimits":
        _drop_capabilities()
    if policy.level == "landlock":
        reads = (*policy.reads, *interpreter_paths(), "/proc")
        landlock.restrict(reads=reads, writes=policy.writes, devices=policy.devices, network=policy.network)
        if syscall_filter.supported():
            syscall_filter.refuse_sockets(network=policy.network)
    _prctl(PR_SET_DUMPABLE, 0)


def _prctl(option: int, *arguments: int) -> None:
    held = [ctypes.c_ulong(number) for number in (*arguments, *(0,) * (4 - len(arguments)))]
    if ctypes.CDLL(None, use_errno=True).prctl(option, *held) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}): {os.strerror(code)}")


def _drop_capabilities() -> None:
    """All of root's powers; without new privileges no program that is started gets them back.

    Who has none does not ask: a service manager's filter may end those that try.
    """
    held = re.findall(r"^Cap(?:Prm|Amb):\s*(\w+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    if not any(int(mask, 16) for mask in held):
        return
    _prctl(PR_CAP_AMBIENT, CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    if ctypes.CDLL(None, use_errno=True).capset(header, (ctypes.c_uint32 * 6)()) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"capset: {os.strerror(code)}")


def _run(command: tuple[str, ...]) -> int:
    """As `python PROGRAM ARGUMENTS` would; what it raises passes through."""
    program, *_ = sys.argv = list(command)
    sys.path[:0] = [str(Path(program).parent)]
    runpy.run_path(program, run_name="__main__")
    return 0


def _give_up(policy_path: Path, refused: Exception) -> int:
    message = f"the worker was not started, since it cannot be confined as decided: {refused}"
    sys.stderr.write(message + "\n")
    try:
        progress = json.loads(policy_path.read_bytes()).get("progress")
    except (OSError, ValueError, AttributeError):
        return 1
    if isinstance(progress, str):
        line = {"seq": 1, "at": time.time(), "type": "failed", "kind": "unsupported", "message": message}
        remedy = "set sandbox for provider local to a level that works here"
        with Path(progress).open("a", encoding="utf-8") as told:
            told.write(json.dumps({**line, "remedy": remedy}) + "\n")
    return 1
