"""Which rows are held out from training: whole groups, in the order of a seeded hash. Pure.

Knows names and sizes of groups. That near duplicates are of one group, and that earlier datasets' sides are kept, is
for whoever makes the groups.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from math import ceil

from genomed.entities.verdict import MIN_HELD_OUT_ROWS

FEWEST_GROUPS = 3
"""With fewer groups than this rows are split one by one: whole groups could not give two sides of use."""

_HALF = 1 << 63


def held_out_count(rows: int, share: float) -> int:
    """How many rows to hold out: the share, yet enough for a verdict, and never more than half."""
    if share <= 0:
        return 0
    return min(rows // 2, max(MIN_HELD_OUT_ROWS, ceil(rows * share)))


def place(name: str, seed: int) -> int:
    """Where a group stands in the seeded order: signed, 64 bits. Two names in one place are as good as impossible."""
    return int.from_bytes(sha256(f"{seed}\0{name}".encode()).digest()[:8], "big") - _HALF


def chosen(sizes: Iterable[tuple[int, int]], *, wanted: int, most: int) -> Iterator[int]:
    """Places of the groups to hold out. sizes: (place, rows), in the order of places. Stops at `wanted` rows and leaves
    out a group that would make them more than `most`.
    """
    count = 0
    for where, size in sizes:
        if count >= wanted:
            return
        if count + size > most:
            continue
        count += size
        yield where
