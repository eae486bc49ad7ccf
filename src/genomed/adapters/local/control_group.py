"""A control group per worker, where a service manager has delegated us a place for it; limits that the kernel holds.

Needs cgroup v2 and that we run in a subgroup of a delegated group (systemd: `Delegate=memory pids` with
`DelegateSubgroup=`, version 254 and later): only beside us is room for others, since a group with limits on its
children holds no process of its own. Knows the files; does not know who is put in. Blocking.
Sources: cgroups(7); the kernel's Documentation/admin-guide/cgroup-v2.rst; systemd's CGROUP_DELEGATION.md.
"""

import os
from pathlib import Path

from msgspec import Struct

MOUNT = Path("/sys/fs/cgroup")
OURS = Path("/proc/self/cgroup")
WANTED = ("memory", "pids")
MARKS = ("user.delegate", "trusted.delegate")


class NoGroup(Exception):
    """No group can be made here; the message says why."""


class Group(Struct, frozen=True):
    """One worker's. It stays until nobody is in it and `remove` is called."""

    path: str

    def oom_kills(self) -> int:
        """How many of its processes the kernel ended for memory; 0 for a group that is gone."""
        try:
            lines = Path(self.path, "memory.events").read_text(encoding="ascii").splitlines()
        except OSError:
            return 0
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)

    def remove(self) -> None:
        """A group that somebody is in, or that is gone, stays as it is."""
        try:
            Path(self.path).rmdir()
        except OSError:
            return


def place(mount: Path = MOUNT, ours: Path = OURS) -> Path:
    """The delegated group that workers' groups are made in. Raises NoGroup."""
    if not (mount / "cgroup.controllers").exists():
        raise NoGroup("this machine has no cgroup v2 alone")
    try:
        lines = ours.read_text(encoding="utf-8").splitlines()
    except OSError as unreadable:
        raise NoGroup(f"{ours} cannot be read: {unreadable}") from unreadable
    path = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "/")
    if path == "/":
        raise NoGroup("the daemon lives in no group of its own")
    parent = (mount / path.lstrip("/")).parent
    if not is_delegated(parent):
        raise NoGroup("the daemon's unit delegates no group (Delegate=memory pids, DelegateSubgroup=daemon)")
    return parent


def is_delegated(group: Path) -> bool:
    for mark in MARKS:
        try:
            if os.getxattr(group, mark) == b"1":
                return True
        except OSError:
            continue
    return False


def make(parent: Path, name: str, *, memory_bytes: int | None, tasks: int | None) -> Group:
    """Raises NoGroup. Swap is not left as a way out of the memory limit."""
    group = parent / name
    try:
        missing = [one for one in WANTED if one not in (parent / "cgroup.controllers").read_text().split()]
        if missing:
            raise NoGroup(f"{', '.join(missing)} is not delegated")
        _write(parent / "cgroup.subtree_control", " ".join(f"+{one}" for one in WANTED))
        group.mkdir(exist_ok=True)
        if memory_bytes is not None:
            _write(group / "memory.max", str(memory_bytes))
            _write(group / "memory.oom.group", "1")
            if (group / "memory.swap.max").exists():
                _write(group / "memory.swap.max", "0")
        if tasks is not None:
            _write(group / "pids.max", str(tasks))
    except OSError as refused:
        raise NoGroup(f"the group {group} cannot be made: {refused}") from refused
    return Group(str(group))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="ascii")
