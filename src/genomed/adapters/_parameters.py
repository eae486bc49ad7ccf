"""A provider's own parameters, which a configuration carries by name in its metadata.

One annotated struct per provider says names, types, ranges and defaults; the definitions that users see and the
check of what they gave are both read from it.
"""

from collections.abc import Mapping
from typing import TypeVar

import msgspec
from msgspec import inspect, structs

from genomed.entities.capabilities import ParameterDefinition, ParameterType
from genomed.entities.configuration import Scalar
from genomed.entities.errors import Problem

T = TypeVar("T", bound=msgspec.Struct)


def definitions(of: type[msgspec.Struct]) -> dict[str, ParameterDefinition]:
    """What users are told of each parameter, by wire name."""
    described = inspect.type_info(of)
    if not isinstance(described, inspect.StructType):
        raise TypeError(f"{of.__name__} is not a struct")
    return {field.encode_name: _definition(field) for field in described.fields}


def problems(metadata: Mapping[str, Scalar], of: type[msgspec.Struct]) -> list[Problem]:
    """Everything wrong with `metadata`, each with its path."""
    fields = {field.encode_name: field for field in structs.fields(of)}
    known = ", ".join(fields)
    found = []
    for name, value in metadata.items():
        if name not in fields:
            found.append(Problem(field=f"metadata.{name}", message=f"no such parameter; there are {known}"))
            continue
        try:
            msgspec.convert(value, fields[name].type)
        except msgspec.ValidationError as wrong:
            found.append(Problem(field=f"metadata.{name}", message=f"{value!r}: {wrong}"))
    missing = [name for name, field in fields.items() if field.required and name not in metadata]
    return found + [Problem(field=f"metadata.{name}", message="this provider needs it") for name in missing]


def read(metadata: Mapping[str, Scalar], of: type[T]) -> T:
    """The parameters with defaults filled in. Raises msgspec.ValidationError for what `problems` names."""
    return msgspec.convert(dict(metadata), of)


def values(parameters: msgspec.Struct) -> dict[str, Scalar]:
    """Every parameter by wire name, defaults included."""
    given: dict[str, Scalar] = msgspec.to_builtins(parameters)
    return given


def _definition(field: inspect.Field) -> ParameterDefinition:
    plain, description = _unwrapped(field.type)
    low, high = None, None
    if isinstance(plain, inspect.IntType | inspect.FloatType):
        low, high = plain.ge, plain.le
    return ParameterDefinition(
        type=_kind(plain),
        description=description,
        required=field.required,
        default=None if field.required else field.default,
        enum_values=tuple(str(value) for value in plain.values) if isinstance(plain, inspect.LiteralType) else (),
        min=None if low is None else float(low),
        max=None if high is None else float(high),
    )


def _unwrapped(kind: inspect.Type) -> tuple[inspect.Type, str]:
    """The type without `| None` and without its description, and the description."""
    if isinstance(kind, inspect.UnionType):
        kind = next(part for part in kind.types if not isinstance(part, inspect.NoneType))
    if isinstance(kind, inspect.Metadata):
        return kind.type, str((kind.extra_json_schema or {}).get("description", ""))
    return kind, ""


def _kind(kind: inspect.Type) -> ParameterType:
    match kind:
        case inspect.BoolType():
            return ParameterType.BOOLEAN
        case inspect.IntType() | inspect.FloatType():
            return ParameterType.NUMBER
        case inspect.LiteralType():
            return ParameterType.ENUM
        case _:
            return ParameterType.STRING
