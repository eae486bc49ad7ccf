"""What a format of training rows is: objects in, rows out, and the other way round, with what is lost on the way.

A format knows one shape of JSON object. It knows nothing of files, lines or columns; `objects` does.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import msgspec

from genomed.entities.checking import problems
from genomed.entities.errors import Problem
from genomed.entities.json_value import JsonObject
from genomed.entities.rows import Row, kind_of
from genomed.entities.types import RowKind


class Misfit(ValueError):
    """An object that is no row of this format, or a row that this format cannot hold. Field paths: of the object."""

    def __init__(self, *found: Problem) -> None:
        self.problems = found
        super().__init__("; ".join(f"{one.field} {one.message}".strip() for one in found))

    @classmethod
    def at(cls, field: str, message: str, remedy: str | None = None) -> "Misfit":
        return cls(Problem(field=field, message=message, remedy=remedy))


def nothing_silent(found: JsonObject) -> JsonObject:
    return found


@dataclass(frozen=True, kw_only=True)
class Format:
    """kinds: of rows it can hold. fields: of its objects, by which it is recognised. columns: of a table of it, by
    kind, where it can be one. lossless: whatever it takes, it gives back.

    resembles: which kind of row an object of this shape is; null: it has another shape. reads and writes raise Misfit.
    plain: an object without what says nothing (an empty `input`), so that two objects that say the same are the same.
    why: a path, without numbers -> a sentence on what becomes of it, where "is not kept" would say too little.
    """

    name: str
    summary: str
    kinds: tuple[RowKind, ...]
    fields: frozenset[str]
    resembles: Callable[[JsonObject], RowKind | None]
    reads: Callable[[JsonObject], Row]
    writes: Callable[[Row], JsonObject]
    lossless: bool = False
    columns: Mapping[RowKind, tuple[str, ...]] = field(default_factory=dict)
    plain: Callable[[JsonObject], JsonObject] = nothing_silent
    why: Mapping[str, str] = field(default_factory=dict)

    def read(self, found: object) -> Row:
        """Raises Misfit with every problem, and nothing else, whatever is given. The row may be unfit to train on."""
        if not isinstance(found, dict):
            raise Misfit.at("", f"must be an object, not {_said(found)}")
        return self.reads(found)

    def write(self, row: Row) -> JsonObject:
        """Raises Misfit where the format has no place for such a row."""
        if (kind := kind_of(row)) not in self.kinds:
            raise Misfit.at("", f"{self.name} holds no {kind} rows", f"it holds: {', '.join(self.kinds)}")
        return self.writes(row)

    def left_out(self, found: JsonObject, *, row: Row | None = None, used: Collection[str] = ()) -> tuple[str, ...]:
        """What `read` does not keep of an object that it reads, as sentences; empty when it could be written again.

        row: what it was read as, where that is known. used: fields that the reader needs for something else, as for
        grouping.
        """
        mine = {name: value for name, value in found.items() if name not in used} if used else found
        back = self.write(self.read(mine) if row is None else row)
        if back == mine:
            return ()
        return self._sentences(self.plain(_without_nulls(mine)), self.plain(_without_nulls(back)))

    def losses(self, row: Row) -> tuple[str, ...]:
        """What `write` does not keep of a row that it writes, as sentences; empty when it reads back as it was."""
        back = self.read(self.write(row))
        return self._sentences(msgspec.to_builtins(row), msgspec.to_builtins(back)) if back != row else ()

    def _sentences(self, before: object, after: object) -> tuple[str, ...]:
        if before == after:
            return ()
        paths: dict[str, str] = {}
        _differences("", before, after, paths)
        return tuple(dict.fromkeys(self.why.get(path, f"`{path}` {became}") for path, became in paths.items()))


def converted(found: object, wanted: type[Row], *, root: str = "") -> Row:
    """`found` as a row of our own. Raises Misfit with every problem."""
    try:
        return msgspec.convert(found, wanted)
    except (msgspec.ValidationError, RecursionError, OverflowError) as error:
        told = problems(found, wanted, root=root) if not isinstance(error, RecursionError) else []
        raise Misfit(*(told or [Problem(field=root, message=str(error))])) from error


def text_of(found: JsonObject, name: str, missing: list[Problem]) -> str:
    """A field that must be text; what is wrong goes to `missing`."""
    value = found.get(name)
    if isinstance(value, str):
        return value
    told = "is required" if value is None else f"must be text, not {_said(value)}"
    missing.append(Problem(field=name, message=told))
    return ""


def _said(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return "null" if value is None else names.get(type(value), type(value).__name__)


def _without_nulls(found: JsonObject) -> JsonObject:
    return {name: _dropped(value) for name, value in found.items() if value is not None}


def _dropped(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _dropped(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [_dropped(inner) for inner in value]
    return value


def _differences(path: str, before: object, after: object, paths: dict[str, str]) -> None:
    """Paths without numbers, in the order in which they stand, and what became of each."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in (*before, *(name for name in after if name not in before)):
            inner = f"{path}.{name}" if path else str(name)
            if name in before and name in after:
                _differences(inner, before[name], after[name], paths)
            else:
                paths.setdefault(inner, "is not kept" if name in before else "is added")
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple) and len(before) == len(after):
        for one, other in zip(before, after, strict=True):
            _differences(f"{path}[]", one, other, paths)
    elif before != after or isinstance(before, bool) != isinstance(after, bool):
        paths.setdefault(path, "is not kept as it is")
