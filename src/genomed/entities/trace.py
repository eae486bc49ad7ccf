"""A recorded step of an agent, as trace systems keep it: one shape for all of them. Pure.

Source of the fields: OpenTelemetry's GenAI conventions and what cogniverse reads of spans (reference
cogniverse-ragd-ucotron.md 1.3 to 1.6).
"""

from collections.abc import Collection
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from genomed.entities.configuration import REFERENCE, Name, PersonaName, Scalar
from genomed.entities.json_value import JsonObject
from genomed.entities.rows import Message


class TraceOrigin(Struct, frozen=True, kw_only=True, rename="camel"):
    """Where a step was recorded. source: the kind of trace system and the name given to it, as `phoenix:main`."""

    source: str
    trace_id: str
    span_id: str


class SearchResult(Struct, frozen=True, kw_only=True, rename="camel"):
    """One result as it was shown: rank is its place in the list. content: null where the trace kept ids only."""

    id: str
    content: str | None = None
    score: float | None = None


class Annotation(Struct, frozen=True, kw_only=True):
    """A judgement beside a span. name: of the annotation; label and score as given; id: stable, for importing twice.

    edit: a person's better answer. result_id: of the search result that is meant. explanation: the judge's words.
    whole_session: it judges the session, not this span. judged_us: when it last changed, where the source says.
    """

    id: str
    name: str
    label: str | None = None
    score: float | None = None
    explanation: str | None = None
    edit: str | None = None
    result_id: str | None = None
    annotator: str | None = None
    whole_session: bool = False
    judged_us: int | None = None


class Span(Struct, frozen=True, kw_only=True):
    """One step. input: the messages that were answered, output: the answer; results: of a search.

    name, kind: as recorded (`LLM`, `AGENT`, `RETRIEVER`, `TOOL`, ...). tools: JSON descriptions that the model was
    given. output_message: the whole answering turn, with tool calls. started_us, ended_us: since 1970.
    """

    trace_id: str
    span_id: str
    name: str
    kind: str
    input: tuple[Message, ...]
    output: str
    output_message: Message | None = None
    results: tuple[SearchResult, ...] = ()
    tools: tuple[JsonObject, ...] = ()
    session_id: str | None = None
    user_id: str | None = None
    model: str | None = None
    started_us: int | None = None
    ended_us: int | None = None
    failed: bool = False
    attributes: dict[str, Scalar] = {}
    annotations: tuple[Annotation, ...] = ()


class SpanPage(Struct, frozen=True, kw_only=True):
    """cursor: give it back, now (`more`) or next time. skipped: reason -> how many could not be read for it."""

    spans: tuple[Span, ...]
    cursor: str | None
    more: bool
    skipped: dict[str, int] = {}


class Window(Struct, frozen=True, kw_only=True):
    """Only what started in it: since_us inclusive, until_us exclusive; null: open."""

    since_us: int | None = None
    until_us: int | None = None

    def holds(self, started_us: int | None) -> bool:
        """A step that says no time stands in every window."""
        if started_us is None:
            return True
        early = self.since_us is not None and started_us < self.since_us
        return not early and (self.until_us is None or started_us < self.until_us)


class TraceSource(Protocol):
    """Reads spans from somewhere, page by page, in the source's own order. Changes nothing there.

    A source may show a span again, with annotations that came meanwhile; it may not leave one out.
    """

    async def page(self, *, after: str | None, limit: int, window: Window) -> SpanPage:
        """after: an earlier page's cursor. Raises NotFound, Transient, MissingCredentials, Forbidden or
        InvalidRequest.
        """
        ...

    async def close(self) -> None: ...


class TraceSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[traces.NAME]` of the configuration.

    url, project, api_key (a reference): of a live server; path: of a file. persona_id, domain, base_model: whose
    experience it is, where an import does not say. overlap_s: how far back each import looks again, because
    annotations come late. timeout_s: of one question.
    """

    kind: str
    url: Annotated[str, Meta(pattern="^https?://[^/]", max_length=1024)] | None = None
    project: Annotated[str, Meta(min_length=1, max_length=256)] = "default"
    api_key: Annotated[str, Meta(pattern=REFERENCE)] | None = None
    path: Annotated[str, Meta(pattern=r"^/[^\x00]*$", max_length=4096)] | None = None
    persona_id: PersonaName | None = None
    domain: Name | None = None
    base_model: Name | None = None
    overlap_s: Annotated[float, Meta(ge=0, le=366 * 86_400)] = 86_400
    timeout_s: Annotated[float, Meta(gt=0, le=3600)] = 60


class TraceKind(Struct, frozen=True, kw_only=True, rename="camel"):
    """A kind of trace source. file: it reads one. missing: why it cannot be used here, with the remedy."""

    kind: str
    summary: str
    file: bool
    missing: str | None = None
    remedy: str | None = None


class TraceShelf(Protocol):
    """The trace sources that commands may read."""

    def kinds(self) -> tuple[TraceKind, ...]: ...

    def names(self) -> tuple[str, ...]: ...

    def settings(self, name: str) -> TraceSettings:
        """Raises NotFound naming those that exist."""
        ...

    def open(self, settings: TraceSettings) -> TraceSource:
        """The caller closes it. Raises Unsupported where a package is missing."""
        ...


def trace_settings_complaints(settings: TraceSettings, kinds: Collection[TraceKind]) -> list[tuple[str, str]]:
    """(field, what is wrong) of what the types cannot say."""
    known = {one.kind: one for one in kinds}
    if settings.kind not in known:
        return [("kind", f"{settings.kind!r} is none of {', '.join(sorted(known))}")]
    wanted, other = ("path", "url") if known[settings.kind].file else ("url", "path")
    found = [] if getattr(settings, wanted) is not None else [(wanted, f"is required for {settings.kind}")]
    if getattr(settings, other) is not None:
        found.append((other, f"says nothing to {settings.kind}"))
    return found
