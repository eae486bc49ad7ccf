"""How far apart two spaces are. expected and answered: a JSON list of numbers each."""

import math
from collections.abc import Sequence

import msgspec

from genomed.entities.recipe_port import Measured


class CosineLoss:
    """1 minus the cosine, mean over rows: 0 (the same direction) to 2. A vector that cannot be compared loses 1."""

    name = "cosine_loss"

    def __call__(self, expected: Sequence[str], answered: Sequence[str]) -> Sequence[Measured]:
        told = [
            cosine_loss(wanted, _vector(given))
            for text, given in zip(expected, answered, strict=True)
            if (wanted := _vector(text))
        ]
        return (Measured(name=self.name, value=sum(told) / len(told) if told else None, rows=len(told)),)


def cosine_loss(wanted: Sequence[float], given: Sequence[float]) -> float:
    if len(wanted) != len(given) or not any(wanted) or not any(given):
        return 1.0
    pairs = zip(_scaled(wanted), _scaled(given), strict=True)
    return min(2.0, max(0.0, 1.0 - math.fsum(one * other for one, other in pairs)))


def _scaled(vector: Sequence[float]) -> list[float]:
    """To unit length, by way of its largest number, so that no square is too large or too small."""
    largest = max(map(abs, vector))
    shares = [number / largest for number in vector]
    length = math.hypot(*shares)
    return [share / length for share in shares]


def _vector(text: str) -> list[float]:
    """Empty for what is none."""
    try:
        return msgspec.json.decode(text.strip(), type=list[float])
    except (msgspec.DecodeError, ValueError, RecursionError):
        return []
