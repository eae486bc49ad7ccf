"""contradiction: two facts about one thing, and whether the second supersedes, contradicts, blurs or confirms it.

A model words the facts and says which value each of them states; dates and confidences are drawn, under the numeric
rules of each label, so that the label follows from what the row shows (reference/cogniverse-ragd-ucotron.md 3.2).
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from genomed.curation.json_answers import json_object
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.recipe_port import Candidate, Finding, Need, Recipe, TaskMetric, Tools, WorkItem
from genomed.entities.rows import Row, kind_of
from genomed.entities.types import RowKind
from genomed.recipes._names import composed, folded, place
from genomed.recipes._planning import Spare, Tries, drawn
from genomed.recipes._records import asked, encoded, lesson, own, read, record_of, record_row, refuse_kind, turns
from genomed.recipes._relation_task import SEEDS as NAMES
from genomed.recipes._trying import Made, finding, tried, unusable
from genomed.recipes._wording import filled, prompts, seeds
from genomed.recipes.metrics.json_validity import JsonValidity
from genomed.recipes.metrics.labels import ExactMatch, LabelAccuracy

TASK = "contradiction"
PROMPTS = prompts("contradiction")
YEAR = 365.25
SHORTEST_TEXT = 5
ROUNDING = 1e-9


class Label(StrEnum):
    SUPERSEDES = "supersedes"
    CONTRADICTS = "contradicts"
    AMBIGUOUS = "ambiguous"
    AGREES = "agrees"


STRATEGY = {
    Label.SUPERSEDES: "temporal",
    Label.CONTRADICTS: "confidence",
    Label.AMBIGUOUS: "ambiguous",
    Label.AGREES: "none",
}
"""How a store settles it: by the newer date, by the surer source, not at all, or there is nothing to settle."""


class Predicate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """subject: a type of names. value: in words, what kind of value it has."""

    name: str
    subject: str
    value: str


class PredicateSeeds(Struct, frozen=True, kw_only=True):
    predicates: tuple[Predicate, ...]


SEEDS = seeds("contradiction", PredicateSeeds)
Weight = Annotated[float, Meta(ge=0)]


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The first four: how often each label is drawn, in proportion. names: by type; built in where empty.

    earliest: the first day that a fact may carry.
    """

    supersedes: Weight = 0.35
    contradicts: Weight = 0.30
    ambiguous: Weight = 0.20
    agrees: Weight = 0.15
    names: dict[str, tuple[str, ...]] = {}
    predicates: tuple[Predicate, ...] = ()
    earliest: date = date(2015, 1, 1)
    spare: Spare = 2.0
    tries: Tries = 3

    @property
    def weights(self) -> tuple[float, ...]:
        return (self.supersedes, self.contradicts, self.ambiguous, self.agrees)

    @property
    def all_names(self) -> dict[str, tuple[str, ...]]:
        return self.names or NAMES.names

    @property
    def all_predicates(self) -> tuple[Predicate, ...]:
        return self.predicates or SEEDS.predicates


class Item(Struct, frozen=True, kw_only=True):
    label: Label
    subject: str
    predicate: str
    value: str


class Fact(Struct, frozen=True, kw_only=True):
    """timestamp: a day. confidence: the source's, 0 to 1."""

    subject: str
    predicate: str
    object: str
    text: str
    confidence: Annotated[float, Meta(ge=0, le=1)]
    timestamp: date


class Answer(Struct, frozen=True, kw_only=True):
    """What a model answers, and is taught to answer."""

    label: Label
    strategy: str


class Record(Struct, frozen=True, kw_only=True, rename="camel"):
    fact_a: Fact
    fact_b: Fact
    label: Label
    strategy: str


class Facts(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a model is shown."""

    fact_a: Fact
    fact_b: Fact


class Stated(Struct, frozen=True, kw_only=True):
    """What a model wrote: a sentence, and the value that stands in it."""

    text: Annotated[str, Meta(min_length=1)]
    object: Annotated[str, Meta(min_length=1)]


class Contradiction:
    name = "contradiction"
    version = "1"
    summary = "Pairs of facts with how the second stands to the first, by date, confidence and value"
    task = TASK
    output: tuple[RowKind, ...] = (RowKind.RECORD, RowKind.CHAT)
    needs: frozenset[Need] = frozenset({Need.MODEL})
    templates: Mapping[str, str] = PROMPTS
    Params: type[Struct] = Params

    def plan(
        self,
        params: Struct,
        *,
        inputs: Iterable[Mapping[str, object]],  # noqa: ARG002 (the port's; this recipe draws its subjects)
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
        candidate: Row,  # noqa: ARG002 (the port's; both facts are worded anew)
        item: WorkItem,
        params: Struct,
        tools: Tools,
        *,
        feedback: str | None,
    ) -> Candidate | None:
        return await _made(item, own(params, Params), tools, feedback=feedback)

    def check(self, candidate: Candidate, item: WorkItem, params: Struct) -> Finding:
        own(params, Params)
        try:
            record = record_of(candidate.row, TASK, Record)
            wanted = read(item.data, Item)
        except ValueError as wrong:
            return unusable(wrong)
        reasons = faults(record)
        if record.label is not wanted.label:
            reasons += ("the label is not the one that was planned",)
        return finding(reasons, candidate)

    def compile(self, row: Row, kind: RowKind, params: Struct) -> Sequence[Row]:
        own(params, Params)
        if kind_of(row) is kind:
            return (row,)
        if kind is not RowKind.CHAT:
            raise refuse_kind(self.name, row, kind, self.output)
        record = record_of(row, TASK, Record)
        shown = encoded(Facts(fact_a=record.fact_a, fact_b=record.fact_b))
        return (lesson(PROMPTS["task"], shown, encoded(Answer(label=record.label, strategy=record.strategy))),)

    def metrics(self) -> Sequence[TaskMetric]:
        return (LabelAccuracy(field="label"), JsonValidity(), ExactMatch())


def faults(record: Record) -> tuple[str, ...]:
    a, b = record.fact_a, record.fact_b
    wrong: list[str] = []
    if (folded(a.subject), a.predicate) != (folded(b.subject), b.predicate):
        wrong.append("the facts are about different things")
    if any(len(composed(fact.text)) < SHORTEST_TEXT for fact in (a, b)):
        wrong.append("a fact's text is too short to state anything")
    if any(place(fact.text, fact.subject) is None or place(fact.text, fact.object) is None for fact in (a, b)):
        wrong.append("a fact's text lacks its subject or its value")
    if folded(a.text) == folded(b.text):
        wrong.append("both facts have the same text")
    same = folded(a.object) == folded(b.object)
    if same and record.label is not Label.AGREES:
        wrong.append("the values must differ and are the same")
    if not same and record.label is Label.AGREES:
        wrong.append("the values must be the same and differ")
    if record.strategy != STRATEGY[record.label]:
        wrong.append("the strategy does not follow from the label")
    if not _numbers_fit(record):
        wrong.append("dates or confidences do not fit the label")
    return tuple(wrong)


def _numbers_fit(record: Record) -> bool:
    later = (record.fact_b.timestamp - record.fact_a.timestamp).days
    gap = abs(record.fact_a.confidence - record.fact_b.confidence)
    match record.label:
        case Label.SUPERSEDES:
            return later > YEAR
        case Label.CONTRADICTS:
            return abs(later) < YEAR / 2 and gap > 0.3 + ROUNDING
        case Label.AMBIGUOUS:
            return abs(later) < YEAR / 4 and gap <= 0.2 + ROUNDING
        case Label.AGREES:
            return True


def drawn_numbers(label: Label, draw: random.Random, earliest: date) -> tuple[tuple[date, float], tuple[date, float]]:
    """(day, confidence) of both facts, well inside the label's rules."""
    first = earliest + timedelta(days=draw.randrange(2000, 4000))
    sure = draw.uniform(0.65, 0.99)
    days, gap = {
        Label.SUPERSEDES: (draw.randint(380, 1800), draw.uniform(0.0, 0.3)),
        Label.CONTRADICTS: (draw.randint(-175, 175), draw.uniform(0.33, 0.6)),
        Label.AMBIGUOUS: (draw.randint(-85, 85), draw.uniform(0.0, 0.18)),
        Label.AGREES: (draw.randint(-1500, 1500), draw.uniform(0.0, 0.5)),
    }[label]
    confidences = [round(sure, 2), round(sure - gap, 2)]
    draw.shuffle(confidences)
    return (first, confidences[0]), (first + timedelta(days=days), confidences[1])


def _unusable(params: Params) -> Iterator[Problem]:
    if not any(params.weights):
        yield Problem(field="params", message="no label is ever drawn", remedy="give one of the four a weight above 0")
    for n, predicate in enumerate(params.all_predicates):
        if not params.all_names.get(predicate.subject):
            yield Problem(field=f"params.predicates[{n}].subject", message="is a type without names")


def _item(draw: random.Random, params: Params) -> dict[str, object]:
    label = draw.choices(tuple(Label), params.weights)[0]
    predicate = draw.choice(params.all_predicates)
    subject = draw.choice(params.all_names[predicate.subject])
    return {
        "label": label.value,
        "subject": subject,
        "predicate": predicate.name,
        "value": predicate.value,
        "group": f"{folded(subject)}|{predicate.name}",
    }


async def _made(item: WorkItem, params: Params, tools: Tools, *, feedback: str | None) -> Candidate:
    planned = read(item.data, Item)
    numbers = drawn_numbers(planned.label, tools.draw, params.earliest)
    remark = "\n\n" + filled(tools.template("again"), feedback=feedback) if feedback else ""
    words = {"subject": planned.subject, "predicate": planned.predicate.replace("_", " "), "value": planned.value}

    async def attempt() -> Made:
        first = await _stated(tools, filled(tools.template("first"), **words) + remark)
        second = "rephrase" if planned.label is Label.AGREES else "contrary"
        wish = filled(tools.template(second), text=first.text, object=first.object, **words)
        other = await _stated(tools, wish + remark)
        (fact_a, fact_b) = (
            Fact(
                subject=composed(planned.subject),
                predicate=planned.predicate,
                object=said.object,
                text=said.text,
                confidence=sure,
                timestamp=day,
            )
            for said, (day, sure) in zip((first, other), numbers, strict=True)
        )
        record = Record(fact_a=fact_a, fact_b=fact_b, label=planned.label, strategy=STRATEGY[planned.label])
        return Made(row=record_row(TASK, record), faults=faults(record), notes={"label": planned.label.value})

    return await tried(params.tries, attempt)


async def _stated(tools: Tools, wish: str) -> Stated:
    answer = await asked(
        tools.ask, turns(tools.template("writer"), wish), temperature=0.8, max_tokens=300, as_json=True
    )
    said = read(json_object(answer.text), Stated)
    return Stated(text=composed(said.text), object=composed(said.object))


RECIPE: Recipe = Contradiction()
