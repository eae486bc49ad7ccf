"""genome/consent-withdraw: from now on nothing of a persona goes to a provider, until the consent is given again.

What is there already stays there, and what runs there goes on: it is named, so that an operator can end it.
"""

from msgspec import Struct

from genomed.commands.consenting import refuse_agents, standing
from genomed.commands.context import Context, Decided, as_text
from genomed.entities.configuration import Name, PersonaName
from genomed.entities.consent import ConsentState, consent_stream
from genomed.entities.envelope import Write
from genomed.entities.guard_events import ConsentWithdrawn
from genomed.entities.types import JobStatus, Role

NAME = "genome/consent-withdraw"
SUMMARY = "Let no more rows of a persona go to a provider."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    persona_id: PersonaName
    provider: Name
    reason: Name = "withdrawn by hand"


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """openJobs: of the persona at that provider; what they sent is there, and genome/job-cancel ends them."""

    persona_id: str
    provider: str
    changed: bool
    open_jobs: tuple[str, ...]


_OPEN = """
SELECT job_id FROM jobs WHERE persona_id = ? AND provider = ? AND status NOT IN (?, ?, ?) ORDER BY job_id LIMIT 200
"""


async def run(params: Params, context: Context) -> Decided[Result]:
    """Also for a provider that is not here any more, or was never asked: a no needs no yes before it."""
    refuse_agents(context.caller)
    known = await standing(context, params.persona_id)
    changed = known.consents is None or known.consents.state(params.provider) is not ConsentState.WITHDRAWN
    ended = (JobStatus.SUCCEEDED.value, JobStatus.FAILED.value, JobStatus.CANCELLED.value)
    rows = await context.log.query(_OPEN, (params.persona_id, params.provider, *ended))
    result = Result(
        persona_id=params.persona_id,
        provider=params.provider,
        changed=changed,
        open_jobs=tuple(as_text(job_id) for (job_id,) in rows),
    )
    event = ConsentWithdrawn(persona_id=params.persona_id, provider=params.provider, reason=params.reason)
    write = Write(stream=consent_stream(params.persona_id), expected=known.version, events=(event,))
    return Decided(result=result, writes=(write,) if changed else ())
