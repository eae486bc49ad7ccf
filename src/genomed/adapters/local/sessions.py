"""The processes of a session, from /proc: which they are, and how much memory they hold together. Blocking.

A worker leads a session of its own, so its session is it and its data loaders and nothing else. Source: proc(5).
"""

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

PROC = Path("/proc")
KIB = 1024


class Member(Struct, frozen=True, kw_only=True):
    """threads: of this process. start_ticks: since boot."""

    pid: int
    uid: int
    group: int
    session: int
    threads: int
    start_ticks: int


def members(session: int) -> list[Member]:
    """Those that live; zombies hold nothing and can be told nothing."""
    return [member for member in everybody() if member.session == session]


def everybody() -> Iterator[Member]:
    for folder in PROC.glob("[0-9]*"):
        if (member := _member(folder)) is not None:
            yield member


def _member(folder: Path) -> Member | None:
    try:
        stat, uid = (folder / "stat").read_text(encoding="utf-8", errors="replace"), folder.stat().st_uid
    except OSError:
        return None
    # the name in parentheses may itself hold spaces and parentheses; what follows starts with field 3, the state
    fields = stat.rpartition(")")[2].split()
    if fields[0] in "ZX":
        return None
    return Member(
        pid=int(folder.name),
        uid=uid,
        group=int(fields[2]),
        session=int(fields[3]),
        threads=int(fields[17]),
        start_ticks=int(fields[19]),
    )


def memory_bytes(found: list[Member]) -> int:
    """What they hold together, shared pages once.

    By proportional sizes where the kernel shows them. It does not for workers that another process may not look into
    (they are not dumpable): then private memory is added up, and of what may be shared the largest share counts.
    """
    shares = [_kib(PROC / str(member.pid) / "smaps_rollup", "Pss:") for member in found]
    known = [share for share in shares if share is not None]
    if len(known) == len(found):
        return sum(known) * KIB
    parts = [[_kib(PROC / str(member.pid) / "status", name) or 0 for member in found] for name in PARTS]
    private, files, shared = parts
    return (sum(private) + max(files, default=0) + max(shared, default=0)) * KIB


PARTS = ("RssAnon:", "RssFile:", "RssShmem:")


def _kib(path: Path, name: str) -> int | None:
    """0 for a process that is just gone; None where we may not look."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except PermissionError:
        return None
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)


def oom_kills() -> int | None:
    """How many processes this kernel has ended for want of memory since it booted; None where it does not say."""
    try:
        lines = (PROC / "vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


def hides_workers() -> bool:
    """Whether /proc shows only who may be traced: then what a worker holds cannot be seen (mount option hidepid)."""
    try:
        mounts = (PROC / "self" / "mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return True
    options = [line.rpartition(" ")[2] for line in mounts if " /proc " in line and " - proc " in line]
    return any(hidden in option for option in options[-1:] for hidden in HIDING)


HIDING = ("hidepid=invisible", "hidepid=ptraceable", "hidepid=2", "hidepid=4")


def command_line(pid: int) -> list[str]:
    try:
        held = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return []
    return held.decode(errors="replace").split("\0")
