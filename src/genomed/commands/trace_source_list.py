"""genome/trace-source-list: where recorded experience can be imported from, and how far each source was read."""

from msgspec import Struct

from genomed.commands.context import Context
from genomed.commands.trace_places import places_of
from genomed.entities.trace import TraceKind
from genomed.entities.trace_progress import ReadThrough
from genomed.entities.types import Role

NAME = "genome/trace-source-list"
SUMMARY = "List the kinds of trace sources and those that are configured."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    pass


class SourceView(Struct, frozen=True, kw_only=True, rename="camel"):
    """missing: why it cannot be read here, with the remedy. imports: how far, per persona and domain.

    key: the reference of its key, never the key.
    """

    name: str
    kind: str
    url: str | None
    path: str | None
    project: str | None
    key: str | None
    persona_id: str | None
    domain: str | None
    base_model: str | None
    missing: str | None
    remedy: str | None
    imports: tuple[ReadThrough, ...]


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    kinds: tuple[TraceKind, ...]
    sources: tuple[SourceView, ...]


async def run(_params: Params, context: Context) -> Result:
    kinds = context.traces.kinds()
    known = {one.kind: one for one in kinds}
    sources = [await _view(name, known, context) for name in context.traces.names()]
    return Result(kinds=kinds, sources=tuple(sources))


async def _view(name: str, kinds: dict[str, TraceKind], context: Context) -> SourceView:
    settings = context.traces.settings(name)
    kind = kinds.get(settings.kind)
    progress = (await places_of(name, context)).progress
    return SourceView(
        name=name,
        kind=settings.kind,
        url=settings.url,
        path=settings.path,
        project=settings.project if settings.url is not None else None,
        key=settings.api_key,
        persona_id=settings.persona_id,
        domain=settings.domain,
        base_model=settings.base_model,
        missing=None if kind is None else kind.missing,
        remedy=None if kind is None else kind.remedy,
        imports=() if progress is None else progress.readers,
    )
