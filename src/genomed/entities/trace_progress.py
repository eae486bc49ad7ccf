"""How far a trace source was read, for each persona and domain. The fold of `trace_source/<name>`. Pure."""

from msgspec import Struct

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
