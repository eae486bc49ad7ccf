"""Plain JSON into frozen dataclasses: an unknown key, a missing key or another type is a problem, never a guess.

Knows dataclasses whose fields are scalars, literals, tuples of strings or of whole numbers, optional values or further
dataclasses. A field with a default may be missing: it came after the first workers, and says nothing there.
All problems are gathered, each with its path, so that a wrong spec is mended in one go.
"""

import types
from dataclasses import MISSING, fields, is_dataclass
from typing import Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


class Problems(ValueError):
    """What is wrong with a document, one line per place."""

    def __init__(self, found: list[str]) -> None:
        super().__init__("; ".join(found))
        self.found = found


def wire_name(name: str) -> str:
    """`max_gradient_norm` -> `maxGradientNorm`; `min_lr_ratio` keeps the seed's spelling."""
    if name == "min_lr_ratio":
        return "minLRRatio"
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def read(kind: type[T], document: object) -> T:
    """`document` as a `kind`. Raises Problems."""
    problems: list[str] = []
    value = _value(kind, document, "", problems)
    if problems:
        raise Problems(problems)
    if not isinstance(value, kind):
        raise Problems([f"expected a {kind.__name__}"])
    return value


def _value(kind: object, given: object, path: str, problems: list[str]) -> object:
    origin = get_origin(kind)
    if origin is Union or origin is types.UnionType:
        return None if given is None else _value(_only(kind), given, path, problems)
    if origin is Literal:
        return _checked(given, given in get_args(kind), path, f"one of {list(get_args(kind))}", problems)
    if origin is tuple:
        item, many = (str, "strings") if get_args(kind)[0] is str else (int, "whole numbers")
        fits = isinstance(given, list) and all(type(one) is item for one in given)
        return tuple(given) if fits and isinstance(given, list) else _checked(given, False, path, many, problems)
    if isinstance(kind, type) and is_dataclass(kind):
        return _record(kind, given, path, problems)
    return _scalar(kind, given, path, problems)


def _only(kind: object) -> object:
    """The one type beside None in `X | None`."""
    return next(part for part in get_args(kind) if part is not type(None))


def _scalar(kind: object, given: object, path: str, problems: list[str]) -> object:
    if kind is bool:
        return _checked(given, isinstance(given, bool), path, "true or false", problems)
    if kind is float and isinstance(given, int | float) and not isinstance(given, bool):
        return float(given)
    if kind is int and isinstance(given, float) and given.is_integer():
        return int(given)
    fits = isinstance(kind, type) and isinstance(given, kind) and not isinstance(given, bool)
    return _checked(given, fits, path, getattr(kind, "__name__", str(kind)), problems)


def _checked(given: object, fits: bool, path: str, wanted: str, problems: list[str]) -> object:
    if not fits:
        problems.append(f"{path or 'the document'} is {given!r}, wanted {wanted}")
    return given


def _record(kind: type, given: object, path: str, problems: list[str]) -> object:
    if not isinstance(given, dict):
        return _checked(given, False, path, "an object", problems)
    hints = get_type_hints(kind)
    wanted = {wire_name(field.name): field.name for field in fields(kind)}
    prefix = f"{path}." if path else ""
    problems.extend(f"{prefix}{key} is not a known field" for key in given if key not in wanted)
    late = {field.name for field in fields(kind) if field.default is not MISSING}
    owed = {key for key, name in wanted.items() if name not in late}
    problems.extend(f"{prefix}{key} is missing" for key in wanted if key in owed and key not in given)
    before = len(problems)
    values = {
        name: _value(hints[name], given[key], f"{prefix}{key}", problems)
        for key, name in wanted.items()
        if key in given
    }
    complete = owed <= given.keys() and len(problems) == before
    return kind(**values) if complete else None
