"""relations.preference: a careful and a hasty extraction of one text, kept where the careful one is truly better.

Better is measured against the ground truth that comes with the text: F1 over entities and relations. Both answers are
written in the one form of the task, so that what is preferred is their content, never their spacing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256

from msgspec import Struct

from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.recipe_port import Candidate, Finding, Need, Recipe, TaskMetric, Tools, WorkItem
from genomed.entities.rows import Message, PreferenceRow, Row, kind_of
from genomed.entities.types import RowKind
from genomed.recipes._names import composed, folded
from genomed.recipes._planning import Tries, seed_of
from genomed.recipes._records import (
    asked,
    input_data,
    lesson,
    origins,
    own,
    read,
    record_of,
    record_row,
    refuse_kind,
    turns,
)
from genomed.recipes._relation_task import (
    LISTS,
    Answer,
    Lists,
    Mention,
    Relation,
    answer_text,
    closed_lists,
    prompt,
    read_answer,
    triple,
)
from genomed.recipes._trying import Made, finding, tried, unusable
from genomed.recipes._wording import filled, prompts
from genomed.recipes.metrics.json_validity import JsonValidity
from genomed.recipes.metrics.sets import SetScores, f1

TASK = "relations.preference"
PROMPTS = prompts("relations_preference")
MOST_PROBLEMS = 100


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The closed lists of the task: those with which the ground truth was made."""

    entity_types: tuple[str, ...] = LISTS.entity_types
    relation_types: tuple[str, ...] = LISTS.relation_types
    tries: Tries = 1

    @property
    def lists(self) -> Lists:
        return Lists(entity_types=self.entity_types, relation_types=self.relation_types)


class Truth(Struct, frozen=True, kw_only=True):
    """A text and what it says: a record of the task `relations`, or a plain line of the same fields."""

    text: str
    relations: tuple[Relation, ...]
    entities: tuple[Mention, ...] = ()


class Comparison(Struct, frozen=True, kw_only=True):
    text: str
    chosen: Answer
    rejected: Answer
    truth: Answer


class RelationsPreference:
    name = "relations.preference"
    version = "1"
    summary = "Pairs of extractions of one text, the chosen one nearer to the ground truth than the rejected"
    task = TASK
    output: tuple[RowKind, ...] = (RowKind.RECORD, RowKind.PREFERENCE, RowKind.CHAT)
    needs: frozenset[Need] = frozenset({Need.MODEL, Need.INPUTS})
    templates: Mapping[str, str] = PROMPTS
    Params: type[Struct] = Params

    def plan(
        self,
        params: Struct,
        *,
        inputs: Iterable[Mapping[str, object]],
        wanted: int,  # noqa: ARG002 (any text may fail; none is asked about twice)
        seed: int,
    ) -> Iterator[WorkItem]:
        own(params, Params)
        return iter(_items(inputs, seed))

    async def produce(self, item: WorkItem, params: Struct, tools: Tools) -> Sequence[Candidate]:
        return (await _compared(item, own(params, Params), tools, feedback=None),)

    async def again(
        self,
        candidate: Row,  # noqa: ARG002 (the port's; both answers are asked for anew)
        item: WorkItem,
        params: Struct,
        tools: Tools,
        *,
        feedback: str | None,
    ) -> Candidate | None:
        return await _compared(item, own(params, Params), tools, feedback=feedback)

    def check(self, candidate: Candidate, item: WorkItem, params: Struct) -> Finding:  # noqa: ARG002
        try:
            record = record_of(candidate.row, TASK, Comparison)
        except ValueError as wrong:
            return unusable(wrong)
        return finding(_faults(record, own(params, Params).lists), candidate)

    def compile(self, row: Row, kind: RowKind, params: Struct) -> Sequence[Row]:
        if kind_of(row) is kind:
            return (row,)
        if kind not in self.output:
            raise refuse_kind(self.name, row, kind, self.output)
        record = record_of(row, TASK, Comparison)
        asked_for = prompt(record.text, own(params, Params).lists)
        if kind is RowKind.CHAT:
            return (lesson(asked_for[0].text, asked_for[1].text, answer_text(record.truth)),)
        return (PreferenceRow(prompt=asked_for, chosen=_said(record.chosen), rejected=_said(record.rejected)),)

    def metrics(self) -> Sequence[TaskMetric]:
        return (SetScores(field="relations"), JsonValidity())


def score(answer: Answer, truth: Answer) -> float:
    """F1 over everything the answer says; entities count where the truth names any."""
    return f1(_claims(truth, truth), _claims(answer, truth))


def _claims(answer: Answer, truth: Answer) -> frozenset[tuple[str, ...]]:
    relations = {("relation", *triple(relation)) for relation in answer.relations}
    if not truth.entities:
        return frozenset(relations)
    return frozenset(relations | {("entity", folded(one.text), folded(one.type)) for one in answer.entities})


def _said(answer: Answer) -> tuple[Message, ...]:
    return (Message(role="assistant", content=answer_text(answer)),)


def _faults(record: Comparison, lists: Lists) -> tuple[str, ...]:
    wrong: list[str] = []
    if answer_text(record.chosen) == answer_text(record.rejected):
        wrong.append("both answers are the same")
    better, worse = score(record.chosen, record.truth), score(record.rejected, record.truth)
    if better <= worse:
        wrong.append(f"the chosen answer is not better: F1 {better:.3f} against {worse:.3f}")
    if any(one.type not in lists.entity_types for one in record.chosen.entities) or any(
        one.relation not in lists.relation_types for one in record.chosen.relations
    ):
        wrong.append("the chosen answer uses a type that is not in the lists")
    return tuple(wrong)


def _items(inputs: Iterable[Mapping[str, object]], seed: int) -> Iterable[WorkItem]:
    """One per text, in the order of the inputs. Raises InvalidRequest naming the first hundred lines that are none."""
    items: dict[str, WorkItem] = {}
    wrong: list[Problem] = []
    for number, line in enumerate(inputs, 1):
        try:
            truth = read(dict(input_data(line)), Truth)
        except ValueError as reason:
            if len(wrong) < MOST_PROBLEMS:
                wrong.append(Problem(field=f"inputs[{number}]", message=str(reason)))
            continue
        text = composed(truth.text)
        if not text or not truth.relations:
            continue  # where nothing is to be found, nothing can be found better
        key = sha256(text.encode()).hexdigest()[:32]
        group = line.get("group")
        data: dict[str, object] = {
            "text": text,
            "entities": [{"text": one.text, "type": one.type} for one in truth.entities],
            "relations": [
                {"subject": one.subject, "relation": one.relation, "object": one.object} for one in truth.relations
            ],
            "group": group if isinstance(group, str) and group else key,
            **origins(line),
        }
        items.setdefault(key, WorkItem(key=key, seed=seed_of(seed, key), data=data))
    if wrong:
        raise InvalidRequest.of(wrong)
    if not items:
        raise InvalidRequest(
            "the inputs hold no text with relations",
            field="inputs",
            remedy="give records of the task `relations`, as relations.generate and relations.from_graph make them",
        )
    return items.values()


async def _compared(item: WorkItem, params: Params, tools: Tools, *, feedback: str | None) -> Candidate:
    truth = read(item.data, Truth)
    said = Answer(entities=truth.entities, relations=truth.relations)
    places = {"text": truth.text, **closed_lists(params.lists)}

    async def attempt() -> Made:
        careful = filled(tools.template("careful"), **places)
        if feedback:
            careful += "\n\n" + filled(tools.template("again"), feedback=feedback)
        system = tools.template("reader")
        chosen = await asked(tools.ask, turns(system, careful), temperature=0.0, max_tokens=1024, as_json=True)
        hasty = turns(system, filled(tools.template("hasty"), **places))
        rejected = await asked(tools.ask, hasty, temperature=0.7, max_tokens=512, as_json=True)
        record = Comparison(
            text=truth.text, chosen=read_answer(chosen.text), rejected=read_answer(rejected.text), truth=said
        )
        better, worse = score(record.chosen, said), score(record.rejected, said)
        return Made(
            row=record_row(TASK, record),
            kept=better,
            faults=_faults(record, params.lists),
            notes={"chosenF1": round(better, 6), "rejectedF1": round(worse, 6)},
        )

    return await tried(params.tries, attempt)


RECIPE: Recipe = RelationsPreference()
