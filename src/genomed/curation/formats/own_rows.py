"""Rows as our own dataset files hold them: the row's fields, with its id before them."""

import re

import msgspec

from genomed.curation.formats.shape import Format, Misfit, converted
from genomed.entities.json_value import JsonObject
from genomed.entities.rows import ROW_TYPES, Row, row_id
from genomed.entities.types import RowKind

_ID = re.compile(r"[0-9a-f]{64}\Z")
_OURS_ALONE = {RowKind.RAFT, RowKind.VECTOR_PAIR, RowKind.RECORD}
_NAMES = {kind: frozenset(made.__struct_fields__) for kind, made in ROW_TYPES.items()}
_NEEDED = {
    kind: frozenset(field.name for field in msgspec.structs.fields(made) if field.required)
    for kind, made in ROW_TYPES.items()
}


def _kind(found: JsonObject) -> RowKind | None:
    """With its id; without one, only where no other format has such fields."""
    identity = found.get("id")
    if "id" in found and not (isinstance(identity, str) and _ID.match(identity)):
        return None
    kind = _kind_by_fields(found)
    return kind if "id" in found or kind in _OURS_ALONE or "negatives" in found else None


def _kind_by_fields(found: JsonObject) -> RowKind | None:
    names = found.keys() - {"id"}
    return next((kind for kind in ROW_TYPES if _NEEDED[kind] <= names <= _NAMES[kind]), None)


def _read(found: JsonObject) -> Row:
    kind = _kind_by_fields(found)
    if kind is None:
        shapes = "; ".join(f"{one}: {', '.join(sorted(_NEEDED[one]))}" for one in ROW_TYPES)
        raise Misfit.at("", "has the fields of no kind of row", shapes)
    return converted({name: value for name, value in found.items() if name != "id"}, ROW_TYPES[kind])


def _write(row: Row) -> JsonObject:
    fields: JsonObject = msgspec.json.decode(msgspec.json.encode(row))
    return {"id": row_id(row), **fields}


FORMAT = Format(
    name="rows",
    summary="our own rows of every kind, each with its id",
    kinds=tuple(RowKind),
    fields=frozenset({"id"}).union(*_NAMES.values()),
    resembles=_kind,
    reads=_read,
    writes=_write,
    lossless=True,
    columns={kind: ("id", *made.__struct_fields__) for kind, made in ROW_TYPES.items()},
    why={"id": "`id` is not kept: a row is named by its content"},
)
