"""A file of nothing that is given back when the disk is full, so that the daemon can still write down how work ends.

Blocking; knows files and free space, not journals. An empty ballast file says that it was given back: also the next
daemon then waits for real space before it takes it again.
"""

import os
from pathlib import Path

BALLAST_FILE = "ballast"
DEFAULT_BYTES = 16 * 1024 * 1024
"""As reference/eventlog.md 1.7 proposes: one checkpoint's worth of log."""
SHARE_OF_DISK = 16
"""At most one part in so many of the whole disk, so that a tiny one is not all ballast."""
LEAST_BYTES = 64 * 1024


class Ballast:
    """size_bytes: what is wished for; 0 for none at all."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        self._folder = folder
        self._path = folder / BALLAST_FILE
        self._wanted = size_bytes

    @property
    def wanted(self) -> bool:
        return self._wanted > 0

    @property
    def held(self) -> bool:
        return self._path.exists() and self._path.stat().st_size > 0

    @property
    def given_back(self) -> bool:
        return self._path.exists() and self._path.stat().st_size == 0

    @property
    def size_bytes(self) -> int:
        disk = os.statvfs(self._folder)
        return min(self._wanted, disk.f_blocks * disk.f_frsize // SHARE_OF_DISK)

    @property
    def free_bytes(self) -> int:
        """What this user may still write to the disk."""
        disk = os.statvfs(self._folder)
        return disk.f_bavail * disk.f_frsize

    @property
    def missing_bytes(self) -> int:
        """How much must be freed until the ballast can be taken again and as much stays free beside it."""
        return max(0, 2 * self.size_bytes - self.free_bytes)

    def take(self) -> bool:
        """The ballast lies there; less of it where less is free. False: there is no space for any."""
        size = min(self.size_bytes, self.free_bytes // 2)
        if size < LEAST_BYTES:
            return False
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError:
            os.ftruncate(descriptor, 0)
            return False
        finally:
            os.close(descriptor)
        return True

    def give_back(self) -> bool:
        """Whether there was anything to give."""
        if not self.held:
            return False
        os.truncate(self._path, 0)
        return True

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
