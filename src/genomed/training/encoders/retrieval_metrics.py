"""How well things were ranked, in numbers. Pure: ids and grades in, numbers out; standard library alone.

The daemon's recipes hold the same measures over texts of JSON; the worker's interpreter has no genomed to import, and
a test shows that the two agree. Sources: NDCG as Järvelin and Kekäläinen (2002), gain = grade and discount
log2(rank + 1); reciprocal rank as TREC.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Ranked(NamedTuple):
    """One query: the grade (above 0) of each right id, and all ids as they were ranked, best first, each once."""

    right: Mapping[str, float]
    ids: Sequence[str]


class Score(NamedTuple):
    """Of one query; each 0 to 1."""

    hit_rate: float
    recall: float
    context_precision: float
    mrr: float
    ndcg: float


def score(ranked: Ranked, *, k: int) -> Score:
    """ranked.right is not empty. The reciprocal rank looks at all ranks, everything else at the first k."""
    right, top = ranked.right, ranked.ids[:k]
    found = [one for one in top if one in right]
    return Score(
        hit_rate=float(bool(found)),
        recall=len(found) / len(right),
        context_precision=len(found) / len(top) if top else 0.0,
        mrr=next((1 / rank for rank, one in enumerate(ranked.ids, 1) if one in right), 0.0),
        ndcg=_ndcg(right, top, k=k),
    )


def mean(scores: Sequence[Score]) -> Score:
    """Of one query at least."""
    return Score(*(sum(values) / len(scores) for values in zip(*scores, strict=True)))


def named(score: Score) -> dict[str, float]:
    """By the names that go over the wire."""
    return {
        "ndcg": score.ndcg,
        "mrr": score.mrr,
        "hitRate": score.hit_rate,
        "recall": score.recall,
        "contextPrecision": score.context_precision,
    }


def _ndcg(right: Mapping[str, float], top: Sequence[str], *, k: int) -> float:
    best = max(right.values())
    ideal = sorted((grade / best for grade in right.values()), reverse=True)[:k]
    return min(1.0, _discounted([right.get(one, 0.0) / best for one in top]) / _discounted(ideal))


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))
