"""One owner per data folder: an flock that ends with the process, however it ends.

The file's text (pid, start time) is for people and for the message; only the lock counts.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from genomed.entities.errors import Conflict

LOCK_FILE = "owner.lock"


class FolderOwned(Conflict):
    """Another process works on this data folder."""

    def __init__(self, folder: Path, owner: str) -> None:
        self.owner = owner
        super().__init__(
            f"{folder} belongs to a running genomed ({owner or 'it has not said which'})",
            remedy="stop that one first, or give this one a data folder of its own",
        )


@contextmanager
def owner_lock(folder: Path, *, now_us: int) -> Iterator[None]:
    """Held inside the block. Raises FolderOwned, naming the owner's pid, without disturbing the owner."""
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
            raise FolderOwned(folder, owner) from None
        since = datetime.fromtimestamp(now_us / 1e6, UTC).isoformat(timespec="seconds")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"pid {os.getpid()}, since {since}\n".encode(), 0)
        yield
    finally:
        # The file stays: taking it away would let a third process lock another file of the same name.
        os.close(descriptor)
