"""entity_query: questions that people would type about given entities, and which entities each of them names.

A query that names none of its entities is asked for again; after the last try a template writes one, which is marked as
such and weighs less. Entities come from the inputs' documents, or from the built-in names.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated

from msgspec import Meta, Struct

from genomed.curation.json_answers import json_object
from genomed.entities.errors import InvalidRequest
from genomed.entities.recipe_port import Candidate, Finding, Need, Recipe, TaskMetric, Tools, WorkItem
from genomed.entities.rows import Row, kind_of
from genomed.entities.types import RowKind
from genomed.recipes._names import composed, folded, place
from genomed.recipes._planning import Spare, Tries, drawn
from genomed.recipes._records import (
    asked,
    encoded,
    lesson,
    origins,
    own,
    read,
    record_of,
    record_row,
    refuse_kind,
    turns,
)
from genomed.recipes._relation_task import SEEDS as NAMES
from genomed.recipes._trying import confidence, finding, unusable
from genomed.recipes._wording import filled, listed, prompts, seeds
from genomed.recipes.metrics.json_validity import JsonValidity
from genomed.recipes.metrics.sets import SetScores

TASK = "entity_query"
PROMPTS = prompts("entity_query")
SHORTEST_WORD = 4
"""Letters of a word that can stand for its entity: shorter ones are mostly particles (reference 1.7a)."""

SHORT_QUERY, LONG_QUERY = 10, 200
SHORT_WEIGHS, LONG_WEIGHS = 0.8, 0.9
"""Reference 1.7b, confidence score."""

LONGEST_CONTEXT = 600
UNTYPED = "entity"


class QuerySeeds(Struct, frozen=True, kw_only=True):
    """fallbacks: queries with a place for an entity's name."""

    fallbacks: tuple[str, ...]


SEEDS = seeds("entity_query", QuerySeeds)


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """names: by type, where no inputs are given; built in where empty. most: entities of one query."""

    names: dict[str, tuple[str, ...]] = {}
    most: Annotated[int, Meta(ge=1, le=5)] = 2
    spare: Spare = 1.5
    tries: Tries = 3


class Named(Struct, frozen=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1)]
    type: str = UNTYPED


class Item(Struct, frozen=True, kw_only=True):
    entities: tuple[Named, ...]
    context: str = ""


class Mention(Struct, frozen=True, kw_only=True):
    """text: the words of the query that name it."""

    text: str
    type: str


class Answer(Struct, frozen=True, kw_only=True):
    """What a model answers, and is taught to answer."""

    entities: tuple[Mention, ...]


class Record(Struct, frozen=True, kw_only=True):
    """fallback: a template wrote it."""

    query: str
    entities: tuple[Mention, ...]
    fallback: bool = False


class Written(Struct, frozen=True, kw_only=True):
    """What a model wrote; what it thought on the way is not kept."""

    query: Annotated[str, Meta(min_length=1)]


class Source(Struct, frozen=True, kw_only=True):
    """One document: what it is about."""

    entities: tuple[Named, ...]
    context: str
    group: str | None
    origins: dict[str, object] = {}


class EntityQuery:
    name = "entity_query"
    version = "1"
    summary = "Questions about given entities, with the words of each that name them"
    task = TASK
    output: tuple[RowKind, ...] = (RowKind.RECORD, RowKind.CHAT)
    needs: frozenset[Need] = frozenset({Need.MODEL})
    templates: Mapping[str, str] = PROMPTS
    Params: type[Struct] = Params

    def plan(
        self, params: Struct, *, inputs: Iterable[Mapping[str, object]], wanted: int, seed: int
    ) -> Iterator[WorkItem]:
        told = own(params, Params)
        sources = list(_sources(inputs, told))
        return drawn(wanted, seed=seed, spare=told.spare, make=lambda draw: _item(draw, told, sources))

    async def produce(self, item: WorkItem, params: Struct, tools: Tools) -> Sequence[Candidate]:
        return (await _made(read(item.data, Item), own(params, Params), tools, feedback=None),)

    async def again(
        self,
        candidate: Row,  # noqa: ARG002 (the port's; another question takes its place)
        item: WorkItem,
        params: Struct,
        tools: Tools,
        *,
        feedback: str | None,
    ) -> Candidate | None:
        return await _made(read(item.data, Item), own(params, Params), tools, feedback=feedback)

    def check(self, candidate: Candidate, item: WorkItem, params: Struct) -> Finding:
        own(params, Params)
        try:
            record = record_of(candidate.row, TASK, Record)
            wanted = read(item.data, Item)
        except ValueError as wrong:
            return unusable(wrong)
        return finding(tuple(_faults(record, wanted)), candidate)

    def compile(self, row: Row, kind: RowKind, params: Struct) -> Sequence[Row]:
        own(params, Params)
        if kind_of(row) is kind:
            return (row,)
        if kind is not RowKind.CHAT:
            raise refuse_kind(self.name, row, kind, self.output)
        record = record_of(row, TASK, Record)
        return (lesson(PROMPTS["task"], record.query, encoded(Answer(entities=record.entities))),)

    def metrics(self) -> Sequence[TaskMetric]:
        return (SetScores(field="entities"), JsonValidity())


def mentions(query: str, entities: Iterable[Named]) -> tuple[Mention, ...]:
    """Those that the query names, by full name or by a word of it, each as the query writes it."""
    found: dict[tuple[int, int], Mention] = {}
    for entity in entities:
        span = next((at for word in _words(entity.name) if (at := place(query, word)) is not None), None)
        if span is not None:
            found.setdefault(span, Mention(text=query[span[0] : span[1]], type=entity.type))
    return tuple(found[span] for span in sorted(found))


def _words(name: str) -> tuple[str, ...]:
    """The name itself, then its words that are long enough to stand for it."""
    return (name, *(word for word in name.split() if sum(map(str.isalpha, word)) >= SHORTEST_WORD))


def _faults(record: Record, wanted: Item) -> Iterator[str]:
    if not composed(record.query):
        yield "the query is empty"
    if not record.entities:
        yield "the query names none of its entities"
    if any(place(record.query, mention.text) is None for mention in record.entities):
        yield "an entity does not stand in the query"
    known = {(folded(word), entity.type) for entity in wanted.entities for word in _words(entity.name)}
    if any((folded(mention.text), mention.type) not in known for mention in record.entities):
        yield "an entity is not one that the query was to be about"


def _sources(inputs: Iterable[Mapping[str, object]], params: Params) -> Iterator[Source]:
    """Raises InvalidRequest where documents were given and none of them names an entity."""
    given = found = 0
    for line in inputs:
        given += 1
        entities = tuple(_named(line.get("entities")))
        if entities:
            found += 1
            context = next((text for name in ("text", "content") if isinstance(text := line.get(name), str)), "")
            group = next((told for name in ("group", "id") if isinstance(told := line.get(name), str) and told), None)
            words = composed(context)[:LONGEST_CONTEXT]
            yield Source(entities=entities, context=words, group=group, origins=origins(line))
    if given and not found:
        raise InvalidRequest(
            "none of the inputs names an entity",
            field="inputs",
            remedy='give lines like {"text": "...", "entities": ["a name", {"name": "another", "type": "person"}]}',
        )
    if not given:
        names = params.names or NAMES.names
        yield from (
            Source(entities=tuple(Named(name=composed(name), type=kind) for name in several), context="", group=None)
            for kind, several in names.items()
            if several
        )
        if not any(names.values()):
            raise InvalidRequest("there is no entity to ask about", field="params.names")


def _named(given: object) -> Iterator[Named]:
    """Texts, or objects with a name (or text) and a type."""
    for one in given if isinstance(given, list) else ():
        fields = {"name": one} if isinstance(one, str) else one if isinstance(one, dict) else {}
        name, kind = fields.get("name", fields.get("text")), fields.get("type", UNTYPED)
        if isinstance(name, str) and composed(name):
            yield Named(name=composed(name), type=kind if isinstance(kind, str) and kind else UNTYPED)


def _item(draw: random.Random, params: Params, sources: Sequence[Source]) -> dict[str, object]:
    source = draw.choice(sources)
    count = draw.randint(1, min(params.most, len(source.entities)))
    entities = draw.sample(source.entities, count)
    return {
        "entities": [{"name": entity.name, "type": entity.type} for entity in entities],
        "context": source.context,
        "group": source.group or "|".join(sorted(folded(entity.name) for entity in entities)),
        **source.origins,
    }


async def _made(item: Item, params: Params, tools: Tools, *, feedback: str | None) -> Candidate:
    wish = filled(
        tools.template("ask"),
        entities=listed(tuple(f"{entity.name} ({entity.type})" for entity in item.entities)),
        context=item.context or "(nothing more is known)",
    )
    if feedback:
        wish += "\n\n" + filled(tools.template("again"), feedback=feedback)
    for number in range(1, params.tries + 1):
        try:
            answer = await asked(
                tools.ask, turns(tools.template("writer"), wish), temperature=0.8, max_tokens=400, as_json=True
            )
            query = composed(read(json_object(answer.text), Written).query)
        except ValueError:
            continue
        named = mentions(query, item.entities)
        if named:
            return _candidate(Record(query=query, entities=named), item, tries=number)
    query = filled(tools.draw.choice(SEEDS.fallbacks), entity=item.entities[0].name)
    record = Record(query=query, entities=mentions(query, item.entities), fallback=True)
    return _candidate(record, item, tries=params.tries)


def _candidate(record: Record, item: Item, *, tries: int) -> Candidate:
    length = len(record.query)
    weight = SHORT_WEIGHS if length < SHORT_QUERY else LONG_WEIGHS if length > LONG_QUERY else 1.0
    sure = confidence(tries=tries, kept=weight * len(record.entities) / len(item.entities), fallback=record.fallback)
    return Candidate(row=record_row(TASK, record), confidence=sure, notes={"tries": tries, "fallback": record.fallback})


RECIPE: Recipe = EntityQuery()
