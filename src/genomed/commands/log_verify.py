"""genome/log-verify: check the whole log: chain, positions, versions, anchor, bodies, read models."""

from msgspec import Struct

from genomed.commands.context import Context
from genomed.entities.log_report import VerifyReport
from genomed.entities.types import Role

NAME = "genome/log-verify"
SUMMARY = "Check the whole log for damage."
ROLE = Role.READ

Result = VerifyReport


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    pass


async def run(_: Params, context: Context) -> VerifyReport:
    """Damage is the result, not an error."""
    return await context.maintenance.verify()
