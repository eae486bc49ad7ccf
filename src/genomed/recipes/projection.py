"""projection: descriptions of scenes, each as two encoders see it, for learning to lead one space into the other.

A model describes, ten scenes a call; the input encoder and the target encoder do the rest. Vectors come as unit length,
and a row whose vectors are not, or have another size than expected, is refused.
"""

import math
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated

from msgspec import Meta, Struct

from genomed.entities.errors import InvalidRequest
from genomed.entities.recipe_port import Candidate, Finding, Need, Recipe, TaskMetric, Tools, WorkItem
from genomed.entities.rows import Row, VectorPairRow, kind_of
from genomed.entities.types import RowKind
from genomed.recipes._names import composed, folded
from genomed.recipes._planning import drawn
from genomed.recipes._records import asked, encoder, own, read, refuse_kind, turns
from genomed.recipes._trying import confidence, finding
from genomed.recipes._wording import filled, prompts, seeds

TASK = "projection"
PROMPTS = prompts("projection")
SHORTEST_TEXT = 20
NORM_TOLERANCE = 0.01

_NUMBERED = re.compile(r"^\s*(?:\d+\s*[.):-]|[-*•])\s*(\S.*?)\s*$", re.MULTILINE)


class SceneSeeds(Struct, frozen=True, kw_only=True):
    categories: tuple[str, ...]


SEEDS = seeds("projection", SceneSeeds)


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """inputSize, targetSize: of the vectors, where one wants to be sure. spare: a tenth more than wanted."""

    categories: tuple[str, ...] = SEEDS.categories
    per_call: Annotated[int, Meta(ge=1, le=50)] = 10
    input_size: Annotated[int, Meta(ge=1)] | None = None
    target_size: Annotated[int, Meta(ge=1)] | None = None
    spare: Annotated[float, Meta(ge=1, le=10)] = 1.1


class Item(Struct, frozen=True, kw_only=True):
    category: str
    count: int


class Projection:
    name = "projection"
    version = "1"
    summary = "Scene descriptions as an input encoder and a target encoder see them"
    task = TASK
    output: tuple[RowKind, ...] = (RowKind.VECTOR_PAIR,)
    needs: frozenset[Need] = frozenset({Need.MODEL, Need.ENCODER, Need.TARGET_ENCODER})
    templates: Mapping[str, str] = PROMPTS
    Params: type[Struct] = Params

    def plan(
        self,
        params: Struct,
        *,
        inputs: Iterable[Mapping[str, object]],  # noqa: ARG002 (the port's; scenes are described, not read)
        wanted: int,
        seed: int,
    ) -> Iterator[WorkItem]:
        told = own(params, Params)
        if not told.categories:
            raise InvalidRequest("there is no category to describe", field="params.categories")
        return drawn(wanted, seed=seed, spare=told.spare, rows=told.per_call, make=lambda draw: _item(draw, told))

    async def produce(self, item: WorkItem, params: Struct, tools: Tools) -> Sequence[Candidate]:
        own(params, Params)
        return await _described(read(item.data, Item), tools, remark="")

    async def again(
        self,
        candidate: Row,  # noqa: ARG002 (the port's; another scene of the category takes its place)
        item: WorkItem,
        params: Struct,
        tools: Tools,
        *,
        feedback: str | None,
    ) -> Candidate | None:
        own(params, Params)
        remark = "\n\n" + filled(tools.template("again"), feedback=feedback) if feedback else ""
        made = await _described(Item(category=read(item.data, Item).category, count=1), tools, remark=remark)
        return made[0] if made else None

    def check(self, candidate: Candidate, item: WorkItem, params: Struct) -> Finding:  # noqa: ARG002
        told, row = own(params, Params), candidate.row
        if not isinstance(row, VectorPairRow):
            return Finding(ok=False, reasons=("the row is no pair of vectors",))
        reasons = (
            *_wrong(row.input, told.input_size, "input"),
            *_wrong(row.target, told.target_size, "target"),
            *(("the text is too short to describe a scene",) if len(row.text or "") < SHORTEST_TEXT else ()),
        )
        return finding(reasons, candidate)

    def compile(self, row: Row, kind: RowKind, params: Struct) -> Sequence[Row]:
        own(params, Params)
        if kind_of(row) is not kind:
            raise refuse_kind(self.name, row, kind, self.output)
        return (row,)

    def metrics(self) -> Sequence[TaskMetric]:
        return ()


def _wrong(vector: Sequence[float], size: int | None, side: str) -> Iterator[str]:
    if not all(math.isfinite(number) for number in vector):
        yield f"the {side} vector holds something that is no number"
    elif abs(math.hypot(*vector) - 1.0) > NORM_TOLERANCE:
        yield f"the {side} vector is not of unit length"
    if size is not None and len(vector) != size:
        yield f"the {side} vector has {len(vector)} numbers, not {size}"


def descriptions(text: str, count: int) -> list[str]:
    """The entries of a numbered list, each once, at most as many as were asked for; short ones are left out."""
    found = (composed(entry) for entry in _NUMBERED.findall(text))
    once = {folded(entry): entry for entry in found if len(entry) >= SHORTEST_TEXT}
    return list(once.values())[:count]


def _item(draw: random.Random, params: Params) -> dict[str, object]:
    """Ten scenes from one breath are alike: they make a group of their own."""
    category = draw.choice(params.categories)
    return {"category": category, "count": params.per_call, "group": f"{category}/{draw.getrandbits(64):016x}"}


async def _described(item: Item, tools: Tools, *, remark: str) -> list[Candidate]:
    wish = filled(tools.template("describe"), category=item.category, count=str(item.count)) + remark
    messages = turns(tools.template("writer"), wish)
    answer = await asked(tools.ask, messages, temperature=0.9, max_tokens=4096)
    texts = descriptions(answer.text, item.count)
    if not texts:
        raise ValueError("the answer holds no numbered description")
    inputs = await encoder(tools.encode)(texts)
    targets = await encoder(tools.encode_target)(texts)
    if not len(inputs) == len(targets) == len(texts):
        raise ValueError("an encoder gave another number of vectors than it was given texts")
    sure = confidence(tries=1, kept=len(texts) / item.count)
    return [
        Candidate(
            row=VectorPairRow(input=tuple(one), target=tuple(other), text=text),
            confidence=sure,
            notes={"category": item.category},
        )
        for text, one, other in zip(texts, inputs, targets, strict=True)
    ]


RECIPE: Recipe = Projection()
