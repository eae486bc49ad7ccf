"""rag.hard_negatives: near misses, and never an answer among them."""

import anyio
import msgspec
import pytest
from tests.recipes.rag_rig import Line, WordEncoder, asking, chunks, judge, text_of, tools
from tests.recipes.rig import ScriptedModel, planned, reasons

from genomed.entities.errors import InvalidRequest
from genomed.entities.recipe_port import Candidate, Recipe, WorkItem
from genomed.entities.row_fitness import unfit
from genomed.entities.rows import RankingRow, RecordRow, TripletRow
from genomed.entities.types import RowKind
from genomed.recipes._dense import cosine
from genomed.recipes.rag_hard_negatives import HardNegatives, Params, RagHardNegatives

PARAMS = Params()
UNJUDGED = Params(judge_filter=False)
LINES = [*chunks(20), *asking(20)]


async def made(
    lines: list[Line] | list[dict[str, object]] = LINES,
    *,
    params: Params = UNJUDGED,
    judging: ScriptedModel | None = None,
    encode: WordEncoder | None = None,
    at: int = 0,
) -> tuple[Recipe, WorkItem, Candidate, HardNegatives]:
    recipe = RagHardNegatives()
    item = planned(recipe, params, inputs=lines)[at]
    given = tools(recipe, item, ask=ScriptedModel("?"), judge=judging, encode=encode or WordEncoder(), inputs=lines)
    [candidate] = await recipe.produce(item, params, given)
    assert isinstance(candidate.row, RecordRow)
    return recipe, item, candidate, msgspec.convert(candidate.row.data, HardNegatives)


def test_the_same_lines_plan_the_same_items_whatever_their_order() -> None:
    recipe = RagHardNegatives()
    there, back = planned(recipe, PARAMS, inputs=LINES), planned(recipe, PARAMS, inputs=LINES[::-1])
    assert there == planned(recipe, PARAMS, inputs=LINES)
    assert {one.key: one for one in there} == {one.key: one for one in back}
    assert len({one.key for one in there}) == 20
    assert {one.data["group"] for one in there} == {f"doc{n}" for n in range(10)}


async def test_the_nearest_to_the_right_passage_come_first() -> None:
    encode = WordEncoder()
    recipe, item, candidate, record = await made(encode=encode)
    assert reasons(recipe, candidate, item, UNJUDGED) == ""
    right = encode.vector(record.positive)
    near = [cosine(right, encode.vector(one.text)) for one in record.negatives]
    assert len(near) == 5
    assert near == sorted(near, reverse=True)
    others = [cosine(right, encode.vector(text_of(n))) for n in range(1, 20)]
    assert near[0] == pytest.approx(max(others), abs=1e-6)
    asked = encode.vector(record.query)
    assert record.positive_score == pytest.approx(cosine(asked, right), abs=1e-5)
    assert record.negatives[0].score == pytest.approx(cosine(asked, encode.vector(record.negatives[0].text)), abs=1e-5)


async def test_what_does_answer_the_question_is_judged_away() -> None:
    judging = judge(lambda prompt: "Porto" in prompt)
    recipe, item, candidate, record = await made(params=PARAMS, judging=judging)
    assert reasons(recipe, candidate, item, PARAMS) == ""
    assert not any("Porto" in one.text for one in record.negatives)
    assert candidate.notes["judgedAway"] == 1
    assert len(judging.asked) == len(record.negatives) + 1  # no more are judged than are needed


async def test_the_right_passage_and_its_copies_are_never_among_the_negatives() -> None:
    copies: list[dict[str, object]] = [
        {"id": "same", "text": text_of(0)},
        {"id": "loud", "text": text_of(0).upper().replace(" ", "\n ")},
        {"id": "larger", "text": f"Before it. {text_of(0)} After it."},
        {"id": "twin1", "text": text_of(1)},
    ]
    recipe, item, candidate, record = await made([*chunks(6), *copies, *asking(1)], params=Params(judge_filter=False))
    assert reasons(recipe, candidate, item, UNJUDGED) == ""
    found = [one.id for one in record.negatives]
    assert not {"c0", "same", "loud", "larger"} & set(found)
    assert len({"c1", "twin1"} & set(found)) == 1


async def test_another_right_passage_of_the_same_question_is_no_negative() -> None:
    lines: list[dict[str, object]] = [*chunks(6), {"query": "When is the market?", "positive_id": "c0"}]
    lines.append({"query": "when is  the market?", "positive_id": "c3"})
    for at in (0, 1):
        _, _, _, record = await made(lines, at=at)
        assert not {"c0", "c3"} & {one.id for one in record.negatives}
        assert len(record.negatives) == 4


async def test_too_few_are_refused_with_both_numbers() -> None:
    params = Params(fewest=3)
    judging = judge(lambda prompt: "number 1 " not in prompt.split("Passage:")[1])
    recipe, item, candidate, record = await made(chunks(5) + asking(1), params=params, judging=judging)
    assert len(record.negatives) == 1
    assert reasons(recipe, candidate, item, params) == "1 negatives are left where 3 are the fewest"


async def test_where_every_candidate_answers_the_row_is_refused() -> None:
    recipe, item, candidate, _ = await made(params=PARAMS, judging=judge(lambda _: True))
    assert "0 negatives" in reasons(recipe, candidate, item, PARAMS)


@pytest.mark.parametrize(
    ("lines", "params", "fields"),
    [
        (chunks(5), Params(), ["inputs"]),
        (chunks(1) + asking(1), Params(), ["inputs"]),
        ([*chunks(1), {"id": "copy", "text": text_of(0)}, *asking(1)], Params(), ["inputs"]),
        (LINES, Params(lexical=0, dense=0), ["params"]),
        (LINES, Params(negatives=2, fewest=3), ["params.fewest"]),
        (asking(2), Params(), ["inputs[1]", "inputs[2]"]),
    ],
)
def test_what_can_never_give_a_row_is_refused_before_anything_is_paid(
    lines: list[dict[str, object]], params: Params, fields: list[str]
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        planned(RagHardNegatives(), params, inputs=lines)
    assert [problem.field for problem in refused.value.details] == fields


@pytest.mark.parametrize("params", [Params(lexical=0, judge_filter=False), Params(dense=0, judge_filter=False)])
async def test_each_search_works_alone(params: Params) -> None:
    recipe, item, candidate, record = await made(params=params)
    assert reasons(recipe, candidate, item, params) == ""
    assert len(record.negatives) == 5


async def test_vectors_of_the_collection_are_paid_for_once_however_many_ask_at_once() -> None:
    recipe, encode, reads = RagHardNegatives(), WordEncoder(), 0
    items = planned(recipe, UNJUDGED, inputs=LINES)

    def read() -> object:
        nonlocal reads
        reads += 1
        return iter(LINES)

    async with anyio.create_task_group() as tasks:
        for item in items:
            given = msgspec.structs.replace(tools(recipe, item, encode=encode), inputs=read)
            tasks.start_soon(recipe.produce, item, UNJUDGED, given)
    assert reads == 1
    assert len(encode.texts) == 20 + 2 * len(items)


@pytest.mark.parametrize("other", [WordEncoder(space="b"), WordEncoder(32)])
async def test_an_index_made_with_another_encoder_is_not_used(other: WordEncoder) -> None:
    recipe = RagHardNegatives()
    item = planned(recipe, UNJUDGED, inputs=LINES)[0]
    await recipe.produce(item, UNJUDGED, tools(recipe, item, encode=WordEncoder(), inputs=LINES))
    [after] = await recipe.produce(item, UNJUDGED, tools(recipe, item, encode=other, inputs=LINES))
    fresh = RagHardNegatives()
    [alone] = await fresh.produce(item, UNJUDGED, tools(fresh, item, encode=other, inputs=LINES))
    assert after == alone


async def test_a_collection_that_changed_is_indexed_anew() -> None:
    recipe, encode = RagHardNegatives(), WordEncoder()
    more: list[dict[str, object]] = [*LINES, {"id": "new", "text": text_of(0).replace("noon", "ten")}]
    for lines, expected in ((LINES, False), (more, True)):
        item = planned(recipe, UNJUDGED, inputs=lines)[0]
        [candidate] = await recipe.produce(item, UNJUDGED, tools(recipe, item, encode=encode, inputs=lines))
        assert isinstance(candidate.row, RecordRow)
        record = msgspec.convert(candidate.row.data, HardNegatives)
        assert ("new" in {one.id for one in record.negatives}) is expected


async def changed(**fields: object) -> tuple[Recipe, WorkItem, Candidate]:
    recipe, item, candidate, _ = await made()
    assert isinstance(candidate.row, RecordRow)
    data = msgspec.convert({**candidate.row.data, **fields}, dict)
    return recipe, item, Candidate(row=RecordRow(task="hard_negatives", data=data))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"negatives": []}, "0 negatives"),
        ({"query": "Something else?"}, "not the question"),
        ({"negatives": [{"id": "c0", "text": "x", "score": 0.1}]}, "right passage"),
        ({"negatives": [{"id": "z", "text": text_of(0).upper(), "score": 0.1}]}, "right passage"),
        ({"negatives": [{"id": n, "text": t, "score": 0.1} for n, t in (("y", "a b"), ("z", "A  b"))]}, "twice"),
        ({"negatives": [{"id": "z"}]}, "shape"),
    ],
)
async def test_a_bad_candidate_is_refused(fields: dict[str, object], why: str) -> None:
    recipe, item, candidate = await changed(**fields)
    assert why in reasons(recipe, candidate, item, UNJUDGED)


async def test_it_compiles_into_rows_that_can_be_trained_on() -> None:
    recipe, _, candidate, record = await made()
    [triplet] = recipe.compile(candidate.row, RowKind.TRIPLET, UNJUDGED)
    assert isinstance(triplet, TripletRow)
    assert triplet.negatives == tuple(one.text for one in record.negatives)
    ranking = recipe.compile(candidate.row, RowKind.RANKING, UNJUDGED)
    assert [row.label for row in ranking if isinstance(row, RankingRow)] == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert [unfit(row) for row in (candidate.row, triplet, *ranking)] == [[]] * 8
    with pytest.raises(InvalidRequest):
        recipe.compile(candidate.row, RowKind.CHAT, UNJUDGED)


async def test_it_cannot_be_made_again() -> None:
    recipe, item, candidate, _ = await made()
    assert await recipe.again(candidate.row, item, UNJUDGED, tools(recipe, item), feedback="better") is None
