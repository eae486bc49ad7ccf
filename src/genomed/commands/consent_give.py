"""genome/consent-give: let a persona's rows leave for a provider, now and until the consent is withdrawn."""

from msgspec import Struct

from genomed.commands.consenting import refuse_agents, standing
from genomed.commands.context import Context, Decided
from genomed.commands.job_building import rows_leave
from genomed.entities.configuration import Name, PersonaName
from genomed.entities.types import Role

NAME = "genome/consent-give"
SUMMARY = "Let a persona's rows go to a provider."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """reason: kept with the consent, for whoever asks later."""

    persona_id: PersonaName
    provider: Name
    reason: Name = "given by hand"


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """changed: it had not been given before, or had been withdrawn. needed: jobs there send rows out of the house, or
    its settings are wrong and nobody can tell; where they do not, no job asks for this consent.
    """

    persona_id: str
    provider: str
    changed: bool
    needed: bool


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound for a provider that does not exist here, Forbidden for an agent."""
    refuse_agents(context.caller)
    able = await context.providers.get(params.provider).capabilities()
    needed = able.broken or rows_leave(able, ())
    known = await standing(context, params.persona_id)
    changed = not known.given(params.provider)
    result = Result(persona_id=params.persona_id, provider=params.provider, changed=changed, needed=needed)
    yes = known.yes(params.provider, reason=params.reason, job_id=None)
    return Decided(result=result, writes=(yes,) if changed else ())
