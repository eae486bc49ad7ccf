"""Whether two sides, judged on the same rows, differ by more than chance. Pure: outcomes and a seed in, numbers out.

Interval: paired bootstrap over rows, percentile form (Efron and Tibshirani 1993, chapter 13; Koehn 2004 for language
tasks). Test: McNemar's in its exact form, two-sided, on the rows in which the sides differ (McNemar 1947); on scores
that are not 0 or 1 the same sum is the sign test.
"""

import math
import random
from collections.abc import Sequence
from typing import NamedTuple

CONFIDENCE = 0.95
EXACT_UP_TO = 1000
"""Rows that differ, up to which the binomial sum is taken in whole numbers; beyond, in logarithms."""


class Interval(NamedTuple):
    """Of the mean difference. means: of every resample, in rising order, for drawing."""

    mean: float
    low: float
    high: float
    means: list[float]


class Difference(NamedTuple):
    """Candidate minus baseline. wins, losses, ties: rows; p: two-sided; test: `mcnemar` or `sign`."""

    interval: Interval
    wins: int
    losses: int
    ties: int
    p: float
    test: str

    @property
    def conclusion(self) -> str:
        """`better` or `worse` only where the whole interval lies on one side of zero and p is below 1 - CONFIDENCE."""
        if self.p >= 1 - CONFIDENCE or self.interval.low <= 0 <= self.interval.high:
            return "no difference shown"
        return "better" if self.interval.mean > 0 else "worse"


def difference(candidate: Sequence[float], baseline: Sequence[float], *, resamples: int, seed: int) -> Difference:
    """Raises ValueError for sides of different length, or of no rows."""
    if len(candidate) != len(baseline) or not candidate:
        raise ValueError(f"{len(candidate)} and {len(baseline)} rows cannot be paired")
    apart = [mine - theirs for mine, theirs in zip(candidate, baseline, strict=True)]
    wins, losses = sum(one > 0 for one in apart), sum(one < 0 for one in apart)
    binary = all(score in (0.0, 1.0) for score in (*candidate, *baseline))
    return Difference(
        interval=bootstrap(apart, resamples=resamples, seed=seed),
        wins=wins,
        losses=losses,
        ties=len(apart) - wins - losses,
        p=exact_p(wins, losses),
        test="mcnemar" if binary else "sign",
    )


def bootstrap(apart: Sequence[float], *, resamples: int, seed: int) -> Interval:
    draw = random.Random(seed)
    count = len(apart)
    means = sorted(math.fsum(draw.choices(apart, k=count)) / count for _ in range(resamples))
    tail = (1 - CONFIDENCE) / 2
    return Interval(math.fsum(apart) / count, _quantile(means, tail), _quantile(means, 1 - tail), means)


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Between the two nearest, as Hyndman and Fan's type 7 has it."""
    at = share * (len(ordered) - 1)
    below = math.floor(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (at - below)


def exact_p(wins: int, losses: int) -> float:
    """Chance of a split at least as uneven, were both sides equally good; 1 where no row differs."""
    count, fewer = wins + losses, min(wins, losses)
    if count == 0:
        return 1.0
    if count <= EXACT_UP_TO:
        ways = sum(math.comb(count, nth) for nth in range(fewer + 1))
        return min(1.0, 2 * ways / (1 << count))
    logs = [
        math.lgamma(count + 1) - math.lgamma(nth + 1) - math.lgamma(count - nth + 1) - count * math.log(2)
        for nth in range(fewer + 1)
    ]
    top = max(logs)
    return min(1.0, 2 * math.exp(top) * math.fsum(math.exp(one - top) for one in logs))
