"""genome/retention-run: archive what is closed and let old files go now, by the configured rule; or say what would.

The daemon does the same by itself every few hours.
"""

from msgspec import Struct

from genomed.commands.context import Context
from genomed.entities.retention import Retained
from genomed.entities.types import Role

NAME = "genome/retention-run"
SUMMARY = "Archive closed streams and remove files of ended jobs, by the rule in [retention]."
ROLE = Role.ADMIN

Result = Retained


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """dryRun: change nothing; tell what the first archive would hold and what would go."""

    dry_run: bool = False


async def run(params: Params, context: Context) -> Retained:
    return await context.maintenance.retain(dry=params.dry_run)
