"""genome/consent-list: whose rows may go where, who decided it and with which job."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, as_int, as_text
from genomed.entities.configuration import Name, PersonaName
from genomed.entities.consent import ConsentState
from genomed.entities.types import Role

NAME = "genome/consent-list"
SUMMARY = "Show whose rows may go to which provider."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    persona_id: PersonaName | None = None
    provider: Name | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 1000


class ConsentView(Struct, frozen=True, kw_only=True, rename="camel"):
    """decidedBy: the actor. jobId: the job with which it was given; null: by itself."""

    persona_id: str
    provider: str
    state: ConsentState
    decided_us: int
    decided_by: str
    reason: str
    job_id: str | None


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """required: whether the configuration asks for consent at all (for some personas it may say otherwise)."""

    consents: tuple[ConsentView, ...]
    required: bool
    as_of: int


_CONSENTS = """
SELECT persona_id, provider, state, decided_us, decided_by, reason, job_id FROM consents
WHERE (?1 IS NULL OR persona_id = ?1) AND (?2 IS NULL OR provider = ?2) ORDER BY persona_id, provider LIMIT ?3
"""


async def run(params: Params, context: Context) -> Result:
    as_of = context.log.head().position
    rows = await context.log.query(_CONSENTS, (params.persona_id, params.provider, params.limit))
    found = [
        ConsentView(
            persona_id=as_text(persona),
            provider=as_text(provider),
            state=ConsentState(as_text(state)),
            decided_us=as_int(decided_us),
            decided_by=as_text(decided_by),
            reason=as_text(reason),
            job_id=None if job_id is None else as_text(job_id),
        )
        for persona, provider, state, decided_us, decided_by, reason, job_id in rows
    ]
    guards = context.guards if params.persona_id is None else context.guards.of(params.persona_id)
    return Result(consents=tuple(found), required=guards.consent, as_of=as_of)
