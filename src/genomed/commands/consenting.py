"""Whether a persona's rows may leave for a provider: what a job asks of it, and what an operator's own wish says.

The decisions are a stream per persona; the rules are in `entities.consent`.
"""

from msgspec import Struct

from genomed.commands.context import Caller, Context
from genomed.commands.job_building import rows_leave
from genomed.entities.consent import Consents, ConsentState, consent_stream, refuse_withdrawn
from genomed.entities.envelope import Write
from genomed.entities.errors import Forbidden
from genomed.entities.guard_events import ConsentGiven
from genomed.entities.job import Job


class Standing(Struct, frozen=True, kw_only=True):
    """What was decided of one persona. version: of the stream, on which it was read."""

    persona_id: str
    consents: Consents | None
    version: int

    def given(self, provider: str) -> bool:
        return self.consents is not None and self.consents.state(provider) is ConsentState.GIVEN

    def unchanged(self) -> Write:
        """Makes an append fail where somebody decided otherwise meanwhile."""
        return Write(stream=consent_stream(self.persona_id), expected=self.version, events=())

    def yes(self, provider: str, *, reason: str, job_id: str | None) -> Write:
        event = ConsentGiven(persona_id=self.persona_id, provider=provider, reason=reason, job_id=job_id)
        return Write(stream=consent_stream(self.persona_id), expected=self.version, events=(event,))


async def standing(context: Context, persona_id: str) -> Standing:
    loaded = await context.log.load(consent_stream(persona_id))
    consents = loaded.state if isinstance(loaded.state, Consents) else None
    return Standing(persona_id=persona_id, consents=consents, version=loaded.version)


def refuse_agents(caller: Caller) -> None:
    """Raises Forbidden for whoever speaks for a persona: what guards it is for others to lift."""
    if caller.agent:
        raise Forbidden(
            f"{caller.actor} speaks for personas; this is for an operator of all of them",
            remedy="ask an operator whose role is not bound to personas",
        )


class Wanted(Struct, frozen=True, kw_only=True):
    """by_itself: nobody asked for the job at that moment."""

    persona_id: str
    provider: str
    leaves: bool
    by_itself: bool


class Asked(Struct, frozen=True, kw_only=True):
    """missing: the job waits until an operator lets it begin. writes: for the append that makes the job."""

    missing: bool = False
    writes: tuple[Write, ...] = ()


async def consent_for(context: Context, wanted: Wanted, *, job_id: str) -> Asked:
    """An operator who asks for a job by name says yes with it; a trigger and an agent cannot. Raises Forbidden where
    the consent was withdrawn.
    """
    if not wanted.leaves:
        return Asked()
    known = await standing(context, wanted.persona_id)
    refuse_withdrawn(known.consents, persona_id=wanted.persona_id, provider=wanted.provider)
    if known.given(wanted.provider) or not context.guards.of(wanted.persona_id).consent:
        return Asked(writes=(known.unchanged(),))
    if wanted.by_itself or context.caller.agent:
        return Asked(missing=True)
    yes = known.yes(wanted.provider, reason="an operator asked for this job", job_id=job_id)
    return Asked(writes=(yes,))


async def consent_by_name(context: Context, job_id: str, job: Job, *, reason: str) -> tuple[Write, ...]:
    """An operator lets this job begin, or go on: where nothing was decided yet, that says yes. Raises Forbidden where
    the consent was withdrawn meanwhile, and for an agent where nobody decided.
    """
    able = await context.providers.get(job.provider).capabilities()
    if not rows_leave(able, job.wanted_uploads):
        return ()
    known = await standing(context, job.persona_id)
    refuse_withdrawn(known.consents, persona_id=job.persona_id, provider=job.provider)
    if known.given(job.provider) or not context.guards.of(job.persona_id).consent:
        return (known.unchanged(),)
    refuse_agents(context.caller)
    return (known.yes(job.provider, reason=reason, job_id=job_id),)
