"""How much rows differ from each other, and which of them are enough. Pure; for tens of rows, not for millions."""

from collections.abc import Sequence
from itertools import combinations

from genomed.curation.cleaning.near_duplicates import Shingles, shingles
from genomed.entities.rows import Row


def similarity(first: Shingles, second: Shingles) -> float:
    """The least Jaccard similarity of two rows' parts, 0 to 1: rows are as alike as what differs most in them."""
    if len(first) != len(second):
        return 0.0
    return min((_jaccard(one, other) for one, other in zip(first, second, strict=True)), default=1.0)


def _jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    union = len(one | other)
    return len(one & other) / union if union else 1.0


def varied(rows: Sequence[Row], *, similar: float) -> list[int]:
    """Indices of rows no two of which are `similar` or more alike: of those that are, the first."""
    kept: list[int] = []
    seen: list[Shingles] = []
    for number, row in enumerate(rows):
        own = shingles(row)
        if all(similarity(own, other) < similar for other in seen):
            kept.append(number)
            seen.append(own)
    return kept


def variety(rows: Sequence[Row]) -> float | None:
    """Mean dissimilarity of all pairs, 0 (all the same) to 1; null where there is no pair."""
    told = [shingles(row) for row in rows]
    distances = [1.0 - similarity(one, other) for one, other in combinations(told, 2)]
    return sum(distances) / len(distances) if distances else None
