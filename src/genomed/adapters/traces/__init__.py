"""Trace systems that we read: one module per system behind entities.trace.TraceSource, and the list of their kinds."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version

from genomed.adapters.traces.chat_log import ChatLogFormat
from genomed.adapters.traces.file_source import FileSource, TraceFormat
from genomed.adapters.traces.langfuse_export import LangfuseFormat
from genomed.adapters.traces.otlp import OtlpFormat
from genomed.adapters.traces.phoenix_records import PhoenixFormat
from genomed.adapters.traces.phoenix_server import PACKAGE, PhoenixServer
from genomed.entities.errors import InvalidRequest, Problem, Unsupported
from genomed.entities.ports import Secrets
from genomed.entities.trace import TraceKind, TraceSettings, TraceSource

PHOENIX, PHOENIX_EXPORT, CHAT_LOG = "phoenix", "phoenix_export", "chat_log"
FORMATS: Mapping[str, tuple[Callable[[], TraceFormat], str]] = {
    "otlp": (OtlpFormat, "OpenTelemetry spans as OTLP JSON, with GenAI or OpenInference attributes"),
    PHOENIX_EXPORT: (PhoenixFormat, "spans and annotations that Arize Phoenix exported, as JSON or JSON Lines"),
    "langfuse_export": (
        LangfuseFormat,
        "traces, observations and scores that Langfuse exported: JSON, JSON Lines, CSV",
    ),
    CHAT_LOG: (ChatLogFormat, "conversations, or one message per line; without a session, one conversation per file"),
}
"""Kinds that read a file or a folder."""

REMEDY = "pip install 'genomed[phoenix]'"


def kinds() -> tuple[TraceKind, ...]:
    missing = None if _phoenix_client() else "arize-phoenix-client is not installed where the daemon runs"
    live = TraceKind(
        kind=PHOENIX,
        summary="a live Arize Phoenix server, spans and annotations",
        file=False,
        missing=missing,
        remedy=None if missing is None else REMEDY,
    )
    files = (TraceKind(kind=kind, summary=summary, file=True) for kind, (_, summary) in FORMATS.items())
    return (live, *files)


def opened(settings: TraceSettings, secrets: Secrets) -> TraceSource:
    """Raises Unsupported where a package is missing, InvalidRequest for a kind that does not exist."""
    if settings.kind == PHOENIX:
        if not _phoenix_client():
            raise Unsupported("arize-phoenix-client is not installed where the daemon runs", remedy=REMEDY)
        return PhoenixServer(settings, secrets)
    if settings.kind not in FORMATS or settings.path is None:
        told = f"{settings.kind!r} is none of {', '.join((PHOENIX, *FORMATS))}, or it has no path"
        raise InvalidRequest.of([Problem(field="kind", message=told)])
    if settings.kind == PHOENIX_EXPORT and settings.path.lower().endswith(".csv"):
        told = "a data frame of Phoenix as CSV is not read: it names columns twice, and nests Python's own writing"
        remedy = 'export it with to_json(path, orient="records", lines=True)'
        raise InvalidRequest.of([Problem(field="path", message=told, remedy=remedy)])
    if settings.kind == CHAT_LOG:
        return FileSource(settings.path, partial(ChatLogFormat, settings.persona_id))
    return FileSource(settings.path, FORMATS[settings.kind][0])


def _phoenix_client() -> bool:
    return _installed(PACKAGE)


@cache
def _installed(distribution: str) -> bool:
    """Looked up among what is installed: to look for the module would load the package above it."""
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True
