"""The task of relation extraction: its record, its one answer in JSON, its prompt, and what makes a record good.

Training, preference and evaluation all use the prompt and the answer of this module, so that a model is asked for what
it learned. Knows nothing of where texts come from.
"""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.curation.json_answers import json_object
from genomed.entities.rows import ChatRow, Message
from genomed.recipes._names import composed, folded, place
from genomed.recipes._records import encoded, lesson, read, turns
from genomed.recipes._wording import filled, listed, prompts, seeds

TASK = "relations"
PROMPTS = prompts("relations")

Word = Annotated[str, Meta(min_length=1, max_length=128)]


class Mention(Struct, frozen=True, kw_only=True):
    text: Word
    type: Word


class Relation(Struct, frozen=True, kw_only=True):
    subject: Word
    relation: Word
    object: Word


class Answer(Struct, frozen=True, kw_only=True):
    """What a model answers, and is taught to answer. No offsets: language models count badly, we find them."""

    entities: tuple[Mention, ...]
    relations: tuple[Relation, ...]


class Entity(Struct, frozen=True, kw_only=True):
    """start, end: code points of the text, end exclusive; `text` is what stands there."""

    text: Word
    type: Word
    start: int
    end: int


class Extraction(Struct, frozen=True, kw_only=True):
    """A text and what it says. seed: the relation that the text was written for, where it was written for one."""

    text: str
    entities: tuple[Entity, ...]
    relations: tuple[Relation, ...]
    seed: Relation | None = None


class Lists(Struct, frozen=True, kw_only=True):
    """The closed lists of the task."""

    entity_types: tuple[str, ...]
    relation_types: tuple[str, ...]


class Pattern(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Types whose entities a relation may join."""

    subject: Word
    relation: Word
    object: Word


class Seeds(Struct, frozen=True, kw_only=True):
    """names: by entity type."""

    names: dict[str, tuple[str, ...]]
    patterns: tuple[Pattern, ...]


SEEDS = seeds("relations", Seeds)
LISTS = Lists(
    entity_types=tuple(SEEDS.names),
    relation_types=tuple(dict.fromkeys(pattern.relation for pattern in SEEDS.patterns)),
)


def prompt(text: str, lists: Lists) -> tuple[Message, Message]:
    return turns(_instruction(lists), text)


def example(record: Extraction, lists: Lists) -> ChatRow:
    return lesson(_instruction(lists), record.text, answer_text(answer_of(record)))


def _instruction(lists: Lists) -> str:
    return filled(
        PROMPTS["task"], entity_types=", ".join(lists.entity_types), relation_types=", ".join(lists.relation_types)
    )


def closed_lists(lists: Lists) -> dict[str, str]:
    """The lists as the places of a prompt."""
    return {"entity_types": listed(lists.entity_types), "relation_types": listed(lists.relation_types)}


def answer_of(record: Extraction) -> Answer:
    mentions = tuple(Mention(text=entity.text, type=entity.type) for entity in record.entities)
    return Answer(entities=mentions, relations=record.relations)


def answer_text(answer: Answer) -> str:
    return encoded(answer)


def read_answer(text: str) -> Answer:
    """Raises ValueError for what is not an answer of this task."""
    return read(json_object(text), Answer)


def grounded(text: str, answer: Answer, lists: Lists, *, seed: Relation | None = None) -> tuple[Extraction, float]:
    """The answer with what the text does not hold left out, and the share of it that is left.

    An entity must occur in the text and have a type of the list; a relation must have both its ends, and a type of the
    list. A name stands once, with the first type it was given.
    """
    entities: dict[str, Entity] = {}
    given = {folded(mention.text) for mention in answer.entities}
    for mention in answer.entities:
        span = place(text, mention.text)
        if span is not None and mention.type in lists.entity_types:
            found = Entity(text=text[span[0] : span[1]], type=mention.type, start=span[0], end=span[1])
            entities.setdefault(folded(mention.text), found)
    relations: dict[tuple[str, str, str], Relation] = {}
    told = {triple(relation) for relation in answer.relations}
    for relation in answer.relations:
        subject, target = entities.get(folded(relation.subject)), entities.get(folded(relation.object))
        if subject and target and subject != target and relation.relation in lists.relation_types:
            kept = Relation(subject=subject.text, relation=relation.relation, object=target.text)
            relations.setdefault(triple(kept), kept)
    record = Extraction(
        text=text,
        entities=tuple(sorted(entities.values(), key=lambda entity: (entity.start, entity.end))),
        relations=tuple(relations.values()),
        seed=seed,
    )
    parts = len(given) + len(told)
    return record, (len(entities) + len(relations)) / parts if parts else 0.0


def triple(relation: Relation) -> tuple[str, str, str]:
    """For comparing: without case."""
    return folded(relation.subject), folded(relation.relation), folded(relation.object)


def faults(record: Extraction, lists: Lists) -> tuple[str, ...]:
    """Why a record must not be learned; none of its words is quoted."""
    wrong: list[str] = []
    if not composed(record.text):
        wrong.append("the text is empty")
    if any(record.text[entity.start : entity.end] != entity.text for entity in record.entities):
        wrong.append("an entity does not stand where its offsets say")
    if any(entity.type not in lists.entity_types for entity in record.entities):
        wrong.append("an entity has a type that is not in the list")
    if any(relation.relation not in lists.relation_types for relation in record.relations):
        wrong.append("a relation has a type that is not in the list")
    names = {folded(entity.text) for entity in record.entities}
    if any({folded(relation.subject), folded(relation.object)} - names for relation in record.relations):
        wrong.append("a relation has an end that is no entity of the record")
    if any(folded(relation.subject) == folded(relation.object) for relation in record.relations):
        wrong.append("a relation joins an entity with itself")
    if not record.relations:
        wrong.append("there is no relation")
    if record.seed is not None and triple(record.seed) not in {triple(one) for one in record.relations}:
        wrong.append("the relation that the text was written for was not found in it")
    return tuple(wrong)
