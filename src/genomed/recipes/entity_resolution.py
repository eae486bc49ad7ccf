"""entity_resolution: two names, and whether they mean one thing.

Positives are one name in another form: of seven kinds, each with its own check. A change of case is compared by case,
as folding it away would refuse the whole class; it is made here, without asking. Negatives are other things with a like
name.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from genomed.curation.json_answers import json_object
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.recipe_port import Candidate, Finding, Need, Recipe, TaskMetric, Tools, WorkItem
from genomed.entities.rows import Row, kind_of
from genomed.entities.types import RowKind
from genomed.recipes._names import composed, folded
from genomed.recipes._planning import Spare, Tries, drawn
from genomed.recipes._records import asked, encoded, lesson, own, read, record_of, record_row, refuse_kind, turns
from genomed.recipes._relation_task import SEEDS as NAMES
from genomed.recipes._trying import Made, candidate, finding, tried, unusable
from genomed.recipes._wording import filled, prompts, seeds
from genomed.recipes.metrics.json_validity import JsonValidity
from genomed.recipes.metrics.labels import ExactMatch, LabelAccuracy

TASK = "entity_resolution"
PROMPTS = prompts("entity_resolution")
SHORTEST_NAME = 2


class Variation(StrEnum):
    """How a second name differs. `different`: it is the name of something else."""

    TYPO = "typo"
    ABBREVIATION = "abbreviation"
    NICKNAME = "nickname"
    CASE = "case_variation"
    PARTIAL = "partial"
    FORMAL = "formal"
    TRANSLITERATION = "transliteration"
    DIFFERENT = "different"


class VariationSeeds(Struct, frozen=True, kw_only=True):
    """In words, what is asked for."""

    wishes: dict[str, str]


SEEDS = seeds("entity_resolution", VariationSeeds)


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """positives: their share. names: by entity type; built in where empty. variations: the kinds of positives."""

    positives: Annotated[float, Meta(ge=0, le=1)] = 0.6
    names: dict[str, tuple[str, ...]] = {}
    variations: tuple[Variation, ...] = tuple(one for one in Variation if one is not Variation.DIFFERENT)
    spare: Spare = 2.0
    tries: Tries = 3

    @property
    def all_names(self) -> dict[str, tuple[str, ...]]:
        return self.names or {kind: NAMES.names[kind] for kind in ("person", "organization", "location", "product")}


class Item(Struct, frozen=True, kw_only=True):
    canonical: str
    entity_type: str
    variation: Variation


class Record(Struct, frozen=True, kw_only=True, rename="camel"):
    canonical: str
    variant: str
    is_duplicate: bool
    entity_type: str
    variation_type: Variation


class Names(Struct, frozen=True, kw_only=True):
    """What a model is shown."""

    first: str
    second: str
    type: str


class Answer(Struct, frozen=True, kw_only=True):
    """What a model answers, and is taught to answer."""

    same: bool
    variation: Variation


class Variant(Struct, frozen=True, kw_only=True):
    """What a model wrote."""

    variant: Annotated[str, Meta(min_length=1)]


class EntityResolution:
    name = "entity_resolution"
    version = "1"
    summary = "Pairs of names that mean one thing in another form, or two things that look alike"
    task = TASK
    output: tuple[RowKind, ...] = (RowKind.RECORD, RowKind.CHAT)
    needs: frozenset[Need] = frozenset({Need.MODEL})
    templates: Mapping[str, str] = PROMPTS
    Params: type[Struct] = Params

    def plan(
        self,
        params: Struct,
        *,
        inputs: Iterable[Mapping[str, object]],  # noqa: ARG002 (the port's; names come from the params)
        wanted: int,
        seed: int,
    ) -> Iterator[WorkItem]:
        told = own(params, Params)
        if problems := list(_unusable(told)):
            raise InvalidRequest.of(problems)
        return drawn(wanted, seed=seed, spare=told.spare, make=lambda draw: _item(draw, told))

    async def produce(self, item: WorkItem, params: Struct, tools: Tools) -> Sequence[Candidate]:
        return (await _made(item, own(params, Params), tools, feedback=None),)

    async def again(
        self,
        candidate: Row,
        item: WorkItem,
        params: Struct,
        tools: Tools,
        *,
        feedback: str | None,
    ) -> Candidate | None:
        """Null for a change of case where every other one is the rejected one: there are few."""
        told, planned = own(params, Params), read(item.data, Item)
        if planned.variation is not Variation.CASE:
            return await _made(item, told, tools, feedback=feedback)
        rejected = record_of(candidate, TASK, Record).variant
        others = [name for name in case_variants(planned.canonical) if name != rejected]
        return _recased(planned, tools.draw.choice(others)) if others else None

    def check(self, candidate: Candidate, item: WorkItem, params: Struct) -> Finding:
        own(params, Params)
        try:
            record = record_of(candidate.row, TASK, Record)
            planned = read(item.data, Item)
        except ValueError as wrong:
            return unusable(wrong)
        reasons = faults(record)
        if record.variation_type is not planned.variation:
            reasons += ("the variation is not the one that was planned",)
        return finding(reasons, candidate)

    def compile(self, row: Row, kind: RowKind, params: Struct) -> Sequence[Row]:
        own(params, Params)
        if kind_of(row) is kind:
            return (row,)
        if kind is not RowKind.CHAT:
            raise refuse_kind(self.name, row, kind, self.output)
        record = record_of(row, TASK, Record)
        shown = encoded(Names(first=record.canonical, second=record.variant, type=record.entity_type))
        answer = encoded(Answer(same=record.is_duplicate, variation=record.variation_type))
        return (lesson(PROMPTS["task"], shown, answer),)

    def metrics(self) -> Sequence[TaskMetric]:
        return (LabelAccuracy(field="same"), LabelAccuracy(field="variation"), JsonValidity(), ExactMatch())


def faults(record: Record) -> tuple[str, ...]:
    """Why the pair does not show what it says."""
    name, variant = composed(record.canonical), composed(record.variant)
    wrong: list[str] = []
    if min(len(name), len(variant)) < SHORTEST_NAME:
        wrong.append("a name is shorter than two characters")
    if record.is_duplicate is (record.variation_type is Variation.DIFFERENT):
        wrong.append("the label does not follow from the variation")
    if name == variant:
        wrong.append("both names are the same")
    elif record.variation_type is Variation.CASE:
        if name.casefold() != variant.casefold():
            wrong.append("the names differ in more than case")
    elif folded(name) == folded(variant):
        wrong.append("the names differ in case or spacing alone")
    else:
        wrong += _misfit(record.variation_type, name, variant)
    return tuple(wrong)


def _misfit(variation: Variation, name: str, variant: str) -> Iterator[str]:
    """What a pure function can tell; nicknames, formal names and transliterations are for the reviewer."""
    match variation:
        case Variation.TYPO if distance(folded(name), folded(variant)) > max(2, len(name) // 5):
            yield "the names are too far apart for a typo"
        case Variation.ABBREVIATION if len(variant) >= len(name):
            yield "the abbreviation is not shorter"
        case Variation.PARTIAL if not set(folded(variant).split()) < set(folded(name).split()):
            yield "the partial name is not a part of the name's words"
        case Variation.DIFFERENT if set(folded(variant).split()) == set(folded(name).split()):
            yield "the other name has the same words"
        case _:
            return


def distance(one: str, other: str) -> int:
    """Letters put in, left out, changed or swapped with their neighbour."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        older, before, row = before, row, [i]
        for j, b in enumerate(other, 1):
            best = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                best = min(best, older[j - 2] + 1)
            row.append(best)
    return row[-1]


def case_variants(name: str) -> list[str]:
    """The name in other case, where its script knows case and nothing but case changes."""
    made = (name.upper(), name.lower(), name.swapcase(), name.capitalize())
    return [one for one in dict.fromkeys(made) if one != name and one.casefold() == name.casefold()]


def _unusable(params: Params) -> Iterator[Problem]:
    if not any(params.all_names.values()):
        yield Problem(field="params.names", message="holds no name")
    if any(len(composed(name)) < SHORTEST_NAME for names in params.all_names.values() for name in names):
        yield Problem(field="params.names", message="holds a name shorter than two characters")
    if params.positives > 0 and not params.variations:
        yield Problem(field="params.variations", message="is empty, and positives are wanted")
    if Variation.DIFFERENT in params.variations:
        yield Problem(
            field="params.variations", message="holds `different`, which is no positive", remedy="lower positives"
        )


def _item(draw: random.Random, params: Params) -> dict[str, object]:
    kind = draw.choice([kind for kind, names in params.all_names.items() if names])
    name = draw.choice(params.all_names[kind])
    positive = draw.random() < params.positives
    variation = draw.choice(params.variations) if positive else Variation.DIFFERENT
    if variation is Variation.CASE and not case_variants(composed(name)):
        variation = Variation.DIFFERENT  # its script knows no case
    return {"canonical": composed(name), "entity_type": kind, "variation": variation.value, "group": folded(name)}


async def _made(item: WorkItem, params: Params, tools: Tools, *, feedback: str | None) -> Candidate:
    planned = read(item.data, Item)
    if planned.variation is Variation.CASE:
        return _recased(planned, tools.draw.choice(case_variants(planned.canonical)))
    wish = filled(
        tools.template("other" if planned.variation is Variation.DIFFERENT else "same"),
        name=planned.canonical,
        type=planned.entity_type,
        wish=SEEDS.wishes.get(planned.variation, ""),
    )
    if feedback:
        wish += "\n\n" + filled(tools.template("again"), feedback=feedback)

    async def attempt() -> Made:
        messages = turns(tools.template("writer"), wish)
        answer = await asked(tools.ask, messages, temperature=0.8, max_tokens=128, as_json=True)
        return _pair(planned, composed(read(json_object(answer.text), Variant).variant), by="model")

    return await tried(params.tries, attempt)


def _recased(planned: Item, variant: str) -> Candidate:
    return candidate(_pair(planned, variant, by="rule"), tries=1)


def _pair(planned: Item, variant: str, *, by: str) -> Made:
    record = Record(
        canonical=planned.canonical,
        variant=variant,
        is_duplicate=planned.variation is not Variation.DIFFERENT,
        entity_type=planned.entity_type,
        variation_type=planned.variation,
    )
    notes = {"variation": planned.variation.value, "madeBy": by}
    return Made(row=record_row(TASK, record), faults=faults(record), notes=notes)


RECIPE: Recipe = EntityResolution()
