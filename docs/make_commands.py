"""Writes docs/commands.md from the command table: `python docs/make_commands.py`. A test keeps it current."""

from pathlib import Path

import msgspec
from msgspec import inspect

from genomed.commands import commands
from genomed.commands.context import CommandModule

PAGE = Path(__file__).parent / "commands.md"
HEAD = """# Commands

Made from the types by `docs/make_commands.py`. Every command is `POST /genome/NAME` with its params as JSON, a JSON-RPC
method `genome/NAME` on `/bus`, and `genome NOUN VERB` on the command line. `genome/help` gives the full JSON Schemas.

Answers are `{"result": ..., "head": {"position", "hash"}}` or `{"error": {"kind", "message", "details": [...]}}`. With
an `Idempotency-Key` header, or `idempotencyKey` beside a JSON-RPC request's params, a command runs once.
"""


def page() -> str:
    return "\n".join([HEAD, *(_section(module) for module in commands())])


def _section(module: CommandModule) -> str:
    lines = [f"## {module.NAME}", "", f"{module.SUMMARY} Role: {module.ROLE}.", ""]
    about = inspect_doc(module.Params)
    if about:
        lines += [about, ""]
    fields = inspect.type_info(module.Params)
    if isinstance(fields, inspect.StructType) and fields.fields:
        lines += ["| param | type | default |", "|---|---|---|"]
        lines += [f"| {field.encode_name} | {_type(field.type)} | {_default(field)} |" for field in fields.fields]
        lines.append("")
    outcome = inspect.type_info(module.Result)
    if isinstance(outcome, inspect.StructType):
        lines.append(f"Result: {', '.join(field.encode_name for field in outcome.fields)}.")
        told = inspect_doc(module.Result)
        lines += ["", told] if told else []
    return "\n".join([*lines, ""])


def inspect_doc(cls: type) -> str:
    """The struct's own docstring, as one paragraph a paragraph."""
    text = cls.__dict__.get("__doc__") or ""
    return "\n".join(line.strip() for line in text.strip().splitlines())


def _type(kind: inspect.Type) -> str:
    match kind:
        case inspect.Metadata(type=inner):
            return _type(inner)
        case inspect.UnionType(types=types):
            return " or ".join(_type(one) for one in types if not isinstance(one, inspect.NoneType))
        case inspect.EnumType(cls=cls):
            return ", ".join(f"`{member.value}`" for member in cls)
        case inspect.StructType(cls=cls):
            return cls.__name__
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return f"list of {_type(item)}"
        case inspect.DictType():
            return "object"
        case inspect.IntType() | inspect.FloatType():
            return ("integer" if isinstance(kind, inspect.IntType) else "number") + _limits(kind)
        case inspect.BoolType():
            return "true or false"
        case _:
            return "text"


def _limits(kind: inspect.IntType | inspect.FloatType) -> str:
    low = kind.ge if kind.ge is not None else kind.gt
    high = kind.le if kind.le is not None else kind.lt
    if low is None and high is None:
        return ""
    if high is None:
        return f", {'at least' if kind.ge is not None else 'above'} {low:g}"
    return f", {low:g} to {high:g}" if low is not None else f", at most {high:g}"


def _default(field: inspect.Field) -> str:
    if field.required:
        return "required"
    if field.default is msgspec.NODEFAULT:
        return "empty"
    if field.default is None:
        return ""
    if isinstance(field.default, msgspec.Struct):
        return "its defaults"
    return f"`{msgspec.json.encode(field.default).decode()}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
