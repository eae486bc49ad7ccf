"""The two sides of an evaluation, judged one after the other: what each kind of rows gives for each."""

from collections.abc import Callable
from typing import NamedTuple

from ..judge import Judgement


class Judged(NamedTuple):
    """One side. seconds: of judging; peak_memory_bytes: of the process so far."""

    judgement: Judgement
    seconds: float
    peak_memory_bytes: int


class Pair(NamedTuple):
    candidate: Judged
    baseline: Judged


Pause = Callable[[], None]
