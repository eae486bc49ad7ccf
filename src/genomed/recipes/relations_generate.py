"""relations.generate: texts written for a relation, and everything that is said in them, extracted.

A first call writes one to three sentences about two names, a second reads them with closed lists. A text whose own
relation is not found again is refused.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.recipe_port import Candidate, Finding, Need, Recipe, TaskMetric, Tools, WorkItem
from genomed.entities.rows import Row, kind_of
from genomed.entities.types import RowKind
from genomed.recipes._names import composed, folded, place
from genomed.recipes._planning import Spare, Tries, drawn
from genomed.recipes._records import asked, own, record_of, record_row, refuse_kind, turns
from genomed.recipes._relation_task import (
    PROMPTS,
    SEEDS,
    TASK,
    Extraction,
    Lists,
    Pattern,
    Relation,
    closed_lists,
    example,
    faults,
    grounded,
    read_answer,
)
from genomed.recipes._trying import Made, tried
from genomed.recipes._wording import filled
from genomed.recipes.metrics.json_validity import JsonValidity
from genomed.recipes.metrics.labels import ExactMatch
from genomed.recipes.metrics.sets import SetScores

NO_LONGER_THAN = 400
"""Tokens of the written text: three sentences."""


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """names: of entities, by type; patterns: which types a relation joins. The built-in lists where they are empty."""

    names: dict[str, tuple[str, ...]] = {}
    patterns: tuple[Pattern, ...] = ()
    spare: Spare = 2.0
    tries: Tries = 3

    @property
    def all_names(self) -> dict[str, tuple[str, ...]]:
        return self.names or SEEDS.names

    @property
    def all_patterns(self) -> tuple[Pattern, ...]:
        return self.patterns or SEEDS.patterns

    @property
    def lists(self) -> Lists:
        relations = dict.fromkeys(pattern.relation for pattern in self.all_patterns)
        return Lists(entity_types=tuple(self.all_names), relation_types=tuple(relations))


class Seed(Struct, frozen=True, kw_only=True):
    """What an item is about."""

    subject: str
    subject_type: str
    relation: str
    object: str
    object_type: str
    group: str


class RelationsGenerate:
    name = "relations.generate"
    version = "1"
    summary = "Texts written for a relation between two names, with every entity and relation in them"
    task = TASK
    output: tuple[RowKind, ...] = (RowKind.RECORD, RowKind.CHAT)
    needs: frozenset[Need] = frozenset({Need.MODEL})
    templates: Mapping[str, str] = PROMPTS
    Params: type[Struct] = Params

    def plan(
        self,
        params: Struct,
        *,
        inputs: Iterable[Mapping[str, object]],  # noqa: ARG002 (the port's; this recipe writes its own texts)
        wanted: int,
        seed: int,
    ) -> Iterator[WorkItem]:
        told = own(params, Params)
        if problems := list(_unusable(told)):
            raise InvalidRequest.of(problems)
        return drawn(wanted, seed=seed, spare=told.spare, make=lambda draw: _seed(draw, told))

    async def produce(self, item: WorkItem, params: Struct, tools: Tools) -> Sequence[Candidate]:
        return (await _made(item, own(params, Params), tools, feedback=None),)

    async def again(
        self,
        candidate: Row,  # noqa: ARG002 (the port's; a rejected text is written anew, not mended)
        item: WorkItem,
        params: Struct,
        tools: Tools,
        *,
        feedback: str | None,
    ) -> Candidate | None:
        return await _made(item, own(params, Params), tools, feedback=feedback)

    def check(self, candidate: Candidate, item: WorkItem, params: Struct) -> Finding:
        try:
            record = record_of(candidate.row, TASK, Extraction)
            seed = _relation(record_seed(item))
        except ValueError as wrong:
            return Finding(ok=False, reasons=(str(wrong),))
        reasons = faults(Extraction(text=record.text, entities=record.entities, relations=record.relations, seed=seed),
                         own(params, Params).lists)  # fmt: skip
        return Finding(ok=not reasons, reasons=reasons, confidence=candidate.confidence)

    def compile(self, row: Row, kind: RowKind, params: Struct) -> Sequence[Row]:
        if kind_of(row) is kind:
            return (row,)
        if kind is not RowKind.CHAT:
            raise refuse_kind(self.name, row, kind, self.output)
        return (example(record_of(row, TASK, Extraction), own(params, Params).lists),)

    def metrics(self) -> Sequence[TaskMetric]:
        return (SetScores(field="relations"), JsonValidity(), ExactMatch())


def _unusable(params: Params) -> Iterator[Problem]:
    names = params.all_names
    for n, pattern in enumerate(params.all_patterns):
        for end in ("subject", "object"):
            if not names.get(getattr(pattern, end)):
                yield Problem(
                    field=f"params.patterns[{n}].{end}",
                    message="is a type without names",
                    remedy="give params.names some of this type",
                )
        both = {folded(name) for kind in (pattern.subject, pattern.object) for name in names.get(kind, ())}
        if len(both) < 2:
            yield Problem(field=f"params.patterns[{n}]", message="has only one name for both its ends")


def _seed(draw: random.Random, params: Params) -> dict[str, object]:
    pattern = draw.choice(params.all_patterns)
    subject = draw.choice(params.all_names[pattern.subject])
    others = [name for name in params.all_names[pattern.object] if folded(name) != folded(subject)]
    if not others:  # its only name is the subject's: the subject must be another
        others = list(params.all_names[pattern.object])
        subject = draw.choice([n for n in params.all_names[pattern.subject] if folded(n) != folded(others[0])])
    target = draw.choice(others)
    return {
        "subject": subject,
        "subject_type": pattern.subject,
        "relation": pattern.relation,
        "object": target,
        "object_type": pattern.object,
        "group": "|".join(sorted((folded(subject), folded(target)))),
    }


def record_seed(item: WorkItem) -> Seed:
    """Raises ValueError for an item of another recipe."""
    return Seed(**{name: str(item.data[name]) for name in Seed.__struct_fields__})


def _relation(seed: Seed) -> Relation:
    return Relation(subject=composed(seed.subject), relation=seed.relation, object=composed(seed.object))


async def _made(item: WorkItem, params: Params, tools: Tools, *, feedback: str | None) -> Candidate:
    seed = record_seed(item)

    async def attempt() -> Made:
        text = await _written(seed, tools, feedback)
        return await _read(text, seed, params.lists, tools)

    return await tried(params.tries, attempt)


async def _written(seed: Seed, tools: Tools, feedback: str | None) -> str:
    """Raises ValueError for a text that lacks a name: nothing can be found in it."""
    wish = filled(
        tools.template("write"),
        subject=seed.subject,
        subject_type=seed.subject_type,
        relation=seed.relation.replace("_", " "),
        object=seed.object,
        object_type=seed.object_type,
    )
    if feedback:
        wish += "\n\n" + filled(tools.template("again"), feedback=feedback)
    answer = await asked(tools.ask, turns(tools.template("writer"), wish), temperature=0.8, max_tokens=NO_LONGER_THAN)
    text = composed(answer.text)
    if place(text, seed.subject) is None or place(text, seed.object) is None:
        raise ValueError("the text lacks a name that it was to be about")
    return text


async def _read(text: str, seed: Seed, lists: Lists, tools: Tools) -> Made:
    wish = filled(tools.template("extract"), text=text, **closed_lists(lists))
    answer = await asked(
        tools.ask, turns(tools.template("reader"), wish), temperature=0.1, max_tokens=1024, as_json=True
    )
    record, kept = grounded(text, read_answer(answer.text), lists, seed=_relation(seed))
    return Made(
        row=record_row(TASK, record), kept=kept, faults=faults(record, lists), notes={"relation": seed.relation}
    )


RECIPE: Recipe = RelationsGenerate()
