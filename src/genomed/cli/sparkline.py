"""A series of numbers as a line of blocks: what a chart is to a terminal."""

from collections.abc import Sequence
from math import isfinite

BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], *, most: int = 24) -> str:
    """The last `most` finite values, scaled between their lowest and highest; empty without values."""
    shown = [value for value in values if isfinite(value)][-most:]
    if not shown:
        return ""
    halves = [value / 2 for value in shown]  # so that no difference is larger than a number can be
    low, span = min(halves), max(halves) - min(halves)
    if span == 0:
        return BLOCKS[0] * len(shown)
    return "".join(BLOCKS[round((half - low) / span * (len(BLOCKS) - 1))] for half in halves)
