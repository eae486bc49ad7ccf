"""A job's events as people read them: the seed's JobEvent. Shared by job-events and job-status."""

from msgspec import Struct

from genomed.entities.envelope import Envelope
from genomed.entities.narration import narrate
from genomed.entities.types import EventLevel


class JobEventView(Struct, frozen=True, kw_only=True, rename="camel"):
    """createdAt: microseconds since 1970. version counts within the job, position over the whole log."""

    message: str
    level: EventLevel
    created_at: int
    type: str
    position: int
    version: int
    actor: str


def event_view(envelope: Envelope) -> JobEventView:
    sentence = narrate(envelope.event)
    return JobEventView(
        message=sentence.text,
        level=sentence.level,
        created_at=envelope.at_us,
        type=envelope.type,
        position=envelope.position,
        version=envelope.version,
        actor=envelope.actor,
    )
