"""genome/log-rebuild: make read models and indices anew from the events, where log-verify found that they differ.

Changes no event. The daemon answers meanwhile from what was there; commands that write wait.
"""

from msgspec import Struct

from genomed.commands.context import Context
from genomed.entities.envelope import Head
from genomed.entities.types import Role

NAME = "genome/log-rebuild"
SUMMARY = "Make the read models anew from the log."
ROLE = Role.ADMIN


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    pass


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """head: of the log that they were made from."""

    head: Head


async def run(_: Params, context: Context) -> Result:
    await context.maintenance.rebuild()
    return Result(head=context.log.head())
