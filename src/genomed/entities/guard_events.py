"""What guards did and what operators let through: consents, quarantine, and what was held back from a dataset."""

from msgspec import Struct

from genomed.entities.guards import Tightened
from genomed.entities.row_guards import GuardEffect


class ConsentGiven(Struct, frozen=True, kw_only=True, rename="camel", tag="consent.given"):
    """An operator lets a persona's rows go to a provider. job_id: by letting that job begin; null: by itself."""

    persona_id: str
    provider: str
    reason: str
    job_id: str | None = None


class ConsentWithdrawn(Struct, frozen=True, kw_only=True, rename="camel", tag="consent.withdrawn"):
    """From now on nothing of the persona goes there. What is there already stays there."""

    persona_id: str
    provider: str
    reason: str


class QuarantineReleased(Struct, frozen=True, kw_only=True, rename="camel", tag="interaction.quarantine_released"):
    """An operator looked at what strangers' words made of it, and it may be learned from."""

    reason: str


class QuarantineDiscarded(Struct, frozen=True, kw_only=True, rename="camel", tag="interaction.quarantine_discarded"):
    """It is never learned from. Its words stay until they are forgotten."""

    reason: str


class GuardsApplied(Struct, frozen=True, kw_only=True, rename="camel", tag="guard.applied"):
    """What the guards did to one dataset. sources: how many rows each source gave, for the quotas of that day (UTC).

    job_id: which trains on it; null where it was only frozen. tightened: settings that were not as they were asked for.
    """

    persona_id: str
    dataset_id: str
    day: str
    job_id: str | None = None
    effects: tuple[GuardEffect, ...] = ()
    tightened: tuple[Tightened, ...] = ()
    sources: dict[str, int] = {}


ConsentEvent = ConsentGiven | ConsentWithdrawn
QuarantineEvent = QuarantineReleased | QuarantineDiscarded
GuardEvent = ConsentEvent | GuardsApplied
