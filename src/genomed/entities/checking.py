"""Outside data against our types: every problem at once, each with its path in wire names.

msgspec's constructors do not validate and its decoder stops at the first error, so this walks the type beside the data.
"""

import re
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import inspect
from msgspec.structs import replace

from genomed.entities.errors import InvalidRequest, Problem

T = TypeVar("T")

MAX_PROBLEMS = 100
"""More than this helps nobody; the rest is a count."""

TOO_LARGE = "must be a number that fits into 64 bits"

_CHOICE = re.compile(r"\^\((\w+(?:\|\w+)*)\)\$$")
_REFERENCES = re.compile(r"\^\((env(?:\|\w+)+)\):")
_WHERE = re.compile(r" - at `\$?(.*)`$")


def convert(data: object, wanted: type[T], *, root: str = "") -> T:
    """`data` (as JSON decodes it) as `wanted`. Raises InvalidRequest that names every problem."""
    if not _fits(data):
        raise InvalidRequest.of(problems(data, wanted, root=root) or [Problem(field=root, message=TOO_LARGE)])
    try:
        return msgspec.convert(data, wanted)
    except msgspec.ValidationError as error:
        raise InvalidRequest.of(problems(data, wanted, root=root) or [_problem(str(error), root)]) from error


def problems(data: object, wanted: object, *, root: str = "") -> list[Problem]:
    """Everything wrong with `data`, in the order of the type's fields; empty when it converts."""
    found: list[Problem] = []
    _walk(data, inspect.type_info(wanted), root, found)
    if len(found) > MAX_PROBLEMS:
        more = len(found) - MAX_PROBLEMS
        return [*found[:MAX_PROBLEMS], Problem(field=root, message=f"and {more} problems more")]
    return found


def _fits(data: object) -> bool:
    """Whether every whole number in it can be stored: msgspec takes any, SQLite and our own JSON do not."""
    if isinstance(data, dict):
        return all(map(_fits, data.values()))
    if isinstance(data, list | tuple):
        return all(map(_fits, data))
    return not isinstance(data, int) or -(2**63) <= data < 2**63


def given_paths(data: object, prefix: str = "") -> tuple[str, ...]:
    """Dotted paths of the leaves that a caller gave; a list is a leaf, null is not given."""
    if not isinstance(data, dict):
        return (prefix,) if data is not None and prefix else ()
    paths: list[str] = []
    for key, value in data.items():
        paths += given_paths(value, f"{prefix}.{key}" if prefix else str(key))
    return tuple(paths)


def _walk(data: object, kind: inspect.Type, path: str, found: list[Problem]) -> None:
    if isinstance(data, int) and not _fits(data):
        found.append(Problem(field=path, message=TOO_LARGE))
        return
    match kind:
        case inspect.Metadata(type=inner):
            _walk(data, inner, path, found)
        case inspect.StructType():
            _struct(data, kind, path, found)
        case inspect.UnionType(types=types):
            _union(data, types, path, found)
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item) if isinstance(data, list | tuple):
            _length(data, kind, path, found)
            for n, value in enumerate(data):
                _walk(value, item, f"{path}[{n}]", found)
        case inspect.DictType(value_type=value_type) if isinstance(data, dict):
            for key, value in data.items():
                _walk(value, value_type, _join(path, str(key)), found)
        case inspect.ListType() | inspect.VarTupleType():
            found.append(Problem(field=path, message=f"must be a list, not {_name(data)}"))
        case inspect.DictType():
            found.append(Problem(field=path, message=f"must be an object, not {_name(data)}"))
        case _:
            _leaf(data, kind, path, found)


def _length(
    data: list[object] | tuple[object, ...],
    kind: inspect.ListType | inspect.VarTupleType,
    path: str,
    found: list[Problem],
) -> None:
    fewest, most = kind.min_length or 0, kind.max_length
    if not fewest <= len(data) <= (len(data) if most is None else most):
        wanted = f"at least {fewest}" if len(data) < fewest else f"at most {most}"
        found.append(Problem(field=path, message=f"must have {wanted} entries, not {len(data)}"))


def _struct(data: object, kind: inspect.StructType, path: str, found: list[Problem]) -> None:
    if not isinstance(data, dict):
        found.append(Problem(field=path, message=f"must be an object, not {_name(data)}"))
        return
    known = {field.encode_name: field for field in kind.fields}
    for name, field in known.items():
        if name in data:
            _walk(data[name], field.type, _join(path, name), found)
        elif field.required:
            found.append(Problem(field=_join(path, name), message="is required"))
    if kind.forbid_unknown_fields:
        for name in data:
            if name not in known:
                remedy = f"known here: {', '.join(known)}" if known else "this takes no fields"
                found.append(Problem(field=_join(path, str(name)), message="is not a known field", remedy=remedy))


def _union(data: object, types: tuple[inspect.Type, ...], path: str, found: list[Problem]) -> None:
    """An optional struct is walked into, so that its problems are named one by one.

    Of several forms, the one meant is the one whose kind fits (its problems lie further in), with the fewest problems.
    """
    if data is None and any(isinstance(_bare(t), inspect.NoneType) for t in types):
        return
    others = [t for t in types if not isinstance(_bare(t), inspect.NoneType)]
    if len(others) == 1:
        _walk(data, others[0], path, found)
        return
    attempts: list[list[Problem]] = []
    for option in others:
        attempt: list[Problem] = []
        _walk(data, option, path, attempt)
        if not attempt:
            return
        attempts.append(attempt)
    meant = min(attempts, key=lambda told: (any(p.field == path for p in told), len(told)))
    found.extend(meant)


def _leaf(data: object, kind: inspect.Type, path: str, found: list[Problem]) -> None:
    try:
        msgspec.convert(data, _type_of(kind))
    except msgspec.ValidationError as error:
        words = ", ".join(str(one.value) for one in kind.cls) if isinstance(kind, inspect.EnumType) else ""
        told = _problem(str(error), path, remedy=f"one of: {words}" if words else None)
        plain = _in_words(kind.pattern) if isinstance(kind, inspect.StrType) and isinstance(data, str) else None
        found.append(replace(told, message=f"must be {plain}") if plain and "regex" in told.message else told)


def _in_words(pattern: str | None) -> str | None:
    """What a pattern wants, where it is one that an operator meets; others are shown as they are."""
    if pattern is None:
        return None
    if choice := _CHOICE.match(pattern):
        return f"one of: {choice.group(1).replace('|', ', ')}"
    if pattern.startswith("^https?://"):
        return "an address that begins with http:// or https://"
    if references := _REFERENCES.match(pattern):
        return (
            f"a reference, not the secret itself: {', '.join(f'{one}:...' for one in references.group(1).split('|'))}"
        )
    return None


def _type_of(kind: inspect.Type) -> object:
    """The Python type behind a leaf, with its limits."""
    match kind:
        case inspect.EnumType(cls=cls) | inspect.CustomType(cls=cls):
            return cls
        case inspect.LiteralType(values=values):
            return Literal[values]
        case inspect.IntType() | inspect.FloatType():
            return _number_type(int if isinstance(kind, inspect.IntType) else float, kind)
        case inspect.StrType():
            limits = msgspec.Meta(min_length=kind.min_length, max_length=kind.max_length, pattern=kind.pattern)
            return _annotated(str, limits)
        case inspect.BoolType():
            return bool
        case inspect.NoneType():
            return None
        case _:
            return object


def _number_type(base: type, kind: inspect.IntType | inspect.FloatType) -> object:
    """Each limit on its own: Meta takes no more than one lower and one upper."""
    made: object = base
    for limit in (
        msgspec.Meta(ge=kind.ge) if kind.ge is not None else None,
        msgspec.Meta(gt=kind.gt) if kind.gt is not None else None,
        msgspec.Meta(le=kind.le) if kind.le is not None else None,
        msgspec.Meta(lt=kind.lt) if kind.lt is not None else None,
        msgspec.Meta(multiple_of=kind.multiple_of) if kind.multiple_of is not None else None,
    ):
        if limit is not None:
            made = Annotated[made, limit]  # built at run time, from a schema
    return made


def _annotated(base: type, limits: msgspec.Meta) -> object:
    return Annotated[base, limits]


def _bare(kind: inspect.Type) -> inspect.Type:
    return kind.type if isinstance(kind, inspect.Metadata) else kind


def _problem(text: str, path: str, *, remedy: str | None = None) -> Problem:
    """Msgspec's sentence with the path taken out of it, and its words for types made plain."""
    inner = _WHERE.search(text)
    message = _WHERE.sub("", text)
    suffix = inner.group(1) if inner else ""
    message = message.replace("Expected `", "must be `").replace(", got `", ", not `")
    return Problem(field=f"{path}{suffix}".lstrip("."), message=message[0].lower() + message[1:], remedy=remedy)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _name(data: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return "null" if data is None else names.get(type(data), type(data).__name__)
