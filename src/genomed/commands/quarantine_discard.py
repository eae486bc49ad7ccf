"""genome/quarantine-discard: these interactions are never learned from. Their words stay until they are forgotten."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, Decided
from genomed.commands.quarantining import decision
from genomed.entities.configuration import Name
from genomed.entities.guard_events import QuarantineDiscarded
from genomed.entities.types import Role

NAME = "genome/quarantine-discard"
SUMMARY = "Never learn from interactions that wait in quarantine."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    interaction_ids: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=1000)]
    reason: Name = "discarded by hand"


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """discarded: how many waited. already: those that had been discarded before."""

    discarded: int
    already: tuple[str, ...]


async def run(params: Params, context: Context) -> Decided[Result]:
    """All or none. Raises InvalidRequest for what is not there or does not wait, Forbidden for an agent."""
    event = QuarantineDiscarded(reason=params.reason)
    made = await decision(context, params.interaction_ids, event, discarding=True)
    return Decided(result=Result(discarded=len(made.writes), already=made.settled), writes=made.writes)
