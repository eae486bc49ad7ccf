"""How far a trace source was read, for each persona and domain. The fold of `trace_source/<name>`. Pure."""

from msgspec import Struct
from msgspec.structs import replace

from genomed.entities.trace_events import TraceEvent


class ReadThrough(Struct, frozen=True, kw_only=True, rename="camel"):
    """cursor, more: of the latest import. interactions, feedback: of all imports together."""

    persona_id: str
    domain: str
    cursor: str | None
    more: bool
    imported_us: int
    interactions: int
    feedback: int


class TraceProgress(Struct, frozen=True, kw_only=True, rename="camel"):
    source: str
    kind: str
    readers: tuple[ReadThrough, ...] = ()

    def of(self, persona_id: str, domain: str) -> ReadThrough | None:
        return next((one for one in self.readers if (one.persona_id, one.domain) == (persona_id, domain)), None)

    def followed_by(self, later: "TraceProgress") -> "TraceProgress":
        """later: of the stream that went on where this one was full."""
        still = tuple(one for one in self.readers if later.of(one.persona_id, one.domain) is None)
        told = (_together(self.of(one.persona_id, one.domain), one) for one in later.readers)
        return replace(later, readers=(*still, *told))


def _together(before: ReadThrough | None, now: ReadThrough) -> ReadThrough:
    if before is None:
        return now
    interactions, feedback = before.interactions + now.interactions, before.feedback + now.feedback
    return replace(now, interactions=interactions, feedback=feedback)


def evolve(progress: TraceProgress | None, event: TraceEvent, *, at_us: int) -> TraceProgress:
    known = progress or TraceProgress(source=event.source, kind=event.kind)
    before = known.of(event.persona_id, event.domain)
    now = ReadThrough(
        persona_id=event.persona_id,
        domain=event.domain,
        cursor=event.cursor,
        more=event.more,
        imported_us=at_us,
        interactions=event.interactions + (before.interactions if before else 0),
        feedback=event.feedback + (before.feedback if before else 0),
    )
    others = tuple(one for one in known.readers if one is not before)
    return TraceProgress(source=known.source, kind=event.kind, readers=(*others, now))
