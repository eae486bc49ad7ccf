"""One row at a time, and the arithmetic of shares."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.curation.cleaning.row_steps import FEW_ROWS, RowCleaning, answers_in_json, tokens_of
from genomed.curation.cleaning.shares import generated_kept, most_per_source
from genomed.entities.cleaning import CleaningRules
from genomed.entities.rows import ChatRow, FunctionCall, Message, PreferenceRow, RankingRow, ToolCall
from tests.daemon.dataset_bench import lesson

SECRET = "AKIA" + "IOSFODNN7EXAMPLE"


def test_a_clean_row_comes_back_as_it_is() -> None:
    row = lesson("q").row
    assert RowCleaning(CleaningRules()).cleaned(row) is row


def test_a_step_that_took_a_row_is_the_last_that_saw_it() -> None:
    cleaning = RowCleaning(CleaningRules())
    assert cleaning.cleaned(lesson("key", SECRET).row) is None
    assert [(step.step, step.examined, step.removed) for step in cleaning.told()] == [
        ("secrets", 1, 1),
        ("empty_turns", 0, 0),
        ("role_order", 0, 0),
        ("sense", 0, 0),
    ]


def test_steps_that_the_rules_leave_out_do_not_run() -> None:
    cleaning = RowCleaning(CleaningRules(secrets="keep", role_order=False, empty_turns=False))
    assert cleaning.cleaned(lesson("", SECRET).row) is not None
    assert [step.step for step in cleaning.told()] == ["sense"]


def test_only_the_first_few_rows_of_a_step_are_named_and_all_are_counted() -> None:
    cleaning = RowCleaning(CleaningRules())
    for n in range(30):
        cleaning.cleaned(lesson(f"key {n}", SECRET).row)
    [step] = [one for one in cleaning.told() if one.step == "secrets"]
    assert (step.removed, len(step.rows)) == (30, FEW_ROWS)


def test_a_length_counts_every_text_and_the_limit_itself_is_allowed() -> None:
    row = lesson("x" * 40, "y" * 40).row
    assert tokens_of(row, None) == 20
    for most, kept in ((20, True), (19, False)):
        assert (RowCleaning(CleaningRules(max_tokens=most)).cleaned(row) is not None) is kept


def test_a_counter_that_is_given_counts() -> None:
    cleaning = RowCleaning(CleaningRules(max_tokens=3), count_tokens=lambda text: len(text.split()), counted_by="words")
    assert cleaning.cleaned(lesson("one two", "three").row) is not None
    assert cleaning.cleaned(lesson("one two", "three four").row) is None
    assert cleaning.told()[-1].note == "at most 3 tokens, words"


@pytest.mark.parametrize(
    ("answer", "is_json"), [('{"a":1}', True), ("[]", True), ("1", True), ("a", False), ("", False)]
)
def test_the_last_answer_is_what_should_be_json(answer: str, is_json: bool) -> None:
    assert answers_in_json(lesson("q", answer).row) is is_json
    turn = (Message(role="user", content="q"),)
    preference = PreferenceRow(
        prompt=turn,
        chosen=(Message(role="assistant", content=answer),),
        rejected=(Message(role="assistant", content="x"),),
    )
    assert answers_in_json(preference) is is_json


def test_a_call_of_a_tool_and_a_row_without_an_answer_promise_no_json() -> None:
    call = ToolCall(id="1", function=FunctionCall(name="f", arguments="{}"))
    called = Message(role="assistant", content=None, tool_calls=(call,))
    assert answers_in_json(ChatRow(messages=(Message(role="user", content="q"), called)))
    assert answers_in_json(RankingRow(query="q", document="d", label=1))


@given(st.integers(0, 500), st.integers(0, 500), st.floats(0.01, 1))
def test_as_many_generated_rows_stay_as_their_share_allows_and_not_one_more(
    made: int, others: int, share: float
) -> None:
    kept = generated_kept(made, others, share)
    assert 0 <= kept <= made
    assert kept <= share * (kept + others) or kept == 0
    assert kept == made or kept + 1 > share * (kept + 1 + others) - 1e-9


@given(st.lists(st.integers(1, 200), min_size=3, max_size=12), st.floats(0.01, 1))
def test_under_the_cap_no_source_has_more_than_its_share(counts: list[int], share: float) -> None:
    cap = most_per_source(len(counts), max(counts), share, lambda most: sum(min(n, most) for n in counts))
    kept = [min(n, cap) for n in counts]
    assert cap >= 1
    allowed = max(share, 1 / len(counts))
    assert max(kept) <= allowed * sum(kept) + 1e-6 or max(kept) == 1
