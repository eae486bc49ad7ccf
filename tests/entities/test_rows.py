"""Training rows: equal rows are equal bytes, and whatever cannot be trained on is named with its place."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.entities.checking import problems
from genomed.entities.rows import ROLES, ChatRow, Message, PreferenceRow, Row, canonical, line_of, row_id, unfit

MESSAGES = st.lists(st.builds(Message, role=st.sampled_from(ROLES), content=st.text(max_size=5)), max_size=6).map(tuple)
ROWS: st.SearchStrategy[Row] = st.builds(ChatRow, messages=MESSAGES) | st.builds(
    PreferenceRow, prompt=MESSAGES, chosen=MESSAGES, rejected=MESSAGES
)


def turns(*said: str) -> tuple[Message, ...]:
    """`user:Hello` and so on."""
    parts = [one.partition(":") for one in said]
    return tuple(Message(role=role, content=content) for role, _, content in parts)


def preference(
    *, prompt: tuple[str, ...] = ("user:Salt?",), chosen: str = "assistant:A pinch.", rejected: str = "assistant:A kg."
) -> PreferenceRow:
    return PreferenceRow(prompt=turns(*prompt), chosen=turns(chosen), rejected=turns(rejected))


def named(row: Row) -> list[tuple[str, str]]:
    return [(problem.field, problem.message) for problem in unfit(row)]


@pytest.mark.parametrize(
    "said",
    [
        ("user:Hi", "assistant:Hello"),
        ("system:Be kind", "user:Hi", "assistant:Hello"),
        ("user:Hi", "assistant:Hello", "user:Salt?", "assistant:A pinch."),
    ],
)
def test_a_conversation_that_ends_in_an_answer_is_fit(said: tuple[str, ...]) -> None:
    assert unfit(ChatRow(messages=turns(*said))) == []


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ((), [("messages", "is empty")]),
        (("user:Hi",), [("messages", "must end with a turn of 'assistant'")]),
        (("system:Be kind",), [("messages", "must end with a turn of 'assistant'")]),
        (("user:Hi", "assistant: \n"), [("messages[1].content", "is empty")]),
        (("assistant:Hello",), [("messages[0].role", "is 'assistant' where 'user' belongs")]),
        (
            ("system:Be kind", "assistant:Hello"),
            [("messages[1].role", "is 'assistant' where 'user' belongs")],
        ),
        (
            ("user:", "user:Hi", "system:x", "assistant:Hello"),
            [
                ("messages[0].content", "is empty"),
                ("messages[1].role", "is 'user' where 'assistant' belongs"),
                ("messages[2].role", "is 'system' where 'user' belongs"),
            ],
        ),
    ],
)
def test_everything_unfit_about_a_conversation_is_named_with_its_place(
    said: tuple[str, ...], found: list[tuple[str, str]]
) -> None:
    assert named(ChatRow(messages=turns(*said))) == found


def test_a_prompt_with_a_better_and_a_worse_answer_is_fit() -> None:
    assert unfit(preference()) == []


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (preference(chosen="user:no"), [("chosen", "must be exactly one assistant turn")]),
        (preference(rejected="assistant: "), [("rejected[0].content", "is empty")]),
        (preference(prompt=("user:Salt?", "assistant:x")), [("prompt", "must end with a turn of 'user'")]),
        (
            preference(chosen="assistant:Same", rejected="assistant:Same"),
            [("chosen", "is the same as rejected, so there is nothing to prefer")],
        ),
        (
            preference(prompt=(), chosen="assistant:", rejected="user:x"),
            [
                ("prompt", "is empty"),
                ("chosen[0].content", "is empty"),
                ("rejected", "must be exactly one assistant turn"),
            ],
        ),
    ],
)
def test_everything_unfit_about_a_preference_is_named_with_its_place(
    row: PreferenceRow, found: list[tuple[str, str]]
) -> None:
    assert named(row) == found


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
def test_a_row_that_is_fit_ends_in_something_to_learn(row: Row) -> None:
    if unfit(row) == []:
        last = row.messages[-1] if isinstance(row, ChatRow) else row.chosen[0]
        assert last.role == "assistant"
        assert last.content.strip()


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"role": "tool", "content": "x"}, "role"),
        ({"role": "user", "content": "x", "weight": 0}, "weight"),
        ({"role": "assistant", "content": None}, "content"),
        ({"role": "assistant", "content": "x", "tool_calls": []}, "tool_calls"),
    ],
)
def test_what_no_trainer_learns_from_is_refused_by_name(message: dict[str, object], field: str) -> None:
    (problem,) = problems({"messages": [message]}, ChatRow)
    assert problem.field == f"messages[0].{field}"
