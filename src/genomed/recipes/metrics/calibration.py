"""Whether stated confidence can be believed. answered: an object with `answer` and `confidence`; expected: the answer.

Expected calibration error over ten bins of equal width (Naeini et al. 2015): the mean distance between how sure a model
says it is and how often it is right, weighted by how often it says so.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from genomed.entities.recipe_port import Measured

BINS = 10


class _Stated(Struct, frozen=True):
    answer: str
    confidence: Annotated[float, Meta(ge=0, le=1)]


class Calibration:
    name = "expected_calibration_error"

    def __call__(self, expected: Sequence[str], answered: Sequence[str]) -> Sequence[Measured]:
        told = [
            (stated.confidence, stated.answer.strip() == wanted.strip())
            for wanted, given in zip(expected, answered, strict=True)
            if (stated := _stated(given)) is not None
        ]
        return (Measured(name=self.name, value=calibration_error(told) if told else None, rows=len(told)),)


def calibration_error(told: Sequence[tuple[float, bool]]) -> float:
    """told: how sure, and whether right. 0 (believe every word) to 1."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    for confidence, right in told:
        bins.setdefault(min(BINS - 1, int(confidence * BINS)), []).append((confidence, right))
    return sum(abs(sum(sure - right for sure, right in one)) for one in bins.values()) / len(told)


def _stated(text: str) -> _Stated | None:
    try:
        return msgspec.json.decode(text, type=_Stated)
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError, RecursionError):
        return None
