"""Landlock by its three system calls: what this process, and whatever it starts, may still open, connect to and signal.

Knows the kernel's interface and which right came with which version of it. Does not know what a worker needs.
Source: the kernel's Documentation/userspace-api/landlock.rst and include/uapi/linux/landlock.h (6.18).
"""

import ctypes
import os
import stat
from collections.abc import Iterable
from pathlib import Path

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every architecture
VERSION_FLAG = 1
RULE_PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
FIRST_RIGHTS = (1 << 13) - 1
RIGHTS_BY_ABI = ((2, REFER), (3, TRUNCATE), (5, IOCTL_DEV))
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
MAKES_DEVICES = (1 << 6) | (1 << 11)
READS = EXECUTE | READ_FILE | READ_DIR

NETWORK_ABI, BIND_AND_CONNECT_TCP = 4, 0b11
SCOPE_ABI, ABSTRACT_SOCKETS_AND_SIGNALS = 6, 0b11


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def abi() -> int:
    """The kernel's version of Landlock; 0 where it has none or it is switched off."""
    return max(0, _call(CREATE_RULESET, None, 0, VERSION_FLAG))


def restrict(*, reads: Iterable[str], writes: Iterable[str], devices: Iterable[str], network: bool) -> None:
    """For this thread and all that it starts, for good; needs no_new_privs. Paths that are not there grant nothing.

    Raises OSError where the kernel refuses.
    """
    version = abi()
    handled = _handled(version)
    shape = _Ruleset(
        fs=handled,
        net=0 if network or version < NETWORK_ABI else BIND_AND_CONNECT_TCP,
        scoped=ABSTRACT_SOCKETS_AND_SIGNALS if version >= SCOPE_ABI else 0,
    )
    size = 8 if version < NETWORK_ABI else 16 if version < SCOPE_ABI else 24
    ruleset = _checked(_call(CREATE_RULESET, ctypes.byref(shape), size, 0), "landlock_create_ruleset")
    try:
        grants = ((reads, READS), (writes, handled & ~MAKES_DEVICES), (devices, handled & ~EXECUTE & ~MAKES_DEVICES))
        for paths, rights in grants:
            for path in paths:
                _allow(ruleset, path, rights & handled)
        _checked(_call(RESTRICT_SELF, ruleset, 0), "landlock_restrict_self")
    finally:
        os.close(ruleset)


def _handled(version: int) -> int:
    rights = FIRST_RIGHTS
    for since, right in RIGHTS_BY_ABI:
        rights |= right if version >= since else 0
    return rights


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        # a device's ioctls are its own; the kernel refuses rights of folders on what is none
        fitting = rights if stat.S_ISDIR(os.fstat(opened).st_mode) else rights & OF_FILES
        rule = _PathBeneath(allowed=fitting, parent=opened)
        _checked(_call(ADD_RULE, ruleset, RULE_PATH_BENEATH, ctypes.byref(rule), 0), f"landlock_add_rule {path}")
    finally:
        os.close(opened)


def _call(number: int, *arguments: object) -> int:
    if not Path("/proc/self").exists():  # another system than Linux: the numbers mean something else there
        return -1
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    syscall.restype = ctypes.c_long
    result: int = syscall(number, *arguments)
    return result


def _checked(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result
