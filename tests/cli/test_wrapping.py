"""What a model wrote reaches the terminal as text: never as a control sequence, never wider than asked."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.cli.colours import BOLD, PLAIN
from genomed.cli.failures import report
from genomed.cli.render import render, say
from genomed.cli.views import Lines
from genomed.cli.wrapping import columns_of, harmless, padded, safe, wrapped
from genomed.entities.errors import InvalidRequest
from genomed.entities.types import EventLevel
from genomed.entities.wire import ToldEvent


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


def test_what_is_written_commands_no_terminal_but_for_our_own_colours(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b[2J\x1b]0;title\x07\rnone\x08\x9b\u202e"
    say(render({"reason": hostile, "jobs": [{"jobId": f"job{hostile}"}]}, columns=100, colour=True))
    report(InvalidRequest(f"no{hostile}", remedy=hostile), as_json=False)
    told = ToldEvent(
        position=1,
        stream=f"job/{hostile}",
        version=1,
        type="job.failed",
        schema=1,
        event_id="e",
        actor="a",
        command_id=None,
        correlation_id=None,
        causation_position=None,
        at_us=0,
        text=f"it failed{hostile}\n2026-01-01 00:00:00  another line",
        level=EventLevel.ERROR,
        data=msgspec.Raw(b"{}"),
    )
    line = Lines(with_stream=True).line(told)
    written = capsys.readouterr()
    for text in (written.out, written.err, line):
        bare = text.replace(BOLD, "").replace(PLAIN, "")
        assert all(one == "\n" or one.isprintable() for one in bare), ascii(text)
    assert BOLD in written.out
    assert [one for one in line.splitlines() if one.startswith("2026-01-01 00")] == []


@given(st.text())
def test_harmless_text_stays_as_it_is_and_no_text_loses_a_line(text: str) -> None:
    made = harmless(text)
    assert made.count("\n") == text.count("\n")
    assert harmless(made) == made
    if text.isprintable():
        assert made == text
