"""Reading a file of training rows, streamed: every bad line is named, and one bad line refuses the file.

Formats are curation's; here are files, numbers of lines, and what is wrong with them.
"""

import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path

import msgspec

from genomed.curation.formats import BadObject, Misfit, Numbered, Reader, detected, objects_of, reader
from genomed.daemon.datasets.opening import OpenedFile, opened
from genomed.entities.dataset_port import ImportOptions, Lesson, Progress
from genomed.entities.errors import InvalidRequest, NotFound, Problem
from genomed.entities.json_value import JsonObject
from genomed.entities.row_fitness import unfit
from genomed.entities.rows import ROW_TYPES, ChatRow, LabelledRow, PreferenceRow, Row, kind_of, row_id
from genomed.entities.types import RowKind

MAX_NAMED = 100
"""Problems that are named; the rest is a count."""

SAMPLES = 64
"""Objects by which the format is told."""

CHECK_EVERY_LINES = 1000
LOSSES_LOOKED_AT = 1000
"""Rows whose losses are looked at in any case; later ones are where they have another shape than all before."""

OUR_OWN_FORM = frozenset({"rows", "openai_chat", "trl_preference", "trl_kto"})
"""Formats whose plain objects are our rows: they are read without a detour."""


def nothing_reported(_done: int, _total: int) -> None:
    """Nobody watches."""


class RowFile:
    """One pass over the file. Read `lessons` to the end, then ask `finished`: only then is the file known to be good.

    still_wanted: called now and then; raises when nobody waits for the result any more.
    """

    def __init__(
        self,
        path: Path,
        options: ImportOptions,
        *,
        still_wanted: Callable[[], None],
        progress: Progress = nothing_reported,
    ) -> None:
        self._path = path
        self._options = options
        self._still_wanted = still_wanted
        self._progress = progress
        self._found: list[Problem] = []
        self._bad_lines = 0
        self._kind = options.row_kind
        self._reader: Reader | None = None
        self._losses = _Losses()

    def lessons(self) -> Iterator[Lesson]:
        """The good rows, until the first bad line; after that only problems are collected."""
        with ExitStack() as held:
            file = held.enter_context(opened(self._path))
            try:
                for number, given in self._known(file):
                    lesson = self._lesson(number, given)
                    if lesson is not None and not self._bad_lines:
                        yield lesson
            except (OSError, EOFError, zlib.error) as error:
                raise NotFound(f"{self._path} cannot be read: {error}", field="path") from error
            self._report(file.size, file.size)

    @property
    def format(self) -> str:
        return self._reader.format.name if self._reader else ""

    @property
    def losses(self) -> tuple[str, ...]:
        return self._losses.told()

    def finished(self) -> RowKind:
        """The kind of all rows. Raises InvalidRequest that names the bad lines."""
        if self._bad_lines:
            more = self._bad_lines - MAX_NAMED
            if more > 0:
                self._found.append(Problem(field="path", message=f"and {more} bad lines more"))
            raise InvalidRequest.of(self._found)
        if self._kind is None or self._reader is None:
            raise InvalidRequest.of([Problem(field="path", message=f"{self._path.name} is empty")])
        return self._kind

    def _known(self, file: OpenedFile) -> Iterator[Numbered]:
        """The objects of the file, once its format is known."""
        numbered = objects_of(file.source, file.name)
        first = list(islice(numbered, SAMPLES))
        samples = [found for _, found in first if not isinstance(found, BadObject)]
        if self._options.format is not None:
            self._reader = reader(self._options.format, self._options.columns)
        elif samples:
            self._reader = self._detected(samples)
        for count, (number, given) in enumerate(chain(first, numbered), 1):
            if count % CHECK_EVERY_LINES == 0:
                self._still_wanted()
                self._report(file.position(), file.size)
            yield number, given

    def _report(self, done: int, total: int) -> None:
        self._progress(done, total)

    def _detected(self, samples: list[JsonObject]) -> Reader:
        """By the first object alone where a later one fits nothing: then it is that one that is wrong."""
        options = self._options
        try:
            found = detected(samples, row_kind=options.row_kind, columns=options.columns)
        except InvalidRequest:
            try:
                found = detected(samples[:1], row_kind=options.row_kind, columns=options.columns)
            except InvalidRequest as error:
                raise error from None
        self._kind = found.row_kind
        return reader(found.format, options.columns)

    def _lesson(self, number: int, given: JsonObject | BadObject) -> Lesson | None:
        if isinstance(given, BadObject):
            self._bad(number, [Problem(field="", message=given.message, remedy=given.remedy)])
            return None
        by = self._reader = self._reader or self._detected([given])
        group = self._group(given, by)
        try:
            row = self._row(given, by)
        except Misfit as misfit:
            self._bad(number, list(misfit.problems))
            return None
        if found := self._wrong(row):
            self._bad(number, found)
            return None
        origin = f"line {number}"
        return Lesson(row=row, group=group or f"row-{row_id(row)[:16]}", origin=origin, source=self._path.name)

    def _wrong(self, row: Row) -> list[Problem]:
        self._kind = self._kind or kind_of(row)
        if kind_of(row) is not self._kind:
            return [Problem(field="", message=f"is a {kind_of(row)} row in a file of {self._kind} rows")]
        return unfit(row)

    def _group(self, given: JsonObject, by: Reader) -> str | None:
        """The value of the field that groups; the field itself is no part of the row, unless the format knows it."""
        name = self._options.group_by
        if name is None or name not in given:
            return None
        value = given[name]
        if name not in by.format.fields:
            del given[name]
        if value is None:
            return None
        return value if isinstance(value, str) else msgspec.json.encode(value).decode()

    def _row(self, given: JsonObject, by: Reader) -> Row:
        if by.format.name in OUR_OWN_FORM and not by.columns and self._kind is not None:
            row = _plain_row(given, self._kind)
            if row is not None:
                return row
        row = by.read(given)
        self._losses.look(given, by)
        return row

    def _bad(self, number: int, found: list[Problem]) -> None:
        self._bad_lines += 1
        if self._bad_lines > MAX_NAMED:
            return
        for problem in found:
            where = f": {problem.field}" if problem.field else ""
            message = f"line {number}{where} {problem.message}"
            self._found.append(Problem(field="path", message=message, remedy=problem.remedy))


def _plain_row(given: JsonObject, kind: RowKind) -> Row | None:
    """An object that already is a row, field by field; None where its format must be asked."""
    named = {name: value for name, value in given.items() if name != "id"} if "id" in given else given
    try:
        row = msgspec.convert(named, ROW_TYPES[kind])
    except (msgspec.ValidationError, RecursionError, OverflowError):
        return None
    match row:
        case ChatRow(tools=tools):
            turns = row.messages
        case PreferenceRow(tools=tools):
            turns = (*row.prompt, *row.chosen, *row.rejected)
        case LabelledRow():
            turns, tools = (*row.prompt, *row.completion), None
        case _:
            return row
    says_nothing = tools == () or any(turn.tool_calls == () for turn in turns)
    silent = any(turn.content is None and not turn.tool_calls for turn in turns)
    return None if says_nothing or silent else row


class _Losses:
    """What the format could not carry over, each sentence once."""

    def __init__(self) -> None:
        self._sentences: dict[str, None] = {}
        self._shapes: set[object] = set()
        self._looked = 0

    def look(self, given: JsonObject, by: Reader) -> None:
        self._looked += 1
        try:
            if self._looked > LOSSES_LOOKED_AT:
                shape = _shape(given)
                if shape in self._shapes or len(self._shapes) > LOSSES_LOOKED_AT:
                    return
                self._shapes.add(shape)
            self._sentences |= dict.fromkeys(by.left_out(given))
        except (Misfit, RecursionError):
            return  # nested too deep to compare: the row itself was read

    def told(self) -> tuple[str, ...]:
        return tuple(self._sentences)


def _shape(value: object) -> object:
    if isinstance(value, dict):
        return frozenset((name, _shape(inner)) for name, inner in value.items())
    if isinstance(value, list):
        return frozenset(_shape(inner) for inner in value)
    return type(value)
