"""What the disk says no to when a data folder is opened, as a sentence with a remedy.

Knows error numbers of the operating system and result codes of SQLite. Knows nothing of events.
"""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genomed.daemon.journal.errors import CommitUnknown, DiskRefuses, LogDamaged, primary_code
from genomed.entities.errors import GenomeError, Internal

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
NOT_OURS = frozenset({errno.EACCES, errno.EPERM})
DAMAGED_CODES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})
BUSY_CODES = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})

LOOK_AT_DISK = "look at the disk and at the kernel's log (dmesg); start again once it is sound, or restore a backup"

UNREADABLE = "restore a backup; what a copy of the file still holds, the sqlite3 shell's .recover can show"


@contextmanager
def disk_told(folder: Path) -> Iterator[None]:
    """Raises DiskRefuses for what the disk refused inside, and LogDamaged for what SQLite cannot read."""
    try:
        yield
    except OSError as error:
        raise _refused_by_system(folder, error) from error
    except CommitUnknown as error:
        raise DiskRefuses(f"the disk of {folder} fails: {error}", remedy=LOOK_AT_DISK) from error
    except sqlite3.DatabaseError as error:
        raise _refused_by_sqlite(folder, error) from error
    except Internal as error:
        if isinstance(error.__cause__, sqlite3.DatabaseError):
            raise _refused_by_sqlite(folder, error.__cause__) from error
        raise


def _refused_by_system(folder: Path, error: OSError) -> GenomeError:
    if error.errno in FULL:
        return _full(folder)
    if error.errno == errno.EROFS:
        return DiskRefuses(
            f"{folder} lies on a file system that is mounted read-only",
            remedy="find out why (dmesg), mount it writable again (mount -o remount,rw), then start again",
        )
    if error.errno in NOT_OURS:
        return DiskRefuses(
            f"uid {os.geteuid()} may not write {error.filename or folder}",
            remedy=f"give the folder to that user (chown -R {os.geteuid()} {folder}), or name another (--data-dir)",
        )
    if error.errno == errno.EIO:
        return DiskRefuses(f"the disk of {folder} fails: {error.strerror}", remedy=LOOK_AT_DISK)
    return DiskRefuses(
        f"{error.filename or folder} cannot be used: {error.strerror}",
        remedy="put right what stands there, or name another data folder (--data-dir)",
    )


def _full(folder: Path) -> GenomeError:
    return DiskRefuses(f"the disk of {folder} is full", remedy=f"free some space there (df {folder}), then start again")


def _refused_by_sqlite(folder: Path, error: sqlite3.DatabaseError) -> GenomeError:
    code = primary_code(error)
    told = f"{getattr(error, 'sqlite_errorname', type(error).__name__)}: {error}"
    if code in DAMAGED_CODES:
        return LogDamaged(f"the journal in {folder} cannot be opened: {told}", remedy=UNREADABLE)
    if code in BUSY_CODES:
        return DiskRefuses(f"another program works on the journal in {folder}: {told}", remedy="end it (lsof shows it)")
    if code == sqlite3.SQLITE_FULL or _no_space(folder):
        return _full(folder)
    return DiskRefuses(f"the disk of {folder} fails: {told}", remedy=LOOK_AT_DISK)


def _no_space(folder: Path) -> bool:
    """SQLite calls a full disk an I/O error where it needs shared memory."""
    disk = os.statvfs(folder)
    return disk.f_bavail == 0
