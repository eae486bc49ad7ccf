"""What tests of the retrieval recipes share: a small collection, an encoder that counts words, and their tools."""

import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

from tests.recipes.rig import ScriptedModel

from genomed.entities.recipe_port import Encoding, Recipe, Tools, WorkItem

Line = Mapping[str, object]

TOWNS = ("Porto", "Lyon", "Graz", "Turku", "Bergen", "Gent", "Cork", "Split", "Brno", "Riga")


def text_of(n: int) -> str:
    town = TOWNS[n % len(TOWNS)]
    return f"The market of {town} number {n} opens at {n + 6} in the morning and sells {town} cheese until noon."


def chunks(count: int) -> list[dict[str, object]]:
    return [{"id": f"c{n}", "text": text_of(n), "source": f"doc{n // 2}"} for n in range(count)]


def asking(count: int) -> list[dict[str, object]]:
    """A question to each passage."""
    return [{"query": f"When does market number {n} open?", "positive_id": f"c{n}"} for n in range(count)]


class WordEncoder:
    """A vector from the words: texts that share words lie near each other. space: another one has other vectors."""

    def __init__(self, size: int = 64, *, space: str = "a") -> None:
        self._size, self._space = size, space
        self.texts: list[str] = []

    async def __call__(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        self.texts += texts
        return [self.vector(text) for text in texts]

    def vector(self, text: str) -> tuple[float, ...]:
        raw = [0.0] * self._size
        for word in text.casefold().split():
            raw[sha256(f"{self._space}{word}".encode()).digest()[0] % self._size] += 1.0
        return tuple(number / math.hypot(*raw) for number in raw)


def said(value: object) -> str:
    return json.dumps(value)


def judge(says: Callable[[str], bool]) -> ScriptedModel:
    return ScriptedModel(lambda prompt: said({"answers": says(prompt)}))


def tools(
    recipe: Recipe,
    item: WorkItem,
    *,
    ask: ScriptedModel | None = None,
    judge: ScriptedModel | None = None,
    encode: Encoding | None = None,
    inputs: Sequence[Line] = (),
) -> Tools:
    return Tools(
        draw=random.Random(item.seed),
        ask=ask,
        judge=judge,
        encode=encode,
        inputs=lambda: iter(inputs),
        template=recipe.templates.__getitem__,
    )
