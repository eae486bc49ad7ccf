"""How many rows may stay where one kind of row, or one source, must not have more than its share. Pure."""

from collections.abc import Callable

FEWEST_SOURCES = 3
"""With fewer sources than this, one having most of the rows is no flood."""


def generated_kept(generated: int, others: int, most_share: float) -> int:
    """How many of the generated rows stay, so that they are at most this share of what stays."""
    if most_share >= 1:
        return generated
    kept = min(generated, int(most_share * others / (1 - most_share)) + 1)
    while kept and kept > most_share * (kept + others):
        kept -= 1
    return kept


def most_per_source(sources: int, largest: int, most_share: float, rows_under: Callable[[int], int]) -> int:
    """The cap under which no source has more than this share of what stays.

    rows_under: how many rows stay under a cap. A share that so few sources cannot keep is taken as an even one.
    """
    share = max(most_share, 1 / sources)
    low, high = 1, largest
    while low < high:
        middle = (low + high + 1) // 2
        if middle <= share * rows_under(middle) + 1e-9:
            low = middle
        else:
            high = middle - 1
    return low
