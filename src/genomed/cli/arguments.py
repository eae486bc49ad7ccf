"""Params structs as options: every field, also nested ones, is a flag in the words of the wire.

Knows types, not commands. A flag's text becomes JSON here; whether that is right, `entities.checking` says.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import Struct, inspect

from genomed.cli.failures import Usage

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Document = dict[str, Json]


ID_OF = {"bkt": "bucketId", "dr": "draftId", "ds": "datasetId", "itm": "itemId", "job": "jobId", "rev": "batchId"}
"""How ids begin, for commands that are about one thing of several kinds."""


@dataclass(frozen=True)
class Option:
    """A field of the params. path: its wire names. flag: what a person types. kind: its type, bare."""

    path: tuple[str, ...]
    flag: str
    kind: inspect.Type
    required: bool
    text: str

    @property
    def wire_flag(self) -> str:
        """The flag in wire names, understood too: `--personaId` for `--persona-id`."""
        return "--" + ".".join(self.path)

    @property
    def is_id(self) -> bool:
        return len(self.path) == 1 and self.path[0].endswith("Id")

    @property
    def repeats(self) -> bool:
        return isinstance(self.kind, inspect.ListType | inspect.VarTupleType | inspect.DictType)

    @property
    def choices(self) -> tuple[str, ...]:
        return _choices(self.kind)

    @property
    def metavar(self) -> str:
        return _metavar(self.kind)


def options(params: type[Struct]) -> list[Option]:
    """Every field of the params, outer ones before their parts."""
    described = inspect.type_info(params)
    assert isinstance(described, inspect.StructType)
    return list(_walk(described, (), "--"))


def positional(found: Sequence[Option]) -> Option | None:
    """The option that may stand without its flag: the first id that the command cannot do without, else its first field
    where that is an id.
    """
    needed = next((option for option in found if option.required and option.is_id), None)
    return needed or next((option for option in found[:1] if option.is_id), None)


def other_ids(found: Sequence[Option]) -> list[Option]:
    """Which ids may stand in the place of the first field, by how they begin."""
    if any(option.required and option.is_id for option in found):
        return []
    first = positional(found)
    known = set(ID_OF.values())
    return [one for one in found if first is not None and one != first and len(one.path) == 1 and one.path[0] in known]


def standing(found: Sequence[Option], words: Sequence[str]) -> list[tuple[Option, str]]:
    """What words without a flag mean: the ids that the command cannot do without, in order; where there are none, the
    id whose beginning the word has (`dr-...` is a draft), else the first field.
    """
    needed = [option for option in found if option.required and option.is_id]
    if needed:
        return list(zip(needed, words, strict=False))
    first = positional(found)
    if first is None:
        return []
    by_name = {option.path: option for option in found}
    return [(by_name.get((ID_OF.get(word.partition("-")[0], ""),), first), word) for word in words[:1]]


def document(given: Sequence[tuple[Option, object]], base: Document) -> Document:
    """The params: `base`, overridden by what was given as flags, outer fields first."""
    params = dict(base)
    for option, text in sorted(given, key=lambda pair: len(pair[0].path)):
        _put(params, option.path, _value(option, text))
    return params


def read_document(source: str, standard_input: str | None) -> Document:
    """The JSON object in a file, or the text of standard input for `-`. Raises Usage."""
    try:
        text = standard_input if standard_input is not None else Path(source).read_text(encoding="utf-8")
        data = msgspec.json.decode(text)
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(f"cannot read {source}: {error}", field="file") from error
    except msgspec.DecodeError as error:
        raise Usage(f"{source} is not JSON: {error}", field="file") from error
    if not isinstance(data, dict):
        raise Usage(f"{source} must hold a JSON object: the params by name", field="file")
    return data


def bare(kind: inspect.Type) -> inspect.Type:
    """The type without its description, and without null where that is its only alternative."""
    if isinstance(kind, inspect.Metadata):
        return bare(kind.type)
    if isinstance(kind, inspect.UnionType):
        others = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
        return bare(others[0]) if len(others) == 1 else kind
    return kind


def _choices(kind: inspect.Type) -> tuple[str, ...]:
    if isinstance(kind, inspect.EnumType):
        return tuple(str(member.value) for member in kind.cls)
    if isinstance(kind, inspect.LiteralType):
        return tuple(str(value) for value in kind.values)
    return ()


def _metavar(kind: inspect.Type) -> str:
    match kind:
        case inspect.IntType():
            return "N"
        case inspect.FloatType():
            return "NUMBER"
        case inspect.StructType():
            return "JSON"
        case inspect.DictType():
            return "KEY=VALUE"
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return _metavar(bare(item))
        case _:
            known = _choices(kind)
            return "{" + ",".join(known) + "}" if known else "TEXT"


def _walk(struct: inspect.StructType, path: tuple[str, ...], prefix: str) -> Iterator[Option]:
    told = field_texts(struct)
    for field in struct.fields:
        kind = bare(field.type)
        where = (*path, field.encode_name)
        flag = prefix + field.name.replace("_", "-")
        text = _described(field.type) or told.get(field.encode_name, "")
        yield Option(path=where, flag=flag, kind=kind, required=field.required, text=text)
        if isinstance(kind, inspect.StructType):
            yield from _walk(kind, where, flag + ".")


def _described(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.Metadata):
        schema = kind.extra_json_schema or {}
        return str(schema.get("description", "")) or _described(kind.type)
    if isinstance(kind, inspect.UnionType):
        return next((text for one in kind.types if (text := _described(one))), "")
    return ""


def field_texts(struct: inspect.StructType) -> dict[str, str]:
    """What the docstring says of each field: the house writes `waitS: wait so long. input, output: what was said.`"""
    names = [field.encode_name for field in struct.fields]
    doc = " ".join((struct.cls.__doc__ or "").split())
    if not names or not doc:
        return {}
    one_of = "|".join(re.escape(name) for name in names)
    opening = re.compile(rf"(?:^|(?<=[.;] ))((?:{one_of})(?:, (?:{one_of}))*):? ")
    starts = list(opening.finditer(doc))
    ends = [found.start() for found in starts[1:]] + [len(doc)]
    texts: dict[str, str] = {}
    for found, end in zip(starts, ends, strict=False):
        said = doc[found.end() : end].strip().rstrip(".;")
        texts |= dict.fromkeys(found.group(1).split(", "), said)
    return texts


def _put(params: Document, path: tuple[str, ...], value: Json) -> None:
    inner = params
    for name in path[:-1]:
        part = inner.get(name)
        grown: Document = dict(part) if isinstance(part, dict) else {}  # a copy: defaults and files stay as they are
        inner[name] = grown
        inner = grown
    inner[path[-1]] = value


def _value(option: Option, given: object) -> Json:
    """JSON for what was typed. What cannot be read stays text, so that the check can name it."""
    if isinstance(given, bool):
        return given
    if isinstance(given, list):
        return _many(option, [str(text) for text in given])
    text = str(given)
    pattern = option.kind.pattern if isinstance(option.kind, inspect.StrType) else None
    if pattern is not None and pattern.startswith("^/"):  # an absolute path: the daemon lives in another folder
        return str(Path(text).absolute())
    return _one(option.kind, text, option.flag)


def _many(option: Option, texts: list[str]) -> Json:
    if len(texts) == 1 and texts[0].lstrip().startswith(("[", "{")):
        return _json(texts[0], option.flag)
    if isinstance(option.kind, inspect.DictType):
        pairs = [text.partition("=") for text in texts]
        for key, equals, _ in pairs:
            if not equals:
                raise Usage(f"{option.flag} takes KEY=VALUE or a JSON object, not {key!r}", field=option.flag)
        values = bare(option.kind.value_type)
        return {key: _one(values, value, option.flag) for key, _, value in pairs}
    kind = option.kind
    item = bare(kind.item_type) if isinstance(kind, inspect.ListType | inspect.VarTupleType) else kind
    return [_one(item, text, option.flag) for text in texts]


def _one(kind: inspect.Type, text: str, flag: str) -> Json:
    match kind:
        case inspect.IntType() | inspect.FloatType():
            return None if text == "null" else _number(text)
        case inspect.StructType():
            return _json(text, flag)
        case inspect.UnionType() if text.lstrip().startswith(("[", "{")):
            return _json(text, flag)
        case inspect.UnionType(types=types) if any(isinstance(bare(one), inspect.FloatType) for one in types):
            return _scalar(text)
        case inspect.BoolType():
            return {"true": True, "false": False}.get(text.lower(), text)
        case inspect.CustomType() | inspect.AnyType():  # JSON that the daemon's options understand
            return _json(text, flag) if text.lstrip().startswith(("[", "{")) else _scalar(text)
        case _:
            return text


def _number(text: str) -> Json:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _scalar(text: str) -> Json:
    return {"true": True, "false": False, "null": None}[text] if text in ("true", "false", "null") else _number(text)


def _json(text: str, flag: str) -> Json:
    try:
        read: Json = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise Usage(f"{flag} takes JSON, and this is none: {error}", field=flag) from error
    return read
