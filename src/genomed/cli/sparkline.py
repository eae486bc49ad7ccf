"""A series of numbers as a line of blocks: what a chart is to a terminal."""

from collections.abc import Sequence
from math import isfinite

BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], *, most: int = 24) -> str:
    """The last `most` finite values, scaled between their lowest and highest; empty without values."""
    shown = [value for value in values if isfinite(value)][-most:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    if low == high:
        return BLOCKS[0] * len(shown)
    return "".join(BLOCKS[round((value - low) / (high - low) * (len(BLOCKS) - 1))] for value in shown)
