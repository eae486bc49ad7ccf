"""rag.hard_negatives: for each question, passages that look like its answer and are none.

Candidates are the best of lexical and of dense search without the right passages and copies of them; those nearest to
the right passage come first, and a judge takes out what does answer the question after all.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated

import anyio.to_thread
from msgspec import Meta, Struct

from genomed.entities.configuration import Scalar
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.recipe_port import Candidate, Finding, Need, Recipe, TaskMetric, Tools, WorkItem
from genomed.entities.rows import RankingRow, Row, TripletRow, kind_of
from genomed.entities.types import RowKind
from genomed.recipes._answering import answers
from genomed.recipes._dense import Indexed, Indexes, Vector, cosine
from genomed.recipes._passages import Library, Question, folded, key_of, library
from genomed.recipes._planning import seed_of
from genomed.recipes._records import encoder, own, record_of, record_row, refuse_kind
from genomed.recipes._trying import finding, unusable
from genomed.recipes._wording import prompts
from genomed.recipes.metrics.retrieval import (
    ContextPrecision,
    HitRate,
    MeanReciprocalRank,
    Ndcg,
    PositionWeightedRelevance,
)

TASK = "hard_negatives"


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """negatives: wanted per question; fewest: with fewer, a question gives no row. lexical, dense: candidates of each
    search. judgeFilter: take out what answers the question.
    """

    negatives: Annotated[int, Meta(ge=1, le=50)] = 5
    fewest: Annotated[int, Meta(ge=1, le=50)] = 1
    lexical: Annotated[int, Meta(ge=0, le=200)] = 20
    dense: Annotated[int, Meta(ge=0, le=200)] = 20
    judge_filter: bool = True


class Negative(Struct, frozen=True, kw_only=True):
    """score: cosine between the question and the passage."""

    id: str
    text: str
    score: float


class HardNegatives(Struct, frozen=True, kw_only=True):
    """positive_score: cosine between the question and its right passage."""

    query: str
    positive_id: str
    positive: str
    positive_score: float
    negatives: tuple[Negative, ...]


class RagHardNegatives:
    name = "rag.hard_negatives"
    version = "1"
    summary = "Passages that look like a question's answer and are none, by BM25 and dense search"
    task = TASK
    output: tuple[RowKind, ...] = (RowKind.TRIPLET, RowKind.RANKING, RowKind.RECORD)
    needs: frozenset[Need] = frozenset({Need.MODEL, Need.ENCODER, Need.INPUTS})
    templates: Mapping[str, str] = prompts("rag_hard_negatives")
    Params: type[Struct] = Params

    def __init__(self) -> None:
        self._indexes = Indexes()

    def plan(
        self,
        params: Struct,
        *,
        inputs: Iterable[Mapping[str, object]],
        wanted: int,  # noqa: ARG002 (the questions say how many there are)
        seed: int,
    ) -> Iterator[WorkItem]:
        told, found = own(params, Params), library(inputs, asking=True)
        _require_enough(told, found)
        return _items(found, seed)

    async def produce(self, item: WorkItem, params: Struct, tools: Tools) -> Sequence[Candidate]:
        told, encode = own(params, Params), encoder(tools.encode)
        query, positive = str(item.data["query"]), str(item.data["positive"])
        asked, right = await encode((query, positive))
        index = await self._indexes.of(
            str(item.data["corpus"]),
            lambda: library(tools.inputs()).in_order,
            encode,
            known=(str(item.data["positive_id"]), right),
        )
        places = await anyio.to_thread.run_sync(_candidates, index, item, told, asked, right)
        kept, judged_away = await _kept(index, places, query, told, tools)
        record = HardNegatives(
            query=query,
            positive_id=str(item.data["positive_id"]),
            positive=positive,
            positive_score=round(cosine(asked, right), 6),
            negatives=tuple(
                Negative(id=one.id, text=one.text, score=round(cosine(asked, index.vectors[place]), 6))
                for place in kept
                for one in (index.passages[place],)
            ),
        )
        notes: dict[str, Scalar] = {"candidates": len(places), "judgedAway": judged_away}
        return (Candidate(row=record_row(TASK, record), notes=notes),)

    async def again(
        self,
        candidate: Row,  # noqa: ARG002 (the port's)
        item: WorkItem,  # noqa: ARG002
        params: Struct,  # noqa: ARG002
        tools: Tools,  # noqa: ARG002
        *,
        feedback: str | None,  # noqa: ARG002
    ) -> Candidate | None:
        """Search finds the same again: there is nothing that words could change."""
        return None

    def check(self, candidate: Candidate, item: WorkItem, params: Struct) -> Finding:
        told = own(params, Params)
        try:
            record = record_of(candidate.row, TASK, HardNegatives)
        except ValueError as wrong:
            return unusable(wrong)
        reasons = []
        if len(record.negatives) < told.fewest:
            reasons.append(f"{len(record.negatives)} negatives are left where {told.fewest} are the fewest")
        if (record.query, record.positive) != (item.data.get("query"), item.data.get("positive")):
            reasons.append("it is not the question that was asked about")
        if any(one.id in _right_ids(item) or _copies(one.text, record.positive) for one in record.negatives):
            reasons.append("a right passage is among the negatives")
        if len({folded(one.text) for one in record.negatives}) < len(record.negatives):
            reasons.append("a passage is among the negatives twice")
        return finding(tuple(reasons), candidate)

    def compile(self, row: Row, kind: RowKind, params: Struct) -> Sequence[Row]:  # noqa: ARG002 (the port's)
        if kind_of(row) is kind:
            return (row,)
        record = record_of(row, TASK, HardNegatives)
        match kind:
            case RowKind.TRIPLET:
                return (_triplet(record),)
            case RowKind.RANKING:
                right = RankingRow(query=record.query, document=record.positive, label=1.0)
                wrong = (RankingRow(query=record.query, document=one.text, label=0.0) for one in record.negatives)
                return (right, *wrong)
            case _:
                raise refuse_kind(self.name, row, kind, self.output)

    def metrics(self) -> Sequence[TaskMetric]:
        return (HitRate(k=10), MeanReciprocalRank(), Ndcg(k=10), ContextPrecision(k=10), PositionWeightedRelevance())


def _require_enough(params: Params, found: Library) -> None:
    """Raises InvalidRequest where no question could ever give a row."""
    problems = []
    if not params.lexical and not params.dense:
        problems.append(Problem(field="params", message="ask for candidates neither of lexical nor of dense search"))
    if params.fewest > params.negatives:
        problems.append(Problem(field="params.fewest", message=f"is more than the {params.negatives} that are wanted"))
    if (there := len(found.texts)) <= params.fewest:
        message = f"hold {there} different passages; a question needs its own and {params.fewest} others"
        remedy = "give all passages of the collection as lines with `id` and `text`"
        problems.append(Problem(field="inputs", message=message, remedy=remedy))
    if problems:
        raise InvalidRequest.of(problems)


def _items(found: Library, seed: int) -> Iterator[WorkItem]:
    digest = found.digest
    right: dict[str, list[str]] = {}
    for one in found.questions:
        right.setdefault(folded(one.query), []).append(one.positive_id)
    for one in found.questions:
        yield _item(one, seed, corpus=digest, right=right[folded(one.query)])


def _item(one: Question, seed: int, *, corpus: str, right: Sequence[str]) -> WorkItem:
    """corpus: which passages are searched; an index of them may be there. right: all that answer the question."""
    key = key_of(one.query, one.positive_id)
    data: dict[str, object] = {
        "query": one.query,
        "positive_id": one.positive_id,
        "positive": one.positive,
        "right_ids": list(right),
        "corpus": corpus,
        "source": one.source,
        "group": one.source,
        **one.origins,
    }
    return WorkItem(key=key, seed=seed_of(seed, key), data=data)


def _candidates(index: Indexed, item: WorkItem, params: Params, asked: Vector, right: Vector) -> list[int]:
    """The union of both searches without right passages, copies of them and of each other; the nearest to it first."""
    query, positive = str(item.data["query"]), str(item.data["positive"])
    found = {*index.lexical.best(query, params.lexical), *index.dense(asked, params.dense)}
    answering = _right_ids(item)
    seen: set[str] = set()
    places = []
    for place in sorted(found, key=lambda place: (-cosine(right, index.vectors[place]), place)):
        passage = index.passages[place]
        text = folded(passage.text)
        if passage.id not in answering and text not in seen and not _copies(passage.text, positive):
            seen.add(text)
            places.append(place)
    return places


async def _kept(
    index: Indexed, places: Sequence[int], query: str, params: Params, tools: Tools
) -> tuple[list[int], int]:
    """As many as are wanted, and how many the judge took out on the way."""
    kept: list[int] = []
    judged_away = 0
    for place in places:
        if len(kept) == params.negatives:
            break
        if params.judge_filter and await answers(tools, query, index.passages[place].text):
            judged_away += 1
        else:
            kept.append(place)
    return kept, judged_away


def _right_ids(item: WorkItem) -> frozenset[object]:
    told = item.data["right_ids"]
    return frozenset(told) if isinstance(told, list) else frozenset()


def _copies(text: str, positive: str) -> bool:
    """Whether all of the right passage stands in it, as in a copy or in a larger piece of the same document."""
    return folded(positive) in folded(text)


def _triplet(record: HardNegatives) -> TripletRow:
    return TripletRow(
        anchor=record.query,
        positive=record.positive,
        negatives=tuple(one.text for one in record.negatives),
        scores=(record.positive_score, *(one.score for one in record.negatives)),
    )


RECIPE: Recipe = RagHardNegatives()
