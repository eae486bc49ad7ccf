"""How often, and by how much, the better answer wins. answered: an object with the scores `chosen` and `rejected`."""

import math
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from genomed.entities.recipe_port import Measured


class _Scores(Struct, frozen=True):
    chosen: float
    rejected: float


class PreferenceWins:
    """win_rate: a tie is half a win. margin: mean of chosen minus rejected."""

    name = "preference_win_rate"

    def __call__(self, expected: Sequence[str], answered: Sequence[str]) -> Sequence[Measured]:
        margins = [margin for _, text in zip(expected, answered, strict=True) if (margin := _margin(text)) is not None]
        wins = [1.0 if margin > 0 else 0.5 if margin == 0 else 0.0 for margin in margins]
        return (
            Measured(name=self.name, value=sum(wins) / len(wins) if wins else None, rows=len(wins)),
            Measured(
                name="preference_margin", value=sum(margins) / len(margins) if margins else None, rows=len(margins)
            ),
        )


def _margin(text: str) -> float | None:
    try:
        scores = msgspec.json.decode(text, type=_Scores)
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError, RecursionError):
        return None
    margin = scores.chosen - scores.rejected
    return margin if math.isfinite(margin) else None
