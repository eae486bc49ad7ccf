"""A reviewer's correction: a fit row of the same kind, or just the answer."""

import pytest
from tests.entities.test_review import CHAT, ROWS

from genomed.entities.errors import InvalidRequest
from genomed.entities.json_value import JsonObject
from genomed.entities.review import body_of, fields_of, read_body, row_of
from genomed.entities.review_correction import corrected
from genomed.entities.rows import ChatRow, FunctionCall, LabelledRow, Message, PreferenceRow, RaftRow, Row, ToolCall


def answered(row: Row, wanted: str | JsonObject) -> Row | None:
    blob = corrected(body_of(row, salt="s", generated=None, group="g", source="x"), wanted, salt="t")
    return None if blob is None else row_of(read_body(blob.body))


def test_the_answer_of_a_chat_row_can_be_given_alone() -> None:
    row = answered(CHAT, "four")
    assert row == ChatRow(messages=(CHAT.messages[0], Message(role="assistant", content="four")))


def test_the_better_answer_of_a_preference_row_can_be_given_alone() -> None:
    row = answered(ROWS[1], "four")
    assert isinstance(row, PreferenceRow)
    assert (row.chosen[0].content, row.rejected[0].content) == ("four", "5")


def test_the_answer_of_a_raft_row_can_be_given_alone_and_must_quote_what_is_shown() -> None:
    raft = RaftRow(question="When?", documents=("It opens at six.",), oracle=0, answer="Late.")
    row = answered(raft, "<quote>at six</quote>")
    assert isinstance(row, RaftRow)
    assert (row.answer, row.documents) == ("<quote>at six</quote>", raft.documents)
    with pytest.raises(InvalidRequest, match="stands in none"):
        answered(raft, "<quote>at ten</quote>")


def test_a_labelled_row_is_corrected_whole_as_its_label_goes_with_its_words() -> None:
    row = LabelledRow(
        prompt=(Message(role="user", content="2+2"),), completion=(Message(role="assistant", content="5"),), label=False
    )
    with pytest.raises(InvalidRequest, match="no single answer"):
        answered(row, "4")


def test_a_correction_that_makes_both_answers_equal_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="same as rejected"):
        answered(ROWS[1], "5")


def test_words_take_the_place_of_a_tool_call() -> None:
    call = ToolCall(id="c1", function=FunctionCall(name="f", arguments="{}"))
    turn = Message(role="assistant", content=None, tool_calls=(call,))
    row = answered(ChatRow(messages=(CHAT.messages[0], turn)), "four")
    assert isinstance(row, ChatRow)
    assert row.messages[-1] == Message(role="assistant", content="four")


@pytest.mark.parametrize("row", ROWS[2:], ids=lambda row: type(row).__name__)
def test_a_row_without_an_answer_wants_the_whole_row(row: Row) -> None:
    with pytest.raises(InvalidRequest, match="no single answer"):
        answered(row, "four")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: type(row).__name__)
def test_a_correction_that_changes_nothing_is_none(row: Row) -> None:
    assert answered(row, fields_of(row)) is None


def test_every_problem_of_a_corrected_row_is_named_under_its_place() -> None:
    wanted: JsonObject = {"messages": [{"role": "robot", "content": "x"}, {"content": "y"}], "extra": 1}
    with pytest.raises(InvalidRequest) as refused:
        answered(CHAT, wanted)
    assert [problem.field for problem in refused.value.details] == [
        "row.messages[0].role",
        "row.messages[1].role",
        "row.extra",
    ]


def test_a_row_that_cannot_be_trained_on_is_no_correction() -> None:
    with pytest.raises(InvalidRequest) as refused:
        answered(CHAT, {"messages": [{"role": "user", "content": "2+2"}, {"role": "assistant", "content": " "}]})
    assert refused.value.details[0].field == "row.messages[1].content"


def test_the_corrected_body_has_another_salt_and_keeps_everything_else() -> None:
    body = body_of(CHAT, salt="s", generated=None, group="g", source="x", notes={"n": 1}, reasons=("r",))
    blob = corrected(body, "four", salt="t")
    assert blob is not None
    after = read_body(blob.body)
    assert (after.salt, after.group, after.source, after.notes, after.reasons) == ("t", "g", "x", {"n": 1}, ("r",))
