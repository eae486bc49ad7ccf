"""genome/log-backup: copy the log's database to a file, while running: events, bodies, answers and measured points."""

from msgspec import Struct

from genomed.commands.context import AbsolutePath, Context
from genomed.entities.types import Role

NAME = "genome/log-backup"
SUMMARY = "Copy the log's database to a file."
ROLE = Role.ADMIN


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """path: absolute, in a folder the daemon may write to; an existing file is not overwritten.

    Datasets, layers and jobs' folders are not in it.
    """

    path: AbsolutePath


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """position, hash: where the log stood when the copy began; it holds at least that."""

    path: str
    position: int
    hash: str


async def run(params: Params, context: Context) -> Result:
    """Raises Conflict when the file exists, InvalidRequest when it cannot be written."""
    head = await context.maintenance.backup(params.path)
    return Result(path=params.path, position=head.position, hash=head.hash)
