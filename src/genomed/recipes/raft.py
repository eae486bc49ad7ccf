"""raft: questions over numbered documents, one of which usually holds the answer, and answers that quote it.

Retrieval-augmented fine-tuning after Zhang et al. (2024): four of five examples hold the oracle among distractors, the
others distractors alone, so that a model learns both to read and to know. Every quotation must stand in the oracle.
"""

import math
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated

from msgspec import Meta, Struct

from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.recipe_port import Candidate, Finding, Need, Recipe, TaskMetric, Tools, WorkItem
from genomed.entities.rows import RaftRow, Row, kind_of
from genomed.entities.types import RowKind
from genomed.recipes._passages import Library, Question, folded, key_of, library
from genomed.recipes._planning import seed_of
from genomed.recipes._records import asked, lesson, own, record_of, record_row, refuse_kind, turns
from genomed.recipes._trying import Made, finding, tried, unusable
from genomed.recipes._wording import filled, prompts
from genomed.recipes.metrics.answers import AnswerLine, KeywordCoverage, answer_line

TASK = "raft"
BEGIN, END = "<quote>", "</quote>"
PROMPTS = prompts("raft")

SPARE = 8
"""Documents drawn beyond the distractors."""

_QUOTE = re.compile(f"{BEGIN}(.*?){END}", re.DOTALL)


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """oracleShare: of examples that show the document with the answer. distractors: other documents beside it."""

    oracle_share: Annotated[float, Meta(ge=0, le=1)] = 0.8
    distractors: Annotated[int, Meta(ge=1, le=20)] = 4
    tries: Annotated[int, Meta(ge=1, le=5)] = 3


class Raft(Struct, frozen=True, kw_only=True):
    """documents: as they are shown. oracle: the document with the answer, shown or not. answer: with quotations."""

    question: str
    documents: tuple[str, ...]
    oracle: str
    oracle_shown: bool
    answer: str


class RaftRecipe:
    name = "raft"
    version = "1"
    summary = "Answers that quote the right one of several documents, for models that answer from retrieval"
    task = TASK
    output: tuple[RowKind, ...] = (RowKind.CHAT, RowKind.RAFT, RowKind.RECORD)
    needs: frozenset[Need] = frozenset({Need.MODEL, Need.INPUTS})
    templates: Mapping[str, str] = PROMPTS
    Params: type[Struct] = Params

    def plan(
        self,
        params: Struct,
        *,
        inputs: Iterable[Mapping[str, object]],
        wanted: int,  # noqa: ARG002 (the questions say how many there are)
        seed: int,
    ) -> Iterator[WorkItem]:
        told, found = own(params, Params), library(inputs, asking=True)
        if (there := len(found.texts)) <= told.distractors:
            message = f"hold {there} different passages; {told.distractors} distractors beside the oracle need one more"
            raise InvalidRequest.of([Problem(field="inputs", message=message, remedy="give more, or ask for fewer")])
        return _items(found, told, seed)

    async def produce(self, item: WorkItem, params: Struct, tools: Tools) -> Sequence[Candidate]:
        return (await _made(item, own(params, Params), tools, feedback=None),)

    async def again(
        self,
        candidate: Row,  # noqa: ARG002 (the port's; the answer is written anew)
        item: WorkItem,
        params: Struct,
        tools: Tools,
        *,
        feedback: str | None,
    ) -> Candidate | None:
        return await _made(item, own(params, Params), tools, feedback=feedback)

    def check(self, candidate: Candidate, item: WorkItem, params: Struct) -> Finding:  # noqa: ARG002 (the port's)
        try:
            record = record_of(candidate.row, TASK, Raft)
        except ValueError as wrong:
            return unusable(wrong)
        reasons = list(faults(record))
        if (record.question, record.oracle) != (item.data.get("question"), item.data.get("oracle")):
            reasons.append("it is not the question, or not the oracle, that was asked about")
        if (list(record.documents), record.oracle_shown) != (item.data.get("documents"), item.data.get("oracle_shown")):
            reasons.append("its documents are not those that were drawn")
        return finding(tuple(reasons), candidate)

    def compile(self, row: Row, kind: RowKind, params: Struct) -> Sequence[Row]:  # noqa: ARG002 (the port's)
        if kind_of(row) is kind:
            return (row,)
        if kind not in {RowKind.CHAT, RowKind.RAFT}:
            raise refuse_kind(self.name, row, kind, self.output)
        record = record_of(row, TASK, Raft)
        if kind is RowKind.RAFT:
            return (_as_raft(record),)
        system = filled(PROMPTS["task"], begin=BEGIN, end=END)
        documents = "\n\n".join(f"Document {number}:\n{text}" for number, text in enumerate(record.documents, 1))
        return (lesson(system, f"{documents}\n\nQuestion: {record.question}", record.answer),)

    def metrics(self) -> Sequence[TaskMetric]:
        return (AnswerLine(), KeywordCoverage())


def _as_raft(record: Raft) -> RaftRow:
    """Where the oracle is not shown its words stay, and are no quotation: quoting from nowhere is not to be learned."""
    own_text = folded(record.oracle)
    places = (place for place, text in enumerate(record.documents) if own_text in folded(text))
    oracle = next(places, None) if record.oracle_shown else None
    answer = record.answer if oracle is not None else record.answer.replace(BEGIN, "").replace(END, "")
    return RaftRow(question=record.question, documents=record.documents, oracle=oracle, answer=answer)


def shows_oracle(place: int, share: float) -> bool:
    """Of the first n examples, for every n, the share of n to the nearest whole show it: a run may stop early."""
    return math.floor((place + 1) * share + 0.5) > math.floor(place * share + 0.5)


def faults(record: Raft) -> Iterator[str]:
    quotations = _QUOTE.findall(record.answer)
    if not quotations or not all(quotation.strip() for quotation in quotations):
        yield "it quotes nothing"
    if any(quotation.strip() not in record.oracle for quotation in quotations):
        yield "it quotes what does not stand in the oracle"
    if not record.answer.count(BEGIN) == record.answer.count(END) == len(quotations):
        yield "a quotation is not closed"
    if answer_line(record.answer) is None:
        yield "it does not end with an answer"
    if record.oracle_shown != any(folded(record.oracle) in folded(text) for text in record.documents):
        yield "its documents hold the oracle where they should not, or the other way round"


def _items(found: Library, params: Params, seed: int) -> Iterator[WorkItem]:
    """In an order of the seed's, so that neither the order of the lines nor a question's place in its document decides
    who sees the oracle.
    """
    texts = tuple(found.texts.items())
    seeded = (
        (seed_of(seed, key), key, one) for one in found.questions for key in (key_of(one.query, one.positive_id),)
    )
    for place, (own_seed, key, one) in enumerate(sorted(seeded, key=lambda three: three[:2])):
        yield WorkItem(
            key=key,
            seed=own_seed,
            data={
                **_documents(one, texts, params, own_seed, oracle_shown=shows_oracle(place, params.oracle_share)),
                "source": one.source,
                "group": one.source,
                **one.origins,
            },
        )


def _documents(
    one: Question, texts: Sequence[tuple[str, str]], params: Params, seed: int, *, oracle_shown: bool
) -> dict[str, object]:
    """Which are shown, and in what order, is drawn here: a repeated item shows the same."""
    draw, own_text = random.Random(seed), folded(one.positive)
    # More than are needed: the oracle may be among them, or a larger piece that holds it.
    drawn = draw.sample(texts, min(len(texts), params.distractors + SPARE))
    documents = [text for known, text in drawn if own_text not in known][: params.distractors]
    if oracle_shown:
        documents.insert(draw.randint(0, len(documents)), one.positive)
    return {"question": one.query, "oracle": one.positive, "documents": documents, "oracle_shown": oracle_shown}


async def _made(item: WorkItem, params: Params, tools: Tools, *, feedback: str | None) -> Candidate:
    question, oracle = str(item.data["question"]), str(item.data["oracle"])
    shown = item.data["documents"]
    documents = tuple(str(text) for text in shown) if isinstance(shown, list) else ()
    wish = filled(tools.template("write"), question=question, oracle=oracle, begin=BEGIN, end=END)
    if feedback:
        wish += "\n\n" + filled(tools.template("again"), feedback=feedback)

    async def attempt() -> Made:
        told = await asked(tools.ask, turns(tools.template("writer"), wish), temperature=0.3, max_tokens=1024)
        record = Raft(
            question=question,
            documents=documents,
            oracle=oracle,
            oracle_shown=item.data["oracle_shown"] is True,
            answer=told.text.strip(),
        )
        return Made(row=record_row(TASK, record), faults=tuple(faults(record)))

    return await tried(params.tries, attempt)


RECIPE: Recipe = RaftRecipe()
