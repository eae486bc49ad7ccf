"""Variety: alike rows are one, and the measure stays between nothing and everything."""

from hypothesis import given
from hypothesis import strategies as st

from genomed.curation.variety import varied, variety
from genomed.entities.rows import ChatRow, Message


def row(question: str, answer: str) -> ChatRow:
    return ChatRow(messages=(Message(role="user", content=question), Message(role="assistant", content=answer)))


ROWS = st.lists(st.builds(row, st.text(max_size=30), st.text(max_size=30)), max_size=8)


def test_of_rows_that_say_the_same_the_first_is_kept() -> None:
    rows = [row("what is two plus two", "it is four"), row("What is two plus two?", "It is four."), row("hello", "hi")]
    assert varied(rows, similar=0.9) == [0, 2]


def test_rows_that_differ_in_their_answer_alone_are_different() -> None:
    rows = [row("what is two plus two", "it is four"), row("what is two plus two", "nobody knows that")]
    assert varied(rows, similar=0.9) == [0, 1]
    assert variety(rows) == 1.0


@given(rows=ROWS)
def test_variety_is_a_share_and_equal_rows_have_none(rows: list[ChatRow]) -> None:
    measured = variety(rows)
    assert measured is None if len(rows) < 2 else measured is not None and 0 <= measured <= 1
    if rows:
        assert variety([rows[0], rows[0]]) == 0.0
        assert varied([*rows, *rows], similar=1.0) == varied(rows, similar=1.0)
