"""Training rows: equal rows are equal bytes, and what says nothing is not written, so that ids stay what they were."""

import msgspec
import pytest
from hypothesis import given
from tests.entities.row_making import ROWS

from genomed.entities.checking import problems
from genomed.entities.rows import (
    ROW_TYPES,
    ChatRow,
    FunctionCall,
    Message,
    PreferenceRow,
    RankingRow,
    Row,
    ToolCall,
    canonical,
    features_of,
    kind_of,
    line_of,
    row_id,
    row_of_line,
)
from genomed.entities.types import RowKind


def turns(*said: str) -> tuple[Message, ...]:
    """`user:Hello` and so on."""
    parts = [one.partition(":") for one in said]
    return tuple(Message(role=role, content=content) for role, _, content in parts)


@given(ROWS)
def test_equal_rows_are_equal_bytes_with_one_id(row: Row) -> None:
    again = msgspec.json.decode(canonical(row), type=type(row))
    assert (again, canonical(again), row_id(again)) == (row, canonical(row), row_id(row))
    shuffled = dict(reversed(msgspec.to_builtins(row).items()))
    assert row_id(msgspec.convert(shuffled, type(row))) == row_id(row)


def test_the_id_of_a_row_is_the_one_that_earlier_builds_gave_it() -> None:
    row = ChatRow(messages=turns("user:a"))
    assert row_id(row) == "bb71eaa41b0ca7a4057554e2cc59de15594b29729500d522207ca9da39385ea5"


@given(ROWS)
def test_a_line_is_one_json_object_with_the_id_first(row: Row) -> None:
    line = line_of(row, row_id(row))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    fields = msgspec.json.decode(line)
    assert (next(iter(fields)), fields.pop("id")) == ("id", row_id(row))
    assert msgspec.convert(fields, type(row)) == row


@given(ROWS)
def test_a_line_of_a_dataset_reads_back_as_its_row(row: Row) -> None:
    assert row_of_line(line_of(row, row_id(row)), kind_of(row)) == row


def test_the_id_of_a_conversation_is_the_one_that_it_had_before_there_were_tools_and_weights() -> None:
    row = ChatRow(messages=turns("system:Be kind", "user:Salt?", "assistant:A pinch."))
    assert canonical(row) == (
        b'{"messages":[{"content":"Be kind","role":"system"},{"content":"Salt?","role":"user"},'
        b'{"content":"A pinch.","role":"assistant"}]}'
    )
    assert row_id(row) == "3e4b624a9ee9ab7a44569ded6a6b6b50f0f1b167937ce45bc8c5278d757e68b2"
    pair = PreferenceRow(prompt=turns("user:Salt?"), chosen=turns("assistant:A pinch."), rejected=turns("assistant:No"))
    assert row_id(pair) == "011594e54525ac6199bc73b7c28610f23d04adca0b55541e025f2306cfcb031a"


def test_a_turn_that_calls_a_tool_keeps_its_missing_words() -> None:
    call = ToolCall(id="c", function=FunctionCall(name="add", arguments='{"a": 1}'))
    row = ChatRow(messages=(Message(role="assistant", content=None, tool_calls=(call,)),))
    assert canonical(row) == (
        b'{"messages":[{"content":null,"role":"assistant","tool_calls":[{"function":{"arguments":"{\\"a\\": 1}",'
        b'"name":"add"},"id":"c","type":"function"}]}]}'
    )


def test_a_row_says_which_features_it_needs() -> None:
    plain, weighted = turns("user:a", "assistant:b"), Message(role="assistant", content="b", weight=1)
    assert features_of(ChatRow(messages=plain)) == ()
    assert features_of(ChatRow(messages=(plain[0], weighted))) == ("weights",)
    assert features_of(ChatRow(messages=(plain[0], weighted), tools=({"type": "function"},))) == ("tools", "weights")
    assert features_of(ChatRow(messages=(Message(role="user", content="a", name="ada"),))) == ("names",)
    assert features_of(ChatRow(messages=(Message(role="tool", content="3", name="add", tool_call_id="c"),))) == (
        "tools",
    )
    answered = Message(role="tool", content="3", tool_call_id="c")
    assert features_of(PreferenceRow(prompt=(*plain, answered), chosen=plain, rejected=plain)) == ("tools",)
    assert features_of(RankingRow(query="q", document="d", label=1)) == ()


def test_every_kind_has_a_row() -> None:
    assert set(ROW_TYPES) == set(RowKind)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"role": "robot", "content": "x"}, "role"),
        ({"role": "assistant", "content": "x", "weight": 0.5}, "weight"),
        ({"role": "assistant", "content": "x", "weight": 2}, "weight"),
        ({"role": "assistant"}, "content"),
        ({"role": "assistant", "content": "x", "thought": "y"}, "thought"),
    ],
)
def test_what_no_row_holds_is_refused_by_name(message: dict[str, object], field: str) -> None:
    (problem,) = problems({"messages": [message]}, ChatRow)
    assert problem.field == f"messages[0].{field}"
