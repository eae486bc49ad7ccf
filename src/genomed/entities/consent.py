"""Who said yes to a persona's rows leaving for a provider: a fold over the persona's consents, and what follows. Pure.

Nothing decided is not the same as withdrawn: the first wish of an operator says yes; a no holds until it is taken back.
"""

from enum import StrEnum
from typing import assert_never

from msgspec import Struct

from genomed.entities.errors import Forbidden
from genomed.entities.guard_events import ConsentEvent, ConsentGiven, ConsentWithdrawn


class ConsentState(StrEnum):
    GIVEN = "given"
    WITHDRAWN = "withdrawn"


class Consent(Struct, frozen=True, kw_only=True, rename="camel"):
    """by: the actor who decided. job_id: the job with which it was given; null: by itself."""

    provider: str
    state: ConsentState
    by: str
    at_us: int
    reason: str
    job_id: str | None = None


class Consents(Struct, frozen=True, kw_only=True, rename="camel"):
    """Of one persona, by provider: the latest decision."""

    persona_id: str
    by_provider: dict[str, Consent] = {}

    def state(self, provider: str) -> ConsentState | None:
        known = self.by_provider.get(provider)
        return None if known is None else known.state


def consent_stream(persona_id: str) -> str:
    return f"consent/{persona_id}"


def evolve(consents: Consents | None, event: ConsentEvent, *, by: str, at_us: int) -> Consents:
    match event:
        case ConsentGiven():
            state, job_id = ConsentState.GIVEN, event.job_id
        case ConsentWithdrawn():
            state, job_id = ConsentState.WITHDRAWN, None
        case _:
            assert_never(event)
    latest = Consent(provider=event.provider, state=state, by=by, at_us=at_us, reason=event.reason, job_id=job_id)
    known = {} if consents is None else consents.by_provider
    return Consents(persona_id=event.persona_id, by_provider={**known, event.provider: latest})


def refuse_withdrawn(consents: Consents | None, *, persona_id: str, provider: str) -> None:
    """Raises Forbidden where an operator took the consent back."""
    if consents is not None and consents.state(provider) is ConsentState.WITHDRAWN:
        raise Forbidden(
            f"the consent for rows of {persona_id} to go to {provider} was withdrawn",
            field="provider",
            provider=provider,
            remedy="an operator gives it again with genome/consent-give, or the job runs on this machine (local)",
        )
