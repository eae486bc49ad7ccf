"""What tests of recipes share: a scripted language model, a deterministic encoder, and the way an engine would go.

The model is a stand-in for a server, not for a recipe: it answers what a script says and keeps what it was asked.
"""

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256

from msgspec import Struct

from genomed.entities.recipe_port import Candidate, Completion, Encoding, Recipe, Tools, WorkItem
from genomed.entities.rows import Message

Script = Callable[[str], str]
"""From the user's turn to the answer."""


class ScriptedModel:
    """Answers by a function of the last turn, or one answer after the other, the last of them for ever."""

    def __init__(self, *answers: str | Script, finish_reason: str = "stop") -> None:
        self._answers = answers
        self._finish_reason = finish_reason
        self.asked: list[tuple[Message, ...]] = []

    async def __call__(
        self,
        messages: Sequence[Message],
        *,
        temperature: float = 0.7,
        max_tokens: int = 1024,
        as_json: bool = False,
        stop: Sequence[str] = (),
    ) -> Completion:
        answer = self._answers[min(len(self.asked), len(self._answers) - 1)]
        self.asked.append(tuple(messages))
        text = answer if isinstance(answer, str) else answer(messages[-1].text)
        return Completion(
            text=text, prompt_tokens=1, completion_tokens=1, model="scripted", finish_reason=self._finish_reason
        )


def encoding(size: int, *, length: float = 1.0) -> Encoding:
    """A deterministic encoder: numbers from the text's hash, scaled to a length."""

    async def encode(texts: Sequence[str]) -> list[tuple[float, ...]]:
        return [vector(text) for text in texts]

    def vector(text: str) -> tuple[float, ...]:
        draw = random.Random(sha256(f"{size}{text}".encode()).digest())
        raw = [draw.uniform(-1, 1) for _ in range(size)]
        return tuple(length * number / math.hypot(*raw) for number in raw)

    return encode


def tools(
    recipe: Recipe,
    item: WorkItem,
    *,
    ask: ScriptedModel | None = None,
    encode: Encoding | None = None,
    encode_target: Encoding | None = None,
) -> Tools:
    return Tools(
        draw=random.Random(item.seed),
        ask=ask,
        judge=None,
        encode=encode,
        inputs=lambda: iter(()),
        template=recipe.templates.__getitem__,
        encode_target=encode_target,
    )


def planned(
    recipe: Recipe,
    params: Struct,
    *,
    inputs: Iterable[Mapping[str, object]] = (),
    wanted: int = 10,
    seed: int = 7,
) -> list[WorkItem]:
    return list(recipe.plan(params, inputs=inputs, wanted=wanted, seed=seed))


async def produced(recipe: Recipe, item: WorkItem, params: Struct, model: ScriptedModel | None = None) -> Candidate:
    """The one candidate of an item."""
    (candidate,) = await recipe.produce(item, params, tools(recipe, item, ask=model))
    return candidate


def reasons(recipe: Recipe, candidate: Candidate, item: WorkItem, params: Struct) -> str:
    finding = recipe.check(candidate, item, params)
    assert finding.ok == (not finding.reasons)
    return "; ".join(finding.reasons)
