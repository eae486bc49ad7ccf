"""raft: who sees the oracle and where, and that nothing is quoted which does not stand in it."""

from collections import Counter
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.recipes.rag_rig import asking, chunks, text_of, tools
from tests.recipes.rig import ScriptedModel, planned, produced, reasons

from genomed.entities.errors import InvalidRequest
from genomed.entities.recipe_port import Candidate, WorkItem
from genomed.entities.row_fitness import unfit
from genomed.entities.rows import ChatRow, RaftRow, RecordRow
from genomed.entities.types import RowKind
from genomed.recipes._passages import folded
from genomed.recipes.raft import RECIPE, Params

PARAMS = Params()
LINES = [*chunks(40), *asking(40)]
SHOWN, *_ = (item for item in planned(RECIPE, PARAMS, inputs=LINES) if item.data["oracle_shown"])
HIDDEN, *_ = (item for item in planned(RECIPE, PARAMS, inputs=LINES) if not item.data["oracle_shown"])


def documents(item: WorkItem) -> list[str]:
    return msgspec.convert(item.data["documents"], list[str])


def answer(item: WorkItem, *, quote: str | None = None, end: str = "\nAnswer: early") -> str:
    words = str(item.data["oracle"])[4:30] if quote is None else quote
    return f"It says <quote>{words}</quote>, so it is early.{end}"


def candidate(item: WorkItem, **fields: object) -> Candidate:
    data = {name: item.data[name] for name in ("question", "documents", "oracle", "oracle_shown")}
    whole = msgspec.convert({**data, "answer": answer(item), **fields}, dict)
    return Candidate(row=RecordRow(task="raft", data=whole), confidence=1.0)


def test_the_same_lines_plan_the_same_items_whatever_their_order() -> None:
    there = planned(RECIPE, PARAMS, inputs=LINES)
    assert there == planned(RECIPE, PARAMS, inputs=LINES) == planned(RECIPE, PARAMS, inputs=LINES[::-1])
    assert len({item.key for item in there}) == 40
    assert there != planned(RECIPE, PARAMS, inputs=LINES, seed=8)


@given(
    seed=st.integers(min_value=0, max_value=2**31),
    share=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.8, 0.9, 1.0]),
    count=st.integers(min_value=1, max_value=40),
)
def test_the_oracle_is_shown_to_exactly_its_share_of_the_plan_and_of_every_beginning_of_it(
    seed: int, share: float, count: int
) -> None:
    items = planned(RECIPE, Params(oracle_share=share), inputs=LINES[: 40 + count], seed=seed)
    for n in range(1, count + 1):
        shown = sum(item.data["oracle_shown"] is True for item in items[:n])
        assert abs(shown - n * Fraction(str(share))) <= Fraction(1, 2)


def test_whose_oracle_is_shown_depends_on_the_seed_and_not_on_the_place_in_the_file() -> None:
    hidden = Counter(
        item.data["question"]
        for seed in range(60)
        for item in planned(RECIPE, PARAMS, inputs=LINES, seed=seed)
        if not item.data["oracle_shown"]
    )
    assert len(hidden) == 40
    assert max(hidden.values()) < 30


def test_the_oracle_stands_in_every_place_and_about_as_often() -> None:
    places: Counter[int] = Counter()
    for seed in range(20):
        for item in planned(RECIPE, Params(oracle_share=1.0), inputs=LINES, seed=seed):
            places[documents(item).index(str(item.data["oracle"]))] += 1
    assert set(places) == set(range(5))
    assert min(places.values()) > 800 / 5 / 2


def test_documents_are_as_many_as_wanted_and_the_oracle_is_among_them_only_where_it_is_shown() -> None:
    lines: list[dict[str, object]] = [
        *LINES,
        {"id": "loud", "text": text_of(0).upper()},
        {"id": "larger", "text": f"Before. {text_of(1)} After."},
    ]
    for seed in range(20):
        for item in planned(RECIPE, PARAMS, inputs=lines, seed=seed):
            oracle, told = folded(str(item.data["oracle"])), [folded(text) for text in documents(item)]
            assert sum(oracle in text for text in told) == item.data["oracle_shown"]
            assert len(set(told)) == len(told) == 4 + (item.data["oracle_shown"] is True)


def test_rows_of_one_document_stand_on_one_side_and_can_be_forgotten() -> None:
    lines: list[dict[str, object]] = [*chunks(6), *({**line, "personId": "eve"} for line in asking(6))]
    for item in planned(RECIPE, PARAMS, inputs=lines):
        assert item.data["group"] == item.data["source"]
        assert item.data["person_id"] == "eve"


@pytest.mark.parametrize(
    "lines", [[*chunks(4), *asking(4)], chunks(9), [*chunks(4), *asking(1), {"id": "c", "text": text_of(0)}]]
)
def test_a_collection_too_small_or_without_questions_is_refused(lines: list[dict[str, object]]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        planned(RECIPE, PARAMS, inputs=lines)
    assert [problem.field for problem in refused.value.details] == ["inputs"]
    assert len(planned(RECIPE, PARAMS, inputs=[*chunks(5), *asking(5)])) == 5


@pytest.mark.parametrize("item", [SHOWN, HIDDEN])
async def test_an_answer_that_quotes_the_oracle_is_kept(item: WorkItem) -> None:
    model = ScriptedModel(answer(item))
    made = await produced(RECIPE, item, PARAMS, model)
    assert reasons(RECIPE, made, item, PARAMS) == ""
    assert made.confidence == 1.0
    told = model.asked[0][-1].text
    assert str(item.data["oracle"]) in told
    assert not any(text in told for text in documents(item) if text != item.data["oracle"])


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (answer(SHOWN, quote="the market never opens"), "does not stand"),
        (answer(SHOWN, quote=str(SHOWN.data["oracle"])[4:30].upper()), "does not stand"),
        (answer(SHOWN, quote=" "), "quotes nothing"),
        (f"{answer(SHOWN, quote='')} <quote>market</quote>\nAnswer: x", "quotes nothing"),
        ("It is early.\nAnswer: early", "quotes nothing"),
        ("It says <quote>market.\nAnswer: early", "not closed"),
        ("<quote>market</quote> and <quote>market\nAnswer: early", "not closed"),
        ("<quote>market</quote> and market</quote>\nAnswer: early", "not closed"),
        ("</quote>market<quote>\nAnswer: early", "not closed"),
        ("<quote>The <quote>market</quote></quote>\nAnswer: early", "not closed"),
        (answer(SHOWN, end=""), "does not end"),
        (answer(SHOWN, end="\nAnswer:"), "does not end"),
        (answer(SHOWN, end="\nAnswer: early\nBut who knows."), "does not end"),
    ],
)
def test_an_answer_that_does_not_prove_itself_is_refused(words: str, why: str) -> None:
    assert why in reasons(RECIPE, candidate(SHOWN, answer=words), SHOWN, PARAMS)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"question": "Another?"}, "asked about"),
        ({"oracle": "Another."}, "asked about"),
        ({"documents": ["a", "b"]}, "drawn"),
        ({"oracle_shown": False}, "drawn"),
        ({"answer": 3}, "shape"),
    ],
)
def test_what_is_not_what_was_planned_is_refused(fields: dict[str, object], why: str) -> None:
    assert why in reasons(RECIPE, candidate(SHOWN, **fields), SHOWN, PARAMS)


async def test_a_false_quotation_is_asked_for_again_and_costs_confidence() -> None:
    model = ScriptedModel(answer(SHOWN, quote="invented"), answer(SHOWN))
    made = await produced(RECIPE, SHOWN, PARAMS, model)
    assert reasons(RECIPE, made, SHOWN, PARAMS) == ""
    assert (len(model.asked), made.confidence) == (2, 0.85)


async def test_after_the_last_try_the_row_is_refused_with_its_reason() -> None:
    model = ScriptedModel(answer(SHOWN, quote="invented"))
    made = await produced(RECIPE, SHOWN, PARAMS, model)
    assert "does not stand" in reasons(RECIPE, made, SHOWN, PARAMS)
    assert len(model.asked) == 3


async def test_an_answer_that_was_cut_off_raises_value_error() -> None:
    with pytest.raises(ValueError, match="cut off"):
        await produced(RECIPE, SHOWN, PARAMS, ScriptedModel(answer(SHOWN), finish_reason="length"))


async def test_made_again_it_shows_the_same_documents_and_hears_the_reviewer() -> None:
    model = ScriptedModel(answer(SHOWN, end="\nAnswer: at dawn"))
    again = await RECIPE.again(
        candidate(SHOWN).row, SHOWN, PARAMS, tools(RECIPE, SHOWN, ask=model), feedback="say $when"
    )
    assert again is not None
    assert reasons(RECIPE, again, SHOWN, PARAMS) == ""
    assert "say $when" in model.asked[0][-1].text


@pytest.mark.parametrize("item", [SHOWN, HIDDEN])
def test_it_compiles_into_a_chat_that_can_be_trained_on(item: WorkItem) -> None:
    row = candidate(item).row
    [chat] = RECIPE.compile(row, RowKind.CHAT, PARAMS)
    assert isinstance(chat, ChatRow)
    assert unfit(chat) == unfit(row) == []
    shown = chat.messages[1].text
    assert [shown.count(text) for text in documents(item)] == [1] * len(documents(item))
    assert (str(item.data["oracle"]) in shown) is item.data["oracle_shown"]
    assert shown.endswith(f"Question: {item.data['question']}")
    assert chat.messages[-1].text == answer(item)
    with pytest.raises(InvalidRequest):
        RECIPE.compile(row, RowKind.TRIPLET, PARAMS)


@pytest.mark.parametrize("item", [SHOWN, HIDDEN])
def test_it_compiles_into_a_row_that_says_which_document_answers_and_quotes_only_what_is_shown(item: WorkItem) -> None:
    [raft] = RECIPE.compile(candidate(item).row, RowKind.RAFT, PARAMS)
    assert isinstance(raft, RaftRow)
    assert unfit(raft) == []
    assert (raft.question, list(raft.documents)) == (item.data["question"], documents(item))
    if item.data["oracle_shown"]:
        assert raft.oracle is not None
        assert raft.documents[raft.oracle] == item.data["oracle"]
        assert raft.answer == answer(item)
    else:
        assert raft.oracle is None
        assert raft.answer == answer(item).replace("<quote>", "").replace("</quote>", "")
