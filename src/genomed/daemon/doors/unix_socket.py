"""The daemon's own Unix socket: bound with its mode from the first moment, never taken from a daemon that lives."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genomed.daemon.access.rules import group_id
from genomed.entities.errors import Conflict

BACKLOG = 1024
"""Callers who may wait to be let in, also those who come before the daemon is ready."""


@contextmanager
def own_socket(path: Path, *, group: str | None = None) -> Iterator[socket.socket]:
    """As `bound_socket`; at the end its name goes too, unless another socket has it by then."""
    listening = bound_socket(path, group=group)
    ours = _identity(path)
    try:
        yield listening
    finally:
        listening.close()
        if ours is not None and _identity(path) == ours:
            path.unlink(missing_ok=True)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return None
    return facts.st_dev, facts.st_ino


def bound_socket(path: Path, *, group: str | None = None) -> socket.socket:
    """A Unix socket at `path`, mode 0600 from its first moment, in a folder that nobody else may write.

    It listens: who calls while the daemon still starts waits, and another daemon sees that it is not a dead one's.
    group: whose members may open it too: then 0660, and the folder, where we make it, 0750 instead of 0700.

    Raises Conflict when somebody listens there already, or the folder is open to others; a socket that a dead daemon
    left is replaced.
    """
    gid = None if group is None else _gid(group)
    if not path.parent.exists():
        _make_folder(path.parent, gid)
    _refuse_open_folder(path.parent)
    if gid is not None:
        _refuse_closed_folder(path.parent, gid, str(group))
    if path.exists() or path.is_symlink():
        _remove_stale(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
    except OSError as error:
        listening.close()
        raise Conflict(f"cannot listen on {path}: {error.strerror}", field="socket") from error
    finally:
        os.umask(before)
    if gid is not None:
        _share(path, gid, str(group), listening)
    listening.listen(BACKLOG)
    listening.setblocking(False)
    return listening


def _make_folder(folder: Path, gid: int | None) -> None:
    """Its parents keep what umask says: they are not ours to close."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    if gid is not None:
        try:
            os.chown(folder, -1, gid)
        except OSError as error:
            folder.rmdir()
            raise _not_a_member(folder, str(gid), error) from error
        folder.chmod(0o750)


def _refuse_open_folder(folder: Path) -> None:
    """Whoever may write to the folder may put a socket of their own in the place of ours."""
    facts = folder.stat()
    if facts.st_uid not in (0, os.geteuid()):
        raise Conflict(
            f"{folder} belongs to uid {facts.st_uid}, who could put another socket in the place of ours",
            field="socket",
            remedy=f"chown {os.geteuid()} {folder}, or name another path with --socket",
        )
    if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Conflict(
            f"others may write to {folder} (mode {stat.S_IMODE(facts.st_mode):04o}), and so put another socket there",
            field="socket",
            remedy=f"chmod go-w {folder}, or name another path with --socket",
        )


def _refuse_closed_folder(folder: Path, gid: int, group: str) -> None:
    facts = folder.stat()
    enters = facts.st_mode & stat.S_IXOTH or (facts.st_gid == gid and facts.st_mode & stat.S_IXGRP)
    if not enters:
        raise Conflict(
            f"members of the group {group} cannot enter {folder}, so that access.socket_group opens nothing to them",
            field="access.socket_group",
            remedy=f"chgrp {group} {folder} && chmod 750 {folder}, or name a folder of its own with --socket",
        )


def _share(path: Path, gid: int, group: str, listening: socket.socket) -> None:
    """Before it listens, so that nobody is let in under half of the rules."""
    try:
        os.chown(path, -1, gid)
        path.chmod(0o660)
    except OSError as error:
        listening.close()
        path.unlink(missing_ok=True)
        raise _not_a_member(path, group, error) from error


def _not_a_member(path: Path, group: str, error: OSError) -> Conflict:
    return Conflict(
        f"{path} cannot be given to the group {group}: {error.strerror}",
        field="access.socket_group",
        remedy="name a group that the daemon's user is a member of",
    )


def _gid(group: str) -> int:
    found = group_id(group)
    if found is None:
        raise Conflict(f"there is no group {group!r} on this machine", field="access.socket_group")
    return found


def _remove_stale(path: Path) -> None:
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise Conflict(f"{path} exists and is no socket", field="socket", remedy="name another path with --socket")
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    probe.settimeout(1.0)
    try:
        probe.connect(str(path))
    except ConnectionRefusedError:
        path.unlink()
    except OSError as error:  # busy, or not ours to ask: whoever it is, it may be alive
        raise Conflict(f"{path} cannot be taken over: {error.strerror or error}", field="socket") from error
    else:
        raise Conflict(
            f"a daemon answers on {path} already",
            field="socket",
            remedy="stop it, or name another socket with --socket",
        )
    finally:
        probe.close()
