"""How many answers are JSON: the whole answer, as a program would read it, with no prose around it."""

from collections.abc import Sequence

import msgspec

from genomed.entities.recipe_port import Measured


class JsonValidity:
    name = "json_validity"

    def __call__(self, expected: Sequence[str], answered: Sequence[str]) -> Sequence[Measured]:
        good = sum(1 for _, text in zip(expected, answered, strict=True) if is_json(text))
        return (Measured(name=self.name, value=good / len(answered) if answered else None, rows=len(answered)),)


def is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text.strip())
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return True
