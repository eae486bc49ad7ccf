"""genome/log-export: write the log as JSON Lines to a file, while running."""

from msgspec import Struct

from genomed.commands.context import AbsolutePath, Context
from genomed.entities.types import Role

NAME = "genome/log-export"
SUMMARY = "Write the log to a file as JSON Lines."
ROLE = Role.ADMIN


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """path: absolute, in a folder the daemon may write to; an existing file is not overwritten."""

    path: AbsolutePath


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    path: str
    events: int
    hash: str


async def run(params: Params, context: Context) -> Result:
    """Raises Conflict when the file exists, InvalidRequest when it cannot be written."""
    head = await context.maintenance.export(params.path)
    return Result(path=params.path, events=head.position, hash=head.hash)
