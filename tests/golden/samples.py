"""One filled-in value of any type the events use: every field set, nothing left at its default where it can be helped.

Deterministic, so that a sample written today equals the one made tomorrow. Knows msgspec's view of types only.
"""

import re
from typing import Any

import msgspec
from msgspec import inspect as types

WORDS = ("word-1", "env:WORD", "0" * 64, "/word", "keep", "user")


def sample(of: Any) -> Any:
    """A value of the type, through the same checks as one from outside."""
    return msgspec.convert(_plain(types.type_info(of), depth=0), of)


def _plain(info: types.Type, *, depth: int) -> Any:  # noqa: C901 - one case per kind of type
    """JSON-like data that converts to the type."""
    if depth > 12:
        raise ValueError(f"{info} is recursive: give it a sample by hand")
    match info:
        case types.StructType():
            fields = {field.encode_name: _plain(field.type, depth=depth + 1) for field in info.fields}
            return fields if info.tag is None else {str(info.tag_field): info.tag, **fields}
        case types.UnionType():
            return _plain(next(t for t in info.types if not isinstance(t, types.NoneType)), depth=depth)
        case types.Metadata():
            return _plain(info.type, depth=depth)
        case types.EnumType():
            return list(info.cls)[-1].value
        case types.LiteralType():
            return info.values[0]
        case types.BoolType():
            return True
        case types.IntType() | types.FloatType():
            return _number(info)
        case types.StrType():
            return _text(info)
        case types.DictType():
            return {_plain(info.key_type, depth=depth + 1): _plain(info.value_type, depth=depth + 1)}
        case types.ListType() | types.VarTupleType() | types.SetType() | types.FrozenSetType():
            return [_plain(info.item_type, depth=depth + 1)]
        case types.TupleType():
            return [_plain(item, depth=depth + 1) for item in info.item_types]
        case types.AnyType():
            return "anything"
        case types.CustomType(cls=cls) if cls is object:  # JSON that is carried and not looked into
            return "anything"
        case _:
            raise TypeError(f"no sample for {info}: add its kind here")


def _number(info: types.IntType | types.FloatType) -> int | float:
    low = info.ge if info.ge is not None else info.gt
    high = info.le if info.le is not None else info.lt
    if isinstance(info, types.IntType):
        return int(low + 1 if low is not None and (high is None or low + 1 < high) else low if low is not None else 7)
    return float((low + high) / 2 if low is not None and high is not None else low + 0.5 if low is not None else 0.25)


def _text(info: types.StrType) -> str:
    """Long enough and not too long; for a pattern the first of WORDS that meets it."""
    if info.pattern is not None:
        return next(word for word in WORDS if re.search(info.pattern, word))
    return WORDS[0][: info.max_length or len(WORDS[0])].ljust(info.min_length or 0, "x")
