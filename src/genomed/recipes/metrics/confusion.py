"""Which labels are taken for which: of one field of a JSON answer, for every expected label what was answered."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from genomed.entities.recipe_port import Measured

NONE = "(no label)"
"""Stands for an answer that has no such label."""


class LabelConfusion:
    """For every pair that occurs: the share of the first label's rows that were answered with the second."""

    def __init__(self, *, field: str) -> None:
        self.name = f"{field}_confusion"
        self._field = field

    def __call__(self, expected: Sequence[str], answered: Sequence[str]) -> Sequence[Measured]:
        told = confusion(expected, answered, field=self._field)
        rows: Counter[str] = Counter()
        for (wanted, _), count in told.items():
            rows[wanted] += count
        return tuple(
            Measured(name=f"{self.name}[{wanted} as {given}]", value=count / rows[wanted], rows=rows[wanted])
            for (wanted, given), count in sorted(told.items())
        )


def confusion(expected: Sequence[str], answered: Sequence[str], *, field: str) -> Counter[tuple[str, str]]:
    """How often each pair of expected and answered label came. Rows without an expected label do not count."""
    told: Counter[tuple[str, str]] = Counter()
    for text, given in zip(expected, answered, strict=True):
        wanted = _label(text, field)
        if wanted is not None:
            told[wanted, _label(given, field) or NONE] += 1
    return told


def _label(text: str, field: str) -> str | None:
    """A text as it is, anything else as JSON."""
    try:
        value: object = msgspec.json.decode(text.strip())
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or field not in value:
        return None
    label = value[field]
    return label if isinstance(label, str) else msgspec.json.encode(label).decode()
