"""Equal and nearly equal rows on the workbench: which go, and which belong together.

The first of equal rows stays. Rows that an earlier dataset holds out are `ghosts`: whatever equals one is held out too.
Of rows that share a key each is compared with the first and with the one before, so that work per row is bounded: in a
crowd made from one template, a pair that is just similar enough can be missed.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby, islice
from operator import itemgetter

from genomed.curation.cleaning.near_duplicates import Shingles, shingles, similarity
from genomed.curation.cleaning.row_steps import FEW_ROWS, Tally
from genomed.daemon.datasets.scratch import Scratch
from genomed.entities.rows import row_of_line
from genomed.entities.types import RowKind

MOST_COMPARISONS = 16
"""Earlier rows that one row is compared with; each key brings at most two."""

REMEMBERED = 32
"""Rows whose shingles are kept; those of a long one take a megabyte."""

EXACT, NEAR, GENERATED_SHARE, SOURCE_SHARE, OVERLAP = 1, 2, 3, 4, 5
"""Which step took a row; 0 while it stays."""


def exact(scratch: Scratch, *, remove: bool) -> Tally:
    """Rows of the same id. Where they stay, they are linked, so that they stay on one side."""
    tally = Tally(step="exact_duplicates", examined=standing(scratch))
    scratch.run("CREATE INDEX rows_digest ON rows(digest, ordinal)")
    scratch.run(
        "CREATE TEMP TABLE twice AS SELECT digest, min(CASE WHEN ordinal >= 0 THEN ordinal END) AS first,"
        " min(ordinal) AS least FROM rows GROUP BY digest HAVING count(*) > 1"
    )
    scratch.run("UPDATE rows SET fixed = 1 WHERE ordinal >= 0 AND digest IN (SELECT digest FROM twice WHERE least < 0)")
    scratch.run("CREATE TEMP TABLE later(ordinal INTEGER PRIMARY KEY, first INTEGER NOT NULL)")
    scratch.run(
        "INSERT INTO later SELECT rows.ordinal, twice.first FROM twice JOIN rows ON rows.digest = twice.digest"
        " WHERE rows.ordinal > twice.first"
    )
    if remove:
        gone = "UPDATE rows SET gone = ? WHERE ordinal IN (SELECT ordinal FROM later)"
        tally.removed = scratch.run(gone, (EXACT,))
        scratch.run("DELETE FROM keys WHERE ordinal IN (SELECT ordinal FROM later)")
        named(scratch, tally, EXACT)
    else:
        scratch.run("INSERT OR IGNORE INTO links SELECT first, ordinal FROM later")
    return tally


def near(scratch: Scratch, kind: RowKind, *, wanted: float, remove: bool) -> Tally:
    """Rows that are similar enough to an earlier one. They are linked to it, whether they go or stay."""
    tally = Tally(step="near_duplicates", examined=standing(scratch), note=f"similar to {wanted:g} or more")
    comparison = _Comparison(scratch, kind, wanted)
    _meet(scratch)
    for late, early in _by_late(scratch):
        for other in early:
            if not comparison.alike(other, late):
                continue
            if other < 0:
                scratch.run("UPDATE rows SET fixed = 1 WHERE ordinal = ?", (late,))
                continue
            scratch.run("INSERT OR IGNORE INTO links VALUES (?, ?)", (other, late))
            if remove:
                tally.removed += scratch.run("UPDATE rows SET gone = ? WHERE ordinal = ?", (NEAR, late))
                break
    named(scratch, tally, NEAR)
    return tally


def standing(scratch: Scratch) -> int:
    return scratch.number("SELECT count(*) FROM standing")


def named(scratch: Scratch, tally: Tally, step: int) -> None:
    """The first few of those that the step took."""
    first = "SELECT ordinal FROM rows WHERE gone = ? ORDER BY ordinal LIMIT ?"
    for (ordinal,) in scratch.each(first, (step, FEW_ROWS)):
        tally.concern(scratch.identity(ordinal))


def _meet(scratch: Scratch) -> None:
    """Pairs that share a key: each row with the first that has it, and with the one before."""
    scratch.run("CREATE INDEX keys_key ON keys(key, ordinal)")
    scratch.run("CREATE TABLE pairs(late INTEGER, early INTEGER, PRIMARY KEY(late, early)) WITHOUT ROWID")
    scratch.run(
        "CREATE TEMP TABLE shared AS SELECT key, min(ordinal) AS first FROM keys GROUP BY key HAVING count(*) > 1"
    )
    scratch.run(
        "CREATE TEMP VIEW meeting AS SELECT keys.key, ordinal, first FROM shared JOIN keys ON keys.key = shared.key"
    )
    scratch.run("INSERT OR IGNORE INTO pairs SELECT ordinal, first FROM meeting WHERE ordinal > first AND ordinal >= 0")
    scratch.run(
        "INSERT OR IGNORE INTO pairs SELECT ordinal, before FROM"
        " (SELECT ordinal, lag(ordinal) OVER (PARTITION BY key ORDER BY ordinal) AS before FROM meeting)"
        " WHERE before < ordinal AND ordinal >= 0"
    )


def _by_late(scratch: Scratch) -> Iterator[tuple[int, list[int]]]:
    """A row and those before it that it may be like, the oldest first."""
    pairs = scratch.each("SELECT late, early FROM pairs ORDER BY late, early")
    for late, group in groupby(pairs, key=itemgetter(0)):
        yield late, [early for _, early in islice(group, MOST_COMPARISONS)]


class _Comparison:
    """Of rows as they are staged. Those that went are like nothing."""

    def __init__(self, scratch: Scratch, kind: RowKind, wanted: float) -> None:
        self._scratch = scratch
        self._kind = kind
        self._wanted = wanted
        self._shingles = lru_cache(maxsize=REMEMBERED)(self._read)

    def alike(self, one: int, other: int) -> bool:
        if self._scratch.number("SELECT gone FROM rows WHERE ordinal = ?", (one,)):
            return False
        return similarity(self._shingles(one), self._shingles(other)) >= self._wanted

    def _read(self, ordinal: int) -> Shingles:
        return shingles(row_of_line(self._scratch.line(ordinal), self._kind))
