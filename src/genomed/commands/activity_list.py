"""genome/activity-list: long work that this daemon is doing now, with how far it is."""

from msgspec import Struct

from genomed.commands.context import Context
from genomed.entities.activity import Activity
from genomed.entities.types import Role

NAME = "genome/activity-list"
SUMMARY = "Imports, freezes and exports that are running now, with progress and the time that is left."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Nothing to say: everything that runs is listed."""


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    activities: tuple[Activity, ...]


async def run(_: Params, context: Context) -> Result:
    return Result(activities=context.activities.listed())
