"""Answers that are right or wrong as a whole: the same JSON, or the same label in one field of it."""

from collections.abc import Iterable, Sequence

import msgspec

from genomed.entities.recipe_port import Measured


class ExactMatch:
    """The same JSON value where both are JSON, so spacing and the order of keys do not count; else the same text."""

    name = "exact_match"

    def __call__(self, expected: Sequence[str], answered: Sequence[str]) -> Sequence[Measured]:
        right = [_value(a) == _value(b) for a, b in zip(expected, answered, strict=True)]
        return (Measured(name=self.name, value=_share(right), rows=len(right)),)


class LabelAccuracy:
    """Of one field of a JSON answer: over all rows, and the mean of every expected label's own share (recall)."""

    def __init__(self, *, field: str) -> None:
        self.name = f"{field}_accuracy"
        self._field = field

    def __call__(self, expected: Sequence[str], answered: Sequence[str]) -> Sequence[Measured]:
        by_label: dict[str, list[bool]] = {}
        for wanted, given in zip(expected, answered, strict=True):
            label = self._label(wanted)
            if label is not None:
                by_label.setdefault(label, []).append(self._label(given) == label)
        every = [right for rights in by_label.values() for right in rights]
        shares = [share for rights in by_label.values() if (share := _share(rights)) is not None]
        return (
            Measured(name=self.name, value=_share(every), rows=len(every)),
            Measured(name=f"{self.name}_macro", value=sum(shares) / len(shares) if shares else None, rows=len(every)),
        )

    def _label(self, text: str) -> str | None:
        value = _value(text)
        if not isinstance(value, dict) or self._field not in value:
            return None
        return msgspec.json.encode(value[self._field]).decode()


def _value(text: str) -> object:
    try:
        value: object = msgspec.json.decode(text.strip())
    except (msgspec.DecodeError, ValueError, RecursionError):
        return text.strip()
    return value


def _share(right: Iterable[bool]) -> float | None:
    told = list(right)
    return sum(told) / len(told) if told else None
