"""Reading a JSON Lines file of training rows, streamed: every bad line is named, and one bad line refuses the file."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from genomed.commands.context import Lesson
from genomed.entities.checking import problems
from genomed.entities.errors import InvalidRequest, NotFound, Problem
from genomed.entities.rows import ChatRow, PreferenceRow, Row, unfit
from genomed.entities.types import RowKind

MAX_LINE_BYTES = 16 * 1024 * 1024
MAX_NAMED = 100
"""Problems that are named; the rest is a count."""

CHECK_EVERY_LINES = 1000


class RowFile:
    """One pass over the file. Read `lessons` to the end, then ask `finished`: only then is the file known to be good.

    still_wanted: called now and then; raises when nobody waits for the result any more.
    """

    def __init__(self, path: Path, row_kind: RowKind | None, *, still_wanted: Callable[[], None]) -> None:
        self._path = path
        self._kind = row_kind
        self._still_wanted = still_wanted
        self._found: list[Problem] = []
        self._bad_lines = 0

    def lessons(self) -> Iterator[Lesson]:
        """The good rows, until the first bad line; after that only problems are collected."""
        for number, line in self._lines():
            row = self._row(number, line)
            if row is not None and not self._bad_lines:
                yield Lesson(row=row, group=f"line {number}", origin=f"line {number}")

    def finished(self) -> RowKind:
        """The kind of all rows. Raises InvalidRequest that names the bad lines."""
        if self._bad_lines:
            more = self._bad_lines - MAX_NAMED
            if more > 0:
                self._found.append(Problem(field="path", message=f"and {more} bad lines more"))
            raise InvalidRequest.of(self._found)
        if self._kind is None:
            raise InvalidRequest.of([Problem(field="path", message=f"{self._path.name} is empty")])
        return self._kind

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        try:
            if not self._path.is_file():  # a pipe or a device would be read for ever
                raise NotFound(f"{self._path} is no file", field="path")
            with self._path.open("rb") as lines:
                number = 0
                while line := lines.readline(MAX_LINE_BYTES + 1):
                    number += 1
                    if number % CHECK_EVERY_LINES == 0:
                        self._still_wanted()
                    if len(line) > MAX_LINE_BYTES:
                        self._bad(number, [Problem(field="", message=f"is longer than {MAX_LINE_BYTES} bytes")])
                        return
                    if line.strip():
                        yield number, line
        except OSError as error:
            raise NotFound(f"{self._path} cannot be read: {error.strerror}", field="path") from error

    def _row(self, number: int, line: bytes) -> Row | None:
        try:
            data = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._bad(number, [Problem(field="", message=f"is not JSON: {error}")])
            return None
        if self._kind is None:
            self._kind = detected(data)
            if self._kind is None:
                remedy = "a row has `messages`, or `prompt`, `chosen` and `rejected`"
                self._bad(number, [Problem(field="", message="is no row of a known kind", remedy=remedy)])
                return None
        if isinstance(data, dict):
            data.pop("id", None)
        try:
            row = msgspec.convert(data, _TYPES[self._kind])
        except msgspec.ValidationError:
            self._bad(number, problems(data, _TYPES[self._kind]))
            return None
        if found := unfit(row):
            self._bad(number, found)
            return None
        return row

    def _bad(self, number: int, found: list[Problem]) -> None:
        self._bad_lines += 1
        if self._bad_lines > MAX_NAMED:
            return
        for problem in found:
            where = f": {problem.field}" if problem.field else ""
            message = f"line {number}{where} {problem.message}"
            self._found.append(Problem(field="path", message=message, remedy=problem.remedy))


def detected(data: object) -> RowKind | None:
    """The kind of row that this looks like."""
    if not isinstance(data, dict):
        return None
    if "messages" in data:
        return RowKind.CHAT
    if {"prompt", "chosen", "rejected"} <= data.keys():
        return RowKind.PREFERENCE
    return None


_TYPES: dict[RowKind, type[ChatRow] | type[PreferenceRow]] = {
    RowKind.CHAT: ChatRow,
    RowKind.PREFERENCE: PreferenceRow,
}
