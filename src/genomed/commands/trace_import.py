"""genome/trace-import: take in what a trace system recorded, spans as interactions and annotations as judgements.

One call reads one page and is one append: as long as the answer says `more`, the caller asks again. Nothing comes
twice, whoever asks how often.
"""

from datetime import datetime
from hashlib import sha256
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from genomed.commands.context import AbsolutePath, Context, Decided
from genomed.commands.trace_places import places_of
from genomed.commands.trace_taking import Taking, Wanted
from genomed.curation.spans import TAKEN_KINDS, of_session
from genomed.entities.configuration import Name, PersonaName
from genomed.entities.envelope import Write
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.facts import BucketKey
from genomed.entities.trace import Span, SpanPage, TraceSettings, Window, trace_settings_complaints
from genomed.entities.trace_events import TraceImported
from genomed.entities.types import Role

NAME = "genome/trace-import"
SUMMARY = "Import recorded spans as interactions and their annotations as feedback."
ROLE = Role.OPERATE

MOST_SPANS = 2000

Moment = Annotated[str, Meta(max_length=40)]


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """source: a configured source; or kind and path: of a file or folder that the daemon can read.

    personaId, domain, baseModel: whose experience it becomes, where the source's section does not say. kinds: of spans,
    as LLM or RETRIEVER; not given: steps of models and searches, and whatever was judged. nameContains: any of these
    words in the span's name. judgements: only annotations of these names. since, until: ISO 8601 with a time zone. An
    import with any of these five begins at the beginning, and leaves the place where the next one goes on as it is: to
    go on with it, give the cursor of its answer. limit: spans of this call. cursor: of an earlier answer, in place of
    the place that is kept.
    """

    source: Name | None = None
    kind: Name | None = None
    path: AbsolutePath | None = None
    persona_id: PersonaName | None = None
    domain: Name | None = None
    base_model: Name | None = None
    kinds: Annotated[tuple[Name, ...], Meta(max_length=50)] = ()
    name_contains: Annotated[tuple[Name, ...], Meta(max_length=50)] = ()
    judgements: Annotated[tuple[Name, ...], Meta(max_length=200)] = ()
    since: Moment | None = None
    until: Moment | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST_SPANS)] = 500
    cursor: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """spans: that were read. known: that were there already; changed: those of them that say something else by now and
    stay as first seen. feedback: judgements that were new. skipped: reason -> spans or annotations. more: ask again.
    """

    source: str
    spans: int
    interactions: int
    known: int
    changed: int
    feedback: int
    skipped: dict[str, int]
    cursor: str | None
    more: bool


class _Aim(Struct, frozen=True, kw_only=True):
    """name: what ids are derived from. place: under which it is kept how far it was read; every file has its own."""

    name: str
    place: str
    settings: TraceSettings
    window: Window
    bucket: BucketKey


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound for an unknown source or file, InvalidRequest for params, and what the source raises."""
    aim = _aim(params, context)
    places = await places_of(aim.place, context)
    reader = None if places.progress is None else places.progress.of(aim.bucket.persona_id, aim.bucket.domain)
    chosen = (params.since, params.until, params.cursor, params.kinds, params.name_contains, params.judgements)
    aside = any(chosen)
    place = params.cursor if aside or reader is None else reader.cursor
    page = await _page(params, aim, context, place)
    taking = Taking(Wanted(source=aim.name, bucket=aim.bucket, judgements=params.judgements), context)
    taking.skipped.update(page.skipped)
    for span in page.spans:
        if reason := _unwanted(params, span):
            taking.skipped[reason] += 1
            taking.hear(span)
        else:
            await taking.take(span)
    await taking.settle()
    result = _result(aim, page, taking)
    kept = (reader.cursor, reader.more) if reader is not None else (None, False)
    now = kept if aside else (page.cursor, page.more)
    nothing = not taking.writes and now == kept
    event = _event(aim, result, cursor=now[0], more=now[1])
    told = () if nothing else (Write(stream=places.stream, expected=places.version, events=(event,)),)
    return Decided(result=result, writes=(*taking.writes, *told), blobs=tuple(taking.blobs))


async def _page(params: Params, aim: _Aim, context: Context, place: str | None) -> SpanPage:
    source = context.traces.open(aim.settings)
    try:
        return await source.page(after=place, limit=params.limit, window=aim.window)
    finally:
        await source.close()


def _us(field: str, told: str | None, problems: list[Problem]) -> int | None:
    if told is None:
        return None
    try:
        moment = datetime.fromisoformat(told)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        wrong = "is no point in time with a time zone"
        problems.append(Problem(field=field, message=wrong, remedy="write it like 2026-11-20T08:00:00Z"))
        return None
    return round(moment.timestamp() * 1_000_000)


def _unwanted(params: Params, span: Span) -> str | None:
    if params.kinds:
        if span.kind not in {kind.upper() for kind in params.kinds}:
            return "kind_not_asked"
    elif span.kind not in TAKEN_KINDS and not span.results and all(of_session(one) for one in span.annotations):
        return "kind_not_asked"
    if params.name_contains and not any(part.lower() in span.name.lower() for part in params.name_contains):
        return "name_not_asked"
    return None


def _result(aim: _Aim, page: SpanPage, taking: Taking) -> Result:
    return Result(
        source=aim.name,
        spans=len(page.spans),
        interactions=taking.interactions,
        known=taking.known,
        changed=taking.changed,
        feedback=taking.feedback,
        skipped=dict(sorted(taking.skipped.items())),
        cursor=page.cursor,
        more=page.more,
    )


def _event(aim: _Aim, result: Result, *, cursor: str | None, more: bool) -> TraceImported:
    return TraceImported(
        source=aim.name,
        kind=aim.settings.kind,
        persona_id=aim.bucket.persona_id,
        domain=aim.bucket.domain,
        cursor=cursor,
        more=more,
        spans=result.spans,
        interactions=result.interactions,
        known=result.known,
        changed=result.changed,
        feedback=result.feedback,
        skipped=result.skipped,
    )


def _aim(params: Params, context: Context) -> _Aim:
    """Which source, and whose experience."""
    problems: list[Problem] = []
    if params.source is not None:
        given = (("kind", params.kind), ("path", params.path))
        problems += [Problem(field=name, message="belongs to no configured source") for name, told in given if told]
        name, settings = params.source, context.traces.settings(params.source)
        place = name
    else:
        if params.kind is None:
            remedy = "give a source of genome/trace-source-list, or kind and path of a file"
            problems.append(Problem(field="source", message="or kind is required", remedy=remedy))
        name = params.kind or ""
        settings = TraceSettings(kind=name, path=params.path)
        place = f"{name}-{sha256((params.path or '').encode()).hexdigest()[:16]}"
    if params.kind is not None:
        told = trace_settings_complaints(settings, context.traces.kinds())
        problems += [Problem(field="kind" if at == "url" else at, message=what) for at, what in told]
    settings = replace(
        settings,
        persona_id=params.persona_id or settings.persona_id,
        domain=params.domain or settings.domain,
        base_model=params.base_model or settings.base_model or context.default_base_model,
    )
    persona_id, domain, base_model = settings.persona_id, settings.domain, settings.base_model
    window = Window(since_us=_us("since", params.since, problems), until_us=_us("until", params.until, problems))
    needed = (("personaId", persona_id), ("domain", domain), ("baseModel", base_model))
    problems += [Problem(field=at, message="is required: the source does not say") for at, told in needed if not told]
    if problems or persona_id is None or domain is None or base_model is None:
        raise InvalidRequest.of(problems)
    bucket = BucketKey(persona_id=persona_id, domain=domain, base_model=base_model)
    return _Aim(name=name, place=place, settings=settings, bucket=bucket, window=window)
