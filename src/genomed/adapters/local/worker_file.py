"""Reading what a worker may have put into its folder: plain files as they lie there, and nothing else. Blocking.

A link would have us read with our rights what the worker may not, a pipe would hold us up, a device never ends. All of
these are as good as missing, so that whoever reads needs to know of one trouble only.
"""

import os
import stat
from errno import EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, ENXIO, EPERM
from pathlib import Path
from typing import BinaryIO

SMALL_BYTES = 4 << 20
"""More than any specification, wish or identity needs."""

_NO_FILE = frozenset({ELOOP, ENXIO, EACCES, EPERM})
"""A link (O_NOFOLLOW), a socket (open(2)), and what was closed to us."""

_NOWHERE = frozenset({ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG})


class NoPlainFile(FileNotFoundError):
    """Something lies there, and it is no file that a worker had to make."""


def open_plain(path: Path) -> BinaryIO:
    """Raises FileNotFoundError, also for what is no plain file; OSError where the disk fails."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _NO_FILE:
            raise NoPlainFile(error.errno, "is no plain file", str(path)) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NoPlainFile(ENXIO, "is no plain file", str(path))
    return os.fdopen(descriptor, "rb")


def read_plain(path: Path, *, most: int = SMALL_BYTES) -> bytes:
    """Raises as open_plain does, and NoPlainFile for a file that is longer than `most`."""
    with open_plain(path) as file:
        held = file.read(most + 1)
    if len(held) > most:
        raise NoPlainFile(ENXIO, f"is longer than {most} bytes", str(path))
    return held


def is_plain(path: Path) -> bool:
    """False also for a name that no file can have. Raises OSError where the disk fails."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except ValueError:  # a null byte
        return False
    except OSError as error:
        if error.errno in _NOWHERE:
            return False
        raise
