"""What a model wrote reaches the terminal as text: never as a control sequence, never wider than asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.cli.wrapping import columns_of, padded, safe, wrapped


@given(st.text())
def test_no_control_character_gets_through(text: str) -> None:
    shown = safe(text)
    assert all(one == "\n" or (ord(one) >= 32 and not 0x7F <= ord(one) <= 0x9F) for one in shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone", "\u241b[2Jgone"),
        ("a\tb", "a    b"),
        ("a\r\nb", "a\nb"),
        ("over\rwritten", "over\u240dwritten"),
        ("abc\u202edef", "abc\ufffddef"),
        ("\x9b31m", "\ufffd31m"),
        ("naïve 漢字 👩\u200d🚀", "naïve 漢字 👩\u200d🚀"),
    ],
)
def test_controls_are_made_visible_and_writing_stays_as_it_is(text: str, shown: str) -> None:
    assert safe(text) == shown


@given(st.text(), st.integers(2, 40))
def test_no_line_is_wider_than_asked_and_no_word_is_lost(text: str, wide: int) -> None:
    lines = wrapped(text, wide)
    assert all(columns_of(line) <= wide for line in lines)
    assert "".join("".join(lines).split()) == "".join(safe(text).split())


def test_lines_break_at_blanks_where_there_are_any() -> None:
    assert wrapped("the quick brown fox", 10) == ["the quick", "brown fox"]
    assert wrapped("abcdefghij", 4) == ["abcd", "efgh", "ij"]
    assert wrapped("one\n\ntwo", 10) == ["one", "", "two"]


def test_wide_letters_take_two_columns() -> None:
    assert columns_of("漢字") == 4
    assert wrapped("漢字漢字", 5) == ["漢字", "漢字"]
    assert padded("漢", 4) == "漢  "
