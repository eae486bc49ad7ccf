"""Tables with a header (CSV, TSV, and what spreadsheets write with semicolons) as objects, and objects as their lines.

A cell is text. What is no text in a row (messages, tools, numbers) stands in its cell as JSON, and is read as such
by the name of its column. Memory holds one record.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import IO

import msgspec

from genomed.curation.formats.objects import MAX_OBJECT_BYTES, BadObject, Numbered
from genomed.curation.formats.shape import Misfit
from genomed.entities.json_value import JsonObject

DELIMITERS = ",;\t|"
_JSON = frozenset({"messages", "tools", "conversations", "history", "data", "negatives", "scores", "documents"})
_NUMBERS = frozenset({"score", "label", "oracle"})
_MAYBE_TURNS = frozenset({"prompt", "chosen", "rejected", "completion"})
_VECTORS = frozenset({"input", "target"})


class _Unreadable(ValueError):
    """The lines themselves cannot be read on."""


def csv_objects(lines: Iterator[str], *, delimiter: str | None = None) -> Iterator[Numbered]:
    """Records under the names of the header. The number is that of the line in which a record begins.

    lines: with their ends, as they are in the file, so that a line end inside quotes stays what it is. delimiter: null
    tells it by the header.
    """
    csv.field_size_limit(MAX_OBJECT_BYTES)  # one cell; the default is 128 KiB
    try:
        first = next(lines, "").removeprefix("\ufeff")
    except _Unreadable as error:
        yield 1, BadObject(str(error))
        return
    if not first.strip():
        yield 1, BadObject("has no names of columns", "the first line of a table names its columns")
        return
    table = csv.reader(_again(first, lines), delimiter=delimiter or _delimiter(first), strict=True)
    header: list[str] | None = None
    number = 1
    while True:
        try:
            cells = next(table, None)
        except (csv.Error, _Unreadable) as error:
            yield number, BadObject(f"is no record: {error}")
            if header is None or isinstance(error, _Unreadable):
                return
            number = table.line_num + 1
            continue
        if cells is None:
            return
        if header is None:
            header = [name.strip() for name in cells]
            if told := _unsound(header):
                yield number, told
                return
        elif cells:
            yield number, _record(header, cells)
        number = table.line_num + 1


def text_lines(source: IO[bytes]) -> Iterator[str]:
    """Text with its line ends. A byte that is not UTF-8 is kept as a mark, so that its record alone is refused."""
    number = 0
    while line := source.readline(MAX_OBJECT_BYTES + 1):
        number += 1
        if len(line) > MAX_OBJECT_BYTES:
            raise _Unreadable(f"line {number} is longer than {MAX_OBJECT_BYTES} bytes")
        yield line.decode("utf-8", "surrogateescape")


def header_of(columns: Sequence[str]) -> str:
    return _line(list(columns))


def csv_line(made: JsonObject, columns: Sequence[str]) -> str:
    """Raises Misfit for a field that has no column."""
    if extra := [name for name in made if name not in columns]:
        told = f"has no column in this table, which has {', '.join(columns)}"
        raise Misfit.at(extra[0], told, "write it as JSON Lines")
    return _line([_cell(made.get(name)) for name in columns])


def _line(cells: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(cells)  # ends in CR LF (RFC 4180), so that either is quoted inside a cell
    return out.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _again(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _delimiter(header: str) -> str:
    """The one that makes the most columns of the header."""

    def columns(delimiter: str) -> int:
        try:
            return len(next(csv.reader([header], delimiter=delimiter)))
        except csv.Error:
            return 0

    return max(DELIMITERS, key=columns)


def _unsound(header: list[str]) -> BadObject | None:
    if any("\udc80" <= sign <= "\udcff" for name in header for sign in name):
        return BadObject("is not UTF-8", "save the table as UTF-8")
    if not all(header):
        return BadObject(f"has a column {header.index('') + 1} without a name")
    twice = sorted({name for name in header if header.count(name) > 1})
    return BadObject(f"names a column twice: {', '.join(twice)}") if twice else None


def _record(header: list[str], cells: list[str]) -> JsonObject | BadObject:
    if len(cells) != len(header):
        remedy = "a cell that holds the delimiter, quotes or line ends is written in quotes"
        return BadObject(f"has {len(cells)} cells, and the table {len(header)} columns", remedy)
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return BadObject("is not UTF-8", "save the table as UTF-8")
    named = dict(zip(header, cells, strict=True))
    vectors = named.keys() >= _VECTORS
    return {name: _typed(name, text, vectors=vectors) for name, text in named.items() if text}


def _typed(name: str, text: str, *, vectors: bool) -> object:
    """Text that is not what its column holds stays text, and its format says so."""
    turns = name in _MAYBE_TURNS and text.lstrip().startswith("[")
    if not (name in _JSON or name in _NUMBERS or turns or (vectors and name in _VECTORS)):
        return text
    try:
        value = msgspec.json.decode(text.strip())
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError):
        return text
    if turns and not (isinstance(value, list) and value and all(isinstance(one, dict) for one in value)):
        return text
    return value
