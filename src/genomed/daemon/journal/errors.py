"""How the journal fails, and what each failure of SQLite means for those who wait.

Conflict
├── LogLossSuspected   the log is shorter than, or other than, what was anchored outside of it
└── LogDamaged         the newest events do not hash to what they should
Capacity
└── NoSpace            the disk is full; nothing was written, and it works again when there is space
Internal
├── DiskRefuses        a start needs the disk, and it is full, read-only, not ours or broken
├── JournalStopped     nothing was written and nothing will be, until a restart
└── OutcomeUnknown     the disk failed in the commit: written or not, nobody knows
"""

import sqlite3
from enum import Enum, auto

from genomed.entities.errors import Capacity, Conflict, Internal, Unsupported

RESTORE = "restore a backup, or start once with --accept-log-loss to go on from what is left"


class LogLossSuspected(Conflict):
    """Raised at opening. The remedy names both ways out."""


class LogDamaged(Conflict):
    """Raised at opening, for the newest events only; `verify` finds older damage."""


class NewerLog(Unsupported):
    """A later build wrote this file."""


class NoSpace(Capacity):
    """Nothing was written. The journal goes on by itself when there is space again."""


class DiskRefuses(Internal):
    """Raised at opening: nothing is known to be wrong with the log itself."""


class JournalStopped(Internal):
    """The append did not happen. The journal reads on, and writes again after a restart."""


class OutcomeUnknown(Internal):
    """Neither success nor failure: read the stream, or repeat the command with the same key, after a restart."""


class CommitUnknown(Exception):
    """Inside the daemon's SQLite thread: COMMIT failed in a way that proves nothing."""


class Failure(Enum):
    REFUSED = auto()
    """A statement was wrong; its author alone is to blame. Rolled back."""
    FULL = auto()
    """No space. Rolled back; works again when there is space."""
    BROKEN = auto()
    """The file or the disk cannot be trusted any more."""


FULL_CODES = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM})
BROKEN_CODES = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_INTERNAL,
        sqlite3.SQLITE_PERM,
    }
)
"""BUSY is here because only one connection ever writes: another writer is a defect, not a queue."""

STATEMENT_FAILURES = (sqlite3.Error, OverflowError, TypeError, ValueError)
"""What sqlite3 raises for a statement or a value: its own tree, an integer beyond 64 bits, text that is no UTF-8."""

PURE_FAILURES = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What a pure function over decoded data raises when the data or the function is wrong; msgspec's are ValueErrors."""


def primary_code(error: BaseException) -> int:
    """SQLite's result code without its extension; 0 when the error did not come from SQLite itself."""
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def failure_of(error: BaseException) -> Failure:
    code = primary_code(error)
    if code in FULL_CODES or isinstance(error, MemoryError):
        return Failure.FULL
    return Failure.BROKEN if code in BROKEN_CODES else Failure.REFUSED
