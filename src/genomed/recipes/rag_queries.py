"""rag.queries: questions that a passage answers, so that retrieval can be trained and measured on one's own documents.

A second look, at temperature 0, keeps only questions that their passage does answer.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated

from msgspec import Meta, Struct

from genomed.curation.json_answers import json_object
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.recipe_port import Candidate, Finding, Need, Recipe, TaskMetric, Tools, WorkItem
from genomed.entities.rows import RankingRow, Row, TripletRow, kind_of
from genomed.entities.types import RowKind
from genomed.recipes._answering import answers
from genomed.recipes._passages import Passage, folded, key_of, library
from genomed.recipes._planning import seed_of
from genomed.recipes._records import asked, own, read, record_of, record_row, refuse_kind, turns
from genomed.recipes._trying import finding, unusable
from genomed.recipes._wording import filled, prompts
from genomed.recipes.metrics.retrieval import (
    ContextPrecision,
    HitRate,
    MeanReciprocalRank,
    Ndcg,
    PositionWeightedRelevance,
)

TASK = "rag_query"
MOST_CHARACTERS = 400
"""Of a question; what is longer is no question that anybody types."""

SHORTEST_WITHOUT_SPACES = 4


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """qualityFilter: keep a question only if a judge says that its passage answers it. minCharacters: of a passage."""

    queries_per_chunk: Annotated[int, Meta(ge=1, le=5)] = 2
    quality_filter: bool = True
    min_characters: Annotated[int, Meta(ge=1)] = 40


class RagQuery(Struct, frozen=True, kw_only=True):
    """A question and the passage that answers it."""

    query: str
    positive_id: str
    positive: str
    source: str


class _Written(Struct, frozen=True):
    queries: list[str]


class RagQueries:
    name = "rag.queries"
    version = "1"
    summary = "Questions that each passage of your documents answers, checked by a judge"
    task = TASK
    output: tuple[RowKind, ...] = (RowKind.RECORD, RowKind.RANKING, RowKind.TRIPLET)
    needs: frozenset[Need] = frozenset({Need.MODEL, Need.INPUTS})
    templates: Mapping[str, str] = prompts("rag_queries")
    Params: type[Struct] = Params

    def plan(
        self,
        params: Struct,
        *,
        inputs: Iterable[Mapping[str, object]],
        wanted: int,  # noqa: ARG002 (the passages say how many there are)
        seed: int,
    ) -> Iterator[WorkItem]:
        told = own(params, Params)
        found = [one for one in library(inputs).passages.values() if len(one.text) >= told.min_characters]
        if not found:
            message = f"hold no passage of {told.min_characters} characters or more"
            remedy = "give lines with `id` and `text`"
            raise InvalidRequest.of([Problem(field="inputs", message=message, remedy=remedy)])
        return (_item(passage, seed) for passage in found)

    async def produce(self, item: WorkItem, params: Struct, tools: Tools) -> Sequence[Candidate]:
        told = own(params, Params)
        written = await _written(item, tools, count=told.queries_per_chunk, feedback=None)
        return [await _judged(item, query, told, tools) for query in written]

    async def again(
        self,
        candidate: Row,  # noqa: ARG002 (the port's; a question is asked anew)
        item: WorkItem,
        params: Struct,
        tools: Tools,
        *,
        feedback: str | None,
    ) -> Candidate | None:
        written = await _written(item, tools, count=1, feedback=feedback)
        return await _judged(item, written[0], own(params, Params), tools)

    def check(self, candidate: Candidate, item: WorkItem, params: Struct) -> Finding:
        try:
            record = record_of(candidate.row, TASK, RagQuery)
        except ValueError as wrong:
            return unusable(wrong)
        reasons = _faults(record)
        if (record.positive_id, record.positive) != (item.data.get("id"), item.data.get("text")):
            reasons.append("it is about another passage than the one that was asked about")
        if own(params, Params).quality_filter and candidate.notes.get("answered") is not True:
            reasons.append("the judge says that the passage does not answer it")
        return finding(tuple(reasons), candidate)

    def compile(self, row: Row, kind: RowKind, params: Struct) -> Sequence[Row]:  # noqa: ARG002 (the port's)
        if kind_of(row) is kind:
            return (row,)
        if kind not in self.output:
            raise refuse_kind(self.name, row, kind, self.output)
        record = record_of(row, TASK, RagQuery)
        if kind is RowKind.TRIPLET:
            # Without negatives of its own: in training, the passages of the other questions in its batch are that.
            return (TripletRow(anchor=record.query, positive=record.positive, negatives=()),)
        return (RankingRow(query=record.query, document=record.positive, label=1.0),)

    def metrics(self) -> Sequence[TaskMetric]:
        return (HitRate(k=10), MeanReciprocalRank(), Ndcg(k=10), ContextPrecision(k=10), PositionWeightedRelevance())


def _item(passage: Passage, seed: int) -> WorkItem:
    key = key_of(passage.id)
    data: dict[str, object] = {
        "id": passage.id,
        "text": passage.text,
        "source": passage.source,
        "group": passage.source,
        **passage.origins,
    }
    return WorkItem(key=key, seed=seed_of(seed, key), data=data)


async def _written(item: WorkItem, tools: Tools, *, count: int, feedback: str | None) -> list[str]:
    """Different questions, at most `count`. Raises ValueError where the answer holds none."""
    wish = filled(tools.template("write"), count=str(count), text=str(item.data["text"]))
    if feedback:
        wish += "\n\n" + filled(tools.template("again"), feedback=feedback)
    told = await asked(tools.ask, turns(tools.template("writer"), wish), temperature=0.8, max_tokens=512, as_json=True)
    given = read(json_object(told.text), _Written).queries
    found = dict.fromkeys(" ".join(query.split()) for query in given if query.strip())
    if not found:
        raise ValueError("the answer's list of queries is empty")
    return list(found)[:count]


async def _judged(item: WorkItem, query: str, params: Params, tools: Tools) -> Candidate:
    record = RagQuery(
        query=query,
        positive_id=str(item.data["id"]),
        positive=str(item.data["text"]),
        source=str(item.data["source"]),
    )
    row = record_row(TASK, record)
    if not params.quality_filter or _faults(record):
        return Candidate(row=row)
    return Candidate(row=row, notes={"answered": await answers(tools, query, record.positive)})


def _faults(record: RagQuery) -> list[str]:
    found = []
    if len(record.query) > MOST_CHARACTERS:
        found.append(f"it is longer than {MOST_CHARACTERS} characters")
    if _is_a_word(record.query):
        found.append("it is no more than a word")
    if folded(record.query) in folded(record.positive):
        found.append("it is copied from the passage")
    return found


def _is_a_word(query: str) -> bool:
    """Scripts without case often write no spaces: there a few characters are a word, and more are a sentence."""
    if len(query.split()) > 1:
        return False
    return query.lower() != query.upper() or len(query) < SHORTEST_WITHOUT_SPACES


RECIPE: Recipe = RagQueries()
