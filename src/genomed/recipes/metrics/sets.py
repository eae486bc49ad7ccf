"""Precision, recall and F1 of sets: what was found against what was there, in any order, each thing once.

micro: over all things of all rows; macro: the mean over rows. An answer that cannot be read found nothing.
"""

from collections.abc import Hashable, Sequence
from collections.abc import Set as AbstractSet

import msgspec

from genomed.entities.recipe_port import Measured


class SetScores:
    """Of the list in one field of a JSON answer; texts are compared without case."""

    def __init__(self, *, field: str) -> None:
        self.name = f"{field}_f1"
        self._field = field

    def __call__(self, expected: Sequence[str], answered: Sequence[str]) -> Sequence[Measured]:
        pairs = [
            (things(wanted, self._field) or frozenset(), things(given, self._field) or frozenset())
            for wanted, given in zip(expected, answered, strict=True)
        ]
        hits = sum(len(wanted & given) for wanted, given in pairs)
        micro = _scores(hits, sum(len(given) for _, given in pairs), sum(len(wanted) for wanted, _ in pairs))
        macro = [sum(column) / len(pairs) for column in zip(*(scores(*pair) for pair in pairs), strict=True)]
        named = zip(("precision", "recall", "f1"), micro, macro or (None,) * 3, strict=True)
        return tuple(
            Measured(name=f"{self._field}_{name}_{kind}", value=value if pairs else None, rows=len(pairs))
            for name, over_all, mean in named
            for kind, value in (("micro", over_all), ("macro", mean))
        )


def scores(wanted: AbstractSet[Hashable], given: AbstractSet[Hashable]) -> tuple[float, float, float]:
    """Precision, recall, F1. Nothing found where nothing was there is right."""
    return _scores(len(wanted & given), len(given), len(wanted))


def f1(wanted: AbstractSet[Hashable], given: AbstractSet[Hashable]) -> float:
    return scores(wanted, given)[2]


def _scores(hits: int, given: int, wanted: int) -> tuple[float, float, float]:
    if given == wanted == 0:
        return 1.0, 1.0, 1.0
    precision = hits / given if given else 0.0
    recall = hits / wanted if wanted else 0.0
    return precision, recall, 2 * hits / (given + wanted)


def things(text: str, field: str) -> frozenset[bytes] | None:
    """The members of the list in `field`, each as sorted JSON without case; null where there is no such list."""
    try:
        value: object = msgspec.json.decode(text.strip())
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    found = value.get(field) if isinstance(value, dict) else None
    if not isinstance(found, list):
        return None
    return frozenset(msgspec.json.encode(_folded(thing), order="sorted") for thing in found)


def _folded(value: object) -> object:
    if isinstance(value, str):
        return " ".join(value.casefold().split())
    if isinstance(value, dict):
        return {name: _folded(one) for name, one in value.items()}
    return [_folded(one) for one in value] if isinstance(value, list) else value
