"""genome/backup-create: copy the whole house to a new folder, while running, with a hash of every file."""

from msgspec import Struct

from genomed.commands.context import AbsolutePath, Context
from genomed.entities.types import Role

NAME = "genome/backup-create"
SUMMARY = "Copy log, datasets, recipes, jobs and layers to a new folder."
ROLE = Role.ADMIN


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """path: absolute; a folder that does not exist, in one the daemon may write to.

    checkpoints: of trainings, too: large, and needed only to go on with one that ran. Back with `genomed --restore`.
    """

    path: AbsolutePath
    checkpoints: bool = False


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """position, hash: where the copied log ends."""

    path: str
    position: int
    hash: str
    files: int
    size_bytes: int


async def run(params: Params, context: Context) -> Result:
    """Raises Conflict when the folder exists, InvalidRequest when it cannot be written."""
    made = await context.maintenance.back_up(params.path, checkpoints=params.checkpoints)
    return Result(
        path=params.path,
        position=made.head.position,
        hash=made.head.hash,
        files=made.files,
        size_bytes=made.size_bytes,
    )
