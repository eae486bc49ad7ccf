"""rag.queries: questions that their passage answers, and nothing else."""

import msgspec
import pytest
from tests.recipes.rag_rig import asking, chunks, judge, said, text_of, tools
from tests.recipes.rig import ScriptedModel, planned, reasons

from genomed.entities.configuration import Scalar
from genomed.entities.errors import InvalidRequest
from genomed.entities.recipe_port import Candidate, WorkItem
from genomed.entities.row_fitness import unfit
from genomed.entities.rows import RankingRow, RecordRow, TripletRow
from genomed.entities.types import RowKind
from genomed.recipes.rag_queries import RECIPE, Params

PARAMS = Params()
UNFILTERED = Params(quality_filter=False)
QUESTIONS = ["When does the market open?", "What is sold in the morning?"]
(ITEM,) = planned(RECIPE, PARAMS, inputs=chunks(1))


async def made(
    model: ScriptedModel, *, judging: ScriptedModel | None = None, params: Params = PARAMS
) -> list[Candidate]:
    return list(await RECIPE.produce(ITEM, params, tools(RECIPE, ITEM, ask=model, judge=judging)))


def candidate(*, item: WorkItem = ITEM, answered: bool | None = True, **fields: object) -> Candidate:
    data = {"query": QUESTIONS[0], "positive_id": "c0", "positive": item.data["text"], "source": "doc0", **fields}
    notes: dict[str, Scalar] = {} if answered is None else {"answered": answered}
    return Candidate(row=RecordRow(task="rag_query", data=msgspec.convert(data, dict)), notes=notes)


def test_the_same_passages_plan_the_same_items_whatever_the_order_of_the_lines() -> None:
    there, back = planned(RECIPE, PARAMS, inputs=chunks(9)), planned(RECIPE, PARAMS, inputs=chunks(9)[::-1])
    assert there == planned(RECIPE, PARAMS, inputs=chunks(9))
    assert sorted(one.key for one in there) == sorted(one.key for one in back)
    assert {one.key: one for one in there} == {one.key: one for one in back}
    assert len({one.key for one in there}) == 9


def test_passages_of_one_document_stand_on_one_side_and_can_be_forgotten_together() -> None:
    lines = [{**line, "personId": "eve", "session_id": "s1"} for line in chunks(4)]
    items = planned(RECIPE, PARAMS, inputs=lines)
    assert [item.data["group"] for item in items] == ["doc0", "doc0", "doc1", "doc1"]
    assert {(item.data["source"], item.data["person_id"], item.data["session_id"]) for item in items} == {
        ("doc0", "eve", "s1"),
        ("doc1", "eve", "s1"),
    }


def test_passages_that_a_database_numbered_are_passages_too() -> None:
    [item] = planned(RECIPE, PARAMS, inputs=[{"id": 17, "text": text_of(1)}])
    assert (item.data["id"], item.data["group"]) == ("17", "17")


def test_every_line_that_cannot_be_used_is_named() -> None:
    lines: list[dict[str, object]] = [
        *chunks(1),
        {"strange": 1},
        {"id": "c0", "text": "Another text under the same id."},
        {"id": "x", "text": " "},
        {"query": "Where?", "positive_id": "nowhere"},
    ]
    with pytest.raises(InvalidRequest) as refused:
        planned(RECIPE, PARAMS, inputs=lines)
    assert sorted(problem.field for problem in refused.value.details) == [f"inputs[{n}]" for n in (2, 3, 4, 5)]


def test_hundreds_of_bad_lines_are_a_hundred_and_a_count() -> None:
    with pytest.raises(InvalidRequest) as refused:
        planned(RECIPE, PARAMS, inputs=[{"strange": n} for n in range(150)])
    assert len(refused.value.details) == 101
    assert "50" in refused.value.details[-1].message


def test_passages_too_short_to_ask_about_are_left_out_and_said_where_all_are() -> None:
    with pytest.raises(InvalidRequest, match="40 characters"):
        planned(RECIPE, PARAMS, inputs=[{"id": "a", "text": "Short."}])
    assert len(planned(RECIPE, PARAMS, inputs=[{"id": "a", "text": "Short."}, *chunks(1)])) == 1


async def test_what_is_asked_for_is_written_judged_and_kept() -> None:
    model, judging = ScriptedModel(said({"queries": QUESTIONS})), judge(lambda _: True)
    candidates = await made(model, judging=judging)
    assert [reasons(RECIPE, one, ITEM, PARAMS) for one in candidates] == ["", ""]
    assert (len(model.asked), len(judging.asked)) == (1, 2)
    assert text_of(0) in model.asked[0][-1].text
    assert all(text_of(0) in turns[-1].text for turns in judging.asked)


async def test_what_the_judge_says_is_not_answered_is_refused() -> None:
    judging = judge(lambda prompt: QUESTIONS[0] in prompt)
    candidates = await made(ScriptedModel(said({"queries": QUESTIONS})), judging=judging)
    assert [reasons(RECIPE, one, ITEM, PARAMS) for one in candidates] == [
        "",
        "the judge says that the passage does not answer it",
    ]


async def test_without_a_judge_of_its_own_the_model_judges_and_without_the_filter_nobody_does() -> None:
    model = ScriptedModel(said({"queries": QUESTIONS[:1]}), said({"answers": False}))
    [candidate] = await made(model)
    assert "judge" in reasons(RECIPE, candidate, ITEM, PARAMS)
    model = ScriptedModel(said({"queries": QUESTIONS}))
    assert [reasons(RECIPE, one, ITEM, UNFILTERED) for one in await made(model, params=UNFILTERED)] == ["", ""]
    assert len(model.asked) == 1


async def test_no_more_questions_than_wanted_and_none_twice() -> None:
    many = [QUESTIONS[0], f"  {QUESTIONS[0]}\n", "", *QUESTIONS, "And what else is there?"]
    candidates = await made(ScriptedModel(said({"queries": many})), params=UNFILTERED)
    assert [row.row.data["query"] for row in candidates if isinstance(row.row, RecordRow)] == QUESTIONS


@pytest.mark.parametrize("answer", ["no JSON", "{}", '{"queries":"one"}', '{"queries":[1]}', '{"queries":[" "]}', ""])
async def test_an_answer_nobody_can_read_raises_value_error(answer: str) -> None:
    with pytest.raises(ValueError, match=r"answer|shape"):
        await made(ScriptedModel(answer))


async def test_a_verdict_nobody_can_read_is_no_yes() -> None:
    for verdict in ('{"answers":"yes"}', "yes", '{"answer":true}'):
        with pytest.raises(ValueError, match=r"answer|shape"):
            await made(ScriptedModel(said({"queries": QUESTIONS})), judging=ScriptedModel(verdict))


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (candidate(query="x y" * 200), "longer"),
        (candidate(query="Market"), "a word"),
        (candidate(query="市场"), "a word"),
        (candidate(query="the MARKET of\n Porto"), "copied"),
        (candidate(positive_id="c9"), "another passage"),
        (candidate(positive="What somebody else wrote."), "another passage"),
        (candidate(answered=None), "judge"),
        (candidate(query=3), "shape"),
        (Candidate(row=RecordRow(task="other", data={"a": 1})), "no record"),
    ],
)
def test_a_bad_candidate_is_refused(bad: Candidate, why: str) -> None:
    assert why in reasons(RECIPE, bad, ITEM, PARAMS)


def test_a_question_in_a_script_without_spaces_is_a_question() -> None:
    assert reasons(RECIPE, candidate(query="市场几点开门"), ITEM, PARAMS) == ""


async def test_a_question_that_is_made_again_hears_what_the_reviewer_said() -> None:
    model, judging = ScriptedModel(said({"queries": ["Which cheese is sold there?"]})), judge(lambda _: True)
    given = tools(RECIPE, ITEM, ask=model, judge=judging)
    again = await RECIPE.again(candidate().row, ITEM, PARAMS, given, feedback="Too plain $5")
    assert again is not None
    assert reasons(RECIPE, again, ITEM, PARAMS) == ""
    assert "Too plain $5" in model.asked[0][-1].text


def test_it_compiles_into_rows_that_can_be_trained_on() -> None:
    row = candidate().row
    [ranking] = RECIPE.compile(row, RowKind.RANKING, PARAMS)
    assert ranking == RankingRow(query=QUESTIONS[0], document=text_of(0), label=1.0)
    [pair] = RECIPE.compile(row, RowKind.TRIPLET, PARAMS)
    assert pair == TripletRow(anchor=QUESTIONS[0], positive=text_of(0), negatives=())
    assert [unfit(one) for one in (row, ranking, pair)] == [[], [], []]
    assert RECIPE.compile(row, RowKind.RECORD, PARAMS) == (row,)
    with pytest.raises(InvalidRequest):
        RECIPE.compile(row, RowKind.CHAT, PARAMS)


def test_its_records_are_questions_for_the_other_recipes() -> None:
    row = candidate().row
    assert isinstance(row, RecordRow)
    line = {"task": row.task, "data": row.data}
    [item] = planned(RECIPE, PARAMS, inputs=[line])
    assert item.data["text"] == text_of(0)
    assert asking(1)[0]["positive_id"] == row.data["positive_id"]
