"""What a fault test tried and what it found, one line of JSON each, for the table in docs/reliability.md.

Any test may record; nothing happens unless GENOMED_FAULT_RECORD names a file. Knows nothing of the daemon. The table is
summed and written by `python -m tests.fault_table`.
"""

import os
from pathlib import Path

import msgspec

VARIABLE = "GENOMED_FAULT_RECORD"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One try, or several of the same kind. Lines with the same kind, fault and outcome are summed."""

    kind: str
    """The group in the table: `kill -9`, `disk`, `socket`, `worker`, ..."""
    fault: str
    """What was done, as a reader of the table should read it."""
    times: int
    lost: int
    """Acknowledged things that were gone afterwards without a word: what must be 0."""
    outcome: str
    """How it ended: `carries on`, `read-only with the reason`, `refuses to start, says what to do`, ..."""


def record_fault(kind: str, fault: str, outcome: str, *, times: int = 1, lost: int = 0) -> None:
    """Append one line; several processes may do so at once (one write, O_APPEND)."""
    path = os.environ.get(VARIABLE)
    if not path:
        return
    line = msgspec.json.encode(Fault(kind=kind, fault=fault, times=times, lost=lost, outcome=outcome)) + b"\n"
    found = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(found, line)
    finally:
        os.close(found)


def recorded(path: Path) -> list[Fault]:
    """Every line of the file; none when there is no file."""
    lines = path.read_bytes().splitlines() if path.is_file() else []
    return [msgspec.json.decode(line, type=Fault) for line in lines]
