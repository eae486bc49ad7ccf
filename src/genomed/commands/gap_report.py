"""genome/gap-report: where personas are weak, measured from what they did, and what that calls for."""

from msgspec import Struct

from genomed.commands.context import Context
from genomed.commands.gap_measuring import gaps
from genomed.entities.configuration import Name, PersonaName
from genomed.entities.gaps import Gap
from genomed.entities.types import Role

NAME = "genome/gap-report"
SUMMARY = "Show where personas are weak: failures, corrections, fitness, age."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Both narrow the report; neither: every persona and domain."""

    persona_id: PersonaName | None = None
    domain: Name | None = None


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """The worst first."""

    gaps: tuple[Gap, ...]


async def run(params: Params, context: Context) -> Result:
    return Result(gaps=tuple(await gaps(context, persona_id=params.persona_id, domain=params.domain)))
