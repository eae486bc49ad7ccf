"""The record of faults: nothing by default, one line each when asked, summed into a table between two marks."""

from pathlib import Path

import pytest

from tests.fault_record import VARIABLE, record_fault, recorded
from tests.fault_table import BEGIN, DOCUMENT, END, table, written_into


def test_nothing_is_recorded_unless_a_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)

    record_fault("disk", "full", "refused, tried again")

    assert list(tmp_path.iterdir()) == []


def test_the_same_fault_with_the_same_outcome_is_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "record"))

    record_fault("disk", "full", "carries on", times=3)
    record_fault("disk", "full", "carries on")
    record_fault("disk", "full", "refuses to start")

    lines = table(recorded(tmp_path / "record")).splitlines()
    assert lines[2:] == [
        "| disk | full | 4 | 0 | carries on |",
        "| disk | full | 1 | 0 | refuses to start |",
        "| all |  | 5 | 0 |  |",
    ]


def test_the_document_keeps_everything_outside_the_marks() -> None:
    assert written_into(f"before\n{BEGIN}\nold\n{END}\nafter\n", "new\n") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    with pytest.raises(ValueError, match="no place for the table"):
        written_into("a page without marks", "new")


def test_the_reliability_page_has_the_place_for_the_table() -> None:
    written_into(DOCUMENT.read_text(), "new")
