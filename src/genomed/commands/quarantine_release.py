"""genome/quarantine-release: an operator looked, and these interactions may be learned from like any other."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, Decided
from genomed.commands.quarantining import decision
from genomed.entities.configuration import Name
from genomed.entities.guard_events import QuarantineReleased
from genomed.entities.types import Role

NAME = "genome/quarantine-release"
SUMMARY = "Let interactions out of quarantine."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    interaction_ids: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=1000)]
    reason: Name = "released by hand"


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """released: how many waited. already: those that had been released before, or never waited."""

    released: int
    already: tuple[str, ...]


async def run(params: Params, context: Context) -> Decided[Result]:
    """All or none. Raises InvalidRequest for what is not there, was forgotten or discarded; Forbidden for an agent."""
    event = QuarantineReleased(reason=params.reason)
    made = await decision(context, params.interaction_ids, event, discarding=False)
    return Decided(result=Result(released=len(made.writes), already=made.settled), writes=made.writes)
