"""How well things were ranked. expected: a JSON list of the right ids, or an object id -> grade; answered: ranked ids.

Sources: NDCG as Järvelin and Kekäläinen (2002) with gain = grade and discount log2(rank + 1); reciprocal rank as TREC.
"""

import math
from collections.abc import Mapping, Sequence

import msgspec

from genomed.entities.recipe_port import Measured

DECAY = 0.9
"""Per place, as ragd weighs its contexts."""


class HitRate:
    """Share of rows with any right id among the first k; and recall: the share of right ids found there."""

    def __init__(self, *, k: int) -> None:
        self.name = f"hit_rate@{k}"
        self._k = k

    def __call__(self, expected: Sequence[str], answered: Sequence[str]) -> Sequence[Measured]:
        pairs = _pairs(expected, answered)
        hits = [float(any(one in right for one in ranked[: self._k])) for right, ranked in pairs]
        recalls = [len(right.keys() & set(ranked[: self._k])) / len(right) for right, ranked in pairs]
        return _mean(self.name, hits), _mean(f"recall@{self._k}", recalls)


class ContextPrecision:
    """Share of the first k that are right, of as many as were retrieved. Nothing retrieved: 0."""

    def __init__(self, *, k: int) -> None:
        self.name = f"context_precision@{k}"
        self._k = k

    def __call__(self, expected: Sequence[str], answered: Sequence[str]) -> Sequence[Measured]:
        return (
            _mean(self.name, [precision(right, ranked[: self._k]) for right, ranked in _pairs(expected, answered)]),
        )


class PositionWeightedRelevance:
    """Mean grade of what was retrieved, where each place counts DECAY times as much as the one before."""

    name = "position_weighted_relevance"

    def __call__(self, expected: Sequence[str], answered: Sequence[str]) -> Sequence[Measured]:
        return (_mean(self.name, [weighted_relevance(right, ranked) for right, ranked in _pairs(expected, answered)]),)


class MeanReciprocalRank:
    name = "mrr"

    def __call__(self, expected: Sequence[str], answered: Sequence[str]) -> Sequence[Measured]:
        return (_mean(self.name, [reciprocal_rank(right, ranked) for right, ranked in _pairs(expected, answered)]),)


class Ndcg:
    def __init__(self, *, k: int) -> None:
        self.name = f"ndcg@{k}"
        self._k = k

    def __call__(self, expected: Sequence[str], answered: Sequence[str]) -> Sequence[Measured]:
        return (_mean(self.name, [ndcg(right, ranked, k=self._k) for right, ranked in _pairs(expected, answered)]),)


def precision(right: Mapping[str, float], ranked: Sequence[str]) -> float:
    return sum(1 for one in ranked if one in right) / len(ranked) if ranked else 0.0


def weighted_relevance(right: Mapping[str, float], ranked: Sequence[str]) -> float:
    """0 to 1, where 1 is the best grade in every place."""
    weights = [DECAY**place for place in range(len(ranked))]
    best = max(right.values())
    told = sum(weight * (right.get(one, 0.0) / best) for weight, one in zip(weights, ranked, strict=True))
    return min(1.0, told / sum(weights)) if weights else 0.0


def reciprocal_rank(right: Mapping[str, float], ranked: Sequence[str]) -> float:
    return next((1 / rank for rank, one in enumerate(ranked, 1) if one in right), 0.0)


def ndcg(right: Mapping[str, float], ranked: Sequence[str], *, k: int) -> float:
    """0 to 1. Grades count as shares of the best, so that none is too large to add."""
    best = max(right.values())
    shares = {own: grade / best for own, grade in right.items()}
    gains = [shares.get(one, 0.0) for one in ranked[:k]]
    return min(1.0, _discounted(gains) / _discounted(sorted(shares.values(), reverse=True)[:k]))


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


def _pairs(expected: Sequence[str], answered: Sequence[str]) -> list[tuple[dict[str, float], list[str]]]:
    """Rows that have a right id at all; an answer that cannot be read ranks nothing. An id that is ranked twice has its
    first place, and takes no other.
    """
    found = []
    for wanted, given in zip(expected, answered, strict=True):
        right = _grades(_value(wanted))
        ranked = _value(given)
        ids = list(dict.fromkeys(map(str, ranked))) if isinstance(ranked, list) else []
        if right:
            found.append((right, ids))
    return found


def _grades(value: object) -> dict[str, float]:
    if isinstance(value, dict):
        return {str(own): grade for own, told in value.items() if (grade := _grade(told)) > 0}
    return {str(own): 1.0 for own in value} if isinstance(value, list) else {}


def _grade(told: object) -> float:
    """0 for what is no number, or a larger one than can be reckoned with."""
    try:
        return float(told) if isinstance(told, int | float) else 0.0
    except OverflowError:
        return 0.0


def _value(text: str) -> object:
    try:
        value: object = msgspec.json.decode(text.strip())
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return value


def _mean(name: str, values: Sequence[float]) -> Measured:
    return Measured(name=name, value=sum(values) / len(values) if values else None, rows=len(values))
