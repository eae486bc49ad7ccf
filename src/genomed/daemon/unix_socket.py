"""The daemon's own Unix socket: bound with its mode from the first moment, never taken from a daemon that answers."""

import os
import socket
import stat
from pathlib import Path

from genomed.entities.errors import Conflict


def bound_socket(path: Path) -> socket.socket:
    """A Unix socket at `path`, mode 0600 from its first moment, in a folder that is ours alone if we made it.

    Raises Conflict when something answers there already; a socket that a dead daemon left is replaced.
    """
    if not path.parent.exists():
        path.parent.mkdir(mode=0o700, parents=True)
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
    listening.setblocking(False)
    return listening


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
