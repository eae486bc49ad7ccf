"""How far the spans of a trace source were taken in. One stream per source: `trace_source/<name>`; a
full one goes on in `trace_source/<name>~2`.
"""

from msgspec import Struct


class TraceImported(Struct, frozen=True, kw_only=True, rename="camel", tag="trace.imported"):
    """One call's worth of spans. cursor: where the source goes on; more: it had not come to the end.

    spans: that were read; interactions, feedback: that were new; known: spans that were there already; changed: those
    of them that say something else by now, and were kept as first seen. skipped: reason -> how many spans or
    annotations. persona_id, domain: whose experience; another pair reads the source from its beginning.
    """

    source: str
    kind: str
    persona_id: str
    domain: str
    cursor: str | None
    more: bool
    spans: int
    interactions: int
    known: int
    changed: int
    feedback: int
    skipped: dict[str, int] = {}


TraceEvent = TraceImported
