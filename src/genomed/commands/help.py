"""genome/help: every command with the JSON Schema of its params and result, generated from the types."""

import msgspec
from msgspec import Struct

from genomed.commands.context import Context
from genomed.entities.configuration import Name
from genomed.entities.errors import NotFound
from genomed.entities.types import Role

NAME = "genome/help"
SUMMARY = "List the commands with the schemas of their params and results."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """command: only this one, with or without `genome/`. schemas: false lists names and summaries only."""

    command: Name | None = None
    schemas: bool = True


class CommandView(Struct, frozen=True, kw_only=True, rename="camel"):
    """description: what the params mean, from their docstring."""

    name: str
    summary: str
    role: Role
    description: str
    params: dict[str, object] | None
    result: dict[str, object] | None


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    commands: tuple[CommandView, ...]


async def run(params: Params, context: Context) -> Result:
    """Raises NotFound for a command that does not exist."""
    wanted = None if params.command is None else f"genome/{params.command.removeprefix('genome/')}"
    views = []
    for module in context.catalogue():
        if wanted is not None and wanted != module.NAME:
            continue
        views.append(
            CommandView(
                name=module.NAME,
                summary=module.SUMMARY,
                role=module.ROLE,
                description=(module.Params.__doc__ or "").strip(),
                params=_schema(module.Params) if params.schemas else None,
                result=_schema(module.Result) if params.schemas else None,
            )
        )
    if not views:
        raise NotFound(f"there is no command {params.command!r}", field="command", remedy="list them with genome/help")
    return Result(commands=tuple(views))


def _schema(struct: type[Struct]) -> dict[str, object]:
    return msgspec.json.schema(struct, schema_hook=_anything)


def _anything(_: type) -> dict[str, object]:
    """`object`, and JSON passed through as it is, admit any value."""
    return {"description": "any JSON value"}
