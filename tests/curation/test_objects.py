"""Objects out of files: each with its number, bad ones told one by one, and never more than one in memory."""

import io
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.curation.formats import (
    MAX_OBJECT_BYTES,
    BadObject,
    Misfit,
    Numbered,
    csv_line,
    csv_objects,
    header_of,
    is_table,
    json_array_objects,
    objects_of,
    text_lines,
)
from genomed.curation.formats import objects as room
from tests.entities.row_making import JSON


def read(text: str | bytes, name: str = "rows.jsonl") -> list[Numbered]:
    return list(objects_of(io.BytesIO(text if isinstance(text, bytes) else text.encode()), name))


def told(found: list[Numbered]) -> list[tuple[int, str]]:
    return [(number, one.message) for number, one in found if isinstance(one, BadObject)]


def test_lines_of_json_are_numbered_and_empty_ones_passed_over() -> None:
    assert read('\ufeff{"a":1}\n\n  \n{"b":2}\r\n{"c":3}') == [(1, {"a": 1}), (4, {"b": 2}), (5, {"c": 3})]


def test_every_bad_line_is_told_with_its_number_and_the_others_are_read() -> None:
    found = read(b'{"a":1}\n{"a":\n[1]\n"x"\n\xff\n{"b":2}\n')
    assert [number for number, one in found if isinstance(one, dict)] == [1, 6]
    assert [number for number, _ in told(found)] == [2, 3, 4, 5]


def test_a_line_beyond_the_limit_is_told_and_the_next_one_is_read() -> None:
    long = b'{"a":"' + b"x" * MAX_OBJECT_BYTES + b'"}\n{"b":2}\n'
    assert read(long) == [(1, room.TOO_LONG), (2, {"b": 2})]


@given(st.lists(st.dictionaries(st.text(max_size=3), JSON, max_size=3)), st.sampled_from([None, 1]), st.integers(1, 9))
def test_an_array_is_read_as_its_entries_wherever_it_is_cut(
    entries: list[dict[str, object]], indent: int | None, size: int
) -> None:
    class Cut(io.BytesIO):
        def read(self, _: int | None = -1, /) -> bytes:
            return super().read(size)

    text = json.dumps(entries, indent=indent).encode()
    assert list(json_array_objects(Cut(b" \n" + text + b"\n"))) == list(enumerate(entries, 1))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[]", []),
        ('[{"a":1}', [(1, "is not closed: the file ends inside the array")]),
        ('[{"a":1},]', [(2, "is not JSON")]),
        ('[{"a":1}] x', [(2, "stands outside the array")]),
        (
            '[{"a":1}, 7, {"a" 1}, "]", {"b":2}]',
            [(2, "is no JSON object"), (3, "is not JSON"), (4, "is no JSON object")],
        ),
        ('["', [(1, "is not closed: the file ends inside the array")]),
    ],
)
def test_what_is_wrong_in_an_array_is_told_with_the_number_of_its_entry(
    text: str, found: list[tuple[int, str]]
) -> None:
    assert [(number, message.split(":")[0]) for number, message in told(read(text, "rows.json"))] == [
        (number, message.split(":")[0]) for number, message in found
    ]


def test_an_entry_beyond_the_limit_is_told_and_the_next_one_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_OBJECT_BYTES", 40)
    found = read('[{"a":"' + "x" * 100 + '"}, {"b":2}]', "rows.json")
    assert found == [(1, room.TOO_LONG), (2, {"b": 2})]


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows.csv", "rows.txt"])
def test_memory_does_not_grow_with_the_file(name: str) -> None:
    class Endless(io.RawIOBase):
        """Entries made as they are read."""

        left = 40_000
        begun = False

        def readable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return True

        def seek(self, *_: int) -> int:
            self.begun, self.left = False, 40_000
            return 0

        def readinto(self, into: "memoryview | bytearray") -> int:  # type: ignore[override]  # a narrower buffer
            line = {"rows.json": b'{"text":"some words"},', "rows.csv": b"some words,1\n"}.get(
                name, b'{"text":"some words"}\n'
            )
            opening = {"rows.json": b"[", "rows.csv": b"text,n\n"}.get(name, b"")
            if not self.begun:
                self.begun = True
                into[: len(opening)] = opening
                if opening:
                    return len(opening)
            times = min(len(into) // len(line), self.left)
            self.left -= times
            part = line * times
            into[: len(part)] = part
            return len(part)

    tracemalloc.start()
    count = sum(1 for _ in objects_of(io.BufferedReader(Endless()), name))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count >= 40_000
    assert peak < 2_000_000


def test_a_text_file_is_a_text_per_line() -> None:
    assert read(b"one\n\n two \r\n\xff\n", "rows.txt")[:2] == [(1, {"text": "one"}), (3, {"text": " two "})]
    assert [number for number, _ in told(read(b"\xff\n", "rows.txt"))] == [1]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_told_by_the_header(delimiter: str) -> None:
    lines = [["prompt", "completion"], ["Salt, pepper; or both?", "a | b"], ['say "hi"', "two\nlines"]]
    quoted = "\r\n".join(delimiter.join('"' + cell.replace('"', '""') + '"' for cell in line) for line in lines)
    assert read("\ufeff" + quoted, "rows.csv") == [
        (2, {"prompt": "Salt, pepper; or both?", "completion": "a | b"}),
        (3, {"prompt": 'say "hi"', "completion": "two\nlines"}),
    ]


def test_a_record_is_numbered_by_the_line_in_which_it_begins() -> None:
    found = read('a,b\n"one\ntwo",x\n\ny\n"three",z\nonly "quoted,q\n"open', "rows.csv")
    assert [number for number, _ in found] == [2, 5, 6, 7, 8]
    assert [number for number, _ in told(found)] == [5, 8]


def test_numbers_and_lists_in_cells_are_read_by_the_name_of_their_column() -> None:
    text = (
        'query,document,label,chosen\nq,1,0.5,"[{""role"":""assistant"",""content"":""a""}]"\nq,[not a list],high,[1]'
    )
    assert [one for _, one in read(text, "rows.csv")] == [
        {"query": "q", "document": "1", "label": 0.5, "chosen": [{"role": "assistant", "content": "a"}]},
        {"query": "q", "document": "[not a list]", "label": "high", "chosen": "[1]"},
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no names of columns"),
        ("a,,b\n1,2,3", "has a column 2 without a name"),
        ("a,a\n1,2", "names a column twice: a"),
        (b"a,\xff\n1,2", "is not UTF-8"),
        (b"a,b\n\xff,2\n1,2", "is not UTF-8"),
    ],
)
def test_a_table_that_cannot_be_read_says_why(text: str | bytes, message: str) -> None:
    assert [said for _, said in told(read(text, "rows.csv"))] == [message]


@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=1, max_size=4))
def test_cells_come_back_as_they_were(rows: list[tuple[str, str]]) -> None:
    columns = ("prompt", "completion")
    made = [dict(zip(columns, row, strict=True)) for row in rows]
    text = header_of(columns) + "".join(csv_line({**one}, columns) for one in made)
    found = [one for _, one in csv_objects(text_lines(io.BytesIO(text.encode("utf-8", "surrogatepass"))))]
    assert found == made or any(cell.lstrip().startswith("[") for row in rows for cell in row)


def test_a_field_without_a_column_is_refused_by_name() -> None:
    with pytest.raises(Misfit, match="negative_2 has no column"):
        csv_line({"anchor": "a", "negative_2": "n"}, ("anchor", "positive"))


def test_tables_are_known_by_their_name() -> None:
    assert [is_table(name) for name in ("a.csv", "a.TSV", "a.jsonl", "csv")] == [True, True, False, False]
