"""How much of the disk a layer's files hold, and their removal. Blocking; for threads.

What is counted is what the disk gives back: whole blocks, and nothing of a file that another folder links to as well.
A crash half-way is mended by doing it again, with the figure of the first time: that is written beside the folder.
"""

import os
from pathlib import Path
from shutil import rmtree

import msgspec
from msgspec import Struct

from genomed.adapters._durable_files import sync_folder, write_atomically

BLOCK = 512
"""Bytes of `st_blocks`, stat(2)."""


class Weight(Struct, frozen=True, kw_only=True, rename="camel"):
    """freeable_bytes: what removing would give back. files: how many names there are."""

    files: int = 0
    freeable_bytes: int = 0


def weigh(folder: Path) -> Weight:
    """Nothing where there is no folder, or a link in its place. Raises OSError."""
    if folder.is_symlink() or not folder.is_dir():
        return Weight()
    names: dict[tuple[int, int], int] = {}
    links: dict[tuple[int, int], int] = {}
    blocks: dict[tuple[int, int], int] = {}
    files = 0
    for where, below, inside in os.walk(folder):
        for name in (*inside, *(one for one in below if Path(where, one).is_symlink())):
            found = Path(where, name).lstat()
            key = (found.st_dev, found.st_ino)
            names[key] = names.get(key, 0) + 1
            links[key], blocks[key] = found.st_nlink, found.st_blocks
            files += 1
    held = sum(blocks[key] for key, seen in names.items() if seen >= links[key])
    return Weight(files=files, freeable_bytes=held * BLOCK)


def remove(folder: Path) -> Weight:
    """What went, now or in a run before that nobody heard the end of. Raises OSError."""
    aside, plan = _aside(folder), _plan(folder)
    if folder.is_dir() and not folder.is_symlink():
        if not plan.exists():
            write_atomically(plan, encoded(weigh(folder)))
        folder.rename(aside)  # from here on nobody finds half a layer
        sync_folder(folder.parent)
    if aside.exists():
        rmtree(aside)
    try:
        return msgspec.json.decode(plan.read_bytes(), type=Weight)
    except (FileNotFoundError, msgspec.MsgspecError):
        return Weight()


def encoded(weight: Weight) -> bytes:
    return msgspec.json.encode(weight)


def forget(folder: Path) -> None:
    """The figure is in the log now."""
    _plan(folder).unlink(missing_ok=True)


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.pruned")


def _plan(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.pruned.json")
