"""Names for what is not whole yet, beside what it is to become, and the step from one to the other. Blocking.

Every writer has a name of its own, so that two who write the same at once do not touch each other's. What a daemon that
was killed left there goes when somebody writes the same again, once it is so old that nobody can be at it any more.
"""

import os
import re
import time
from contextlib import suppress
from errno import ENOSYS, EOPNOTSUPP, EPERM
from pathlib import Path
from secrets import token_hex
from shutil import rmtree

MARK = "part"
RANDOM_BYTES = 4
LEFT_OVER_S = 7 * 24 * 3600.0
"""No export and no backup takes a week; clocks of other machines are not so wrong."""


def name_beside(destination: Path, *, hidden: bool = False) -> Path:
    """A new name in the same folder."""
    name = f".{destination.name}" if hidden else destination.name
    with suppress(OSError):  # a folder that may be written to but not looked through, or leftovers of somebody else
        _sweep(destination.parent, name)
    return destination.with_name(f"{name}.{MARK}-{token_hex(RANDOM_BYTES)}")


def name_as(target: Path, beside: Path) -> None:
    """Of a file. Raises FileExistsError where another one came meanwhile, OSError."""
    try:
        os.link(beside, target)  # unlike a rename it replaces nothing
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in (EPERM, EOPNOTSUPP, ENOSYS):
            raise
        beside.rename(target)  # on a file system without links, such as a stick's


def _sweep(folder: Path, name: str) -> None:
    ours = re.compile(rf"{re.escape(name)}\.{MARK}-[0-9a-f]{{{2 * RANDOM_BYTES}}}")
    for path in folder.iterdir():
        if not ours.fullmatch(path.name) or time.time() - path.lstat().st_mtime < LEFT_OVER_S:
            continue
        if path.is_dir() and not path.is_symlink():
            rmtree(path)
        else:
            path.unlink(missing_ok=True)
