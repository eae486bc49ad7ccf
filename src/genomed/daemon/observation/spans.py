"""Spans: what OpenTelemetry is told of a command, and, hours later, of the job that it caused. Nothing by default.

The name of the command's span (W3C `traceparent`) is kept in the log, as correlation_id of the events it led to, so
that spans of the job link back to it in any later run of the daemon. Knows no SDK: `spans_otel` does, which is imported
only where an endpoint is configured.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import anyio.to_thread
from msgspec import Struct
from msgspec.structs import replace

from genomed.commands.context import Caller
from genomed.entities.envelope import Envelope
from genomed.entities.types import JobStatus

log = logging.getLogger(__name__)

ENDPOINT_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"

MOST_LINKS = 8
"""Of one span: the command that created the job, and those that paused, resumed or cancelled it first."""

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""Version, trace, parent, flags, as https://www.w3.org/TR/trace-context/#traceparent-header says."""

Attributes = Mapping[str, str | int | float | bool]


class Said(Struct):
    """What whoever works inside a span adds to it. traceparent: of the span, to be kept; null where there is none."""

    traceparent: str | None = None
    outcome: str | None = None


class JobEnd(Struct, frozen=True, kw_only=True):
    """A job from its creation to its end, as the log tells it."""

    job_id: str
    persona: str
    provider: str
    status: JobStatus
    attempts: int
    created_us: int
    finished_us: int


class Spans(Protocol):
    """Nothing here raises or waits, whatever becomes of the collector."""

    @property
    def on(self) -> bool:
        """False: what would be gathered for a span need not be."""
        ...

    def command(self, name: str, actor: str, given: str | None) -> AbstractContextManager[Said]:
        """given: the traceparent that the caller sent, the parent of this span."""
        ...

    def step(self, name: str, links: Sequence[str], attributes: Attributes) -> AbstractContextManager[Said]:
        """A span of its own trace, which links to those that caused it. An exception within is noted by its type."""
        ...

    def job_ended(self, end: JobEnd, links: Sequence[str]) -> None: ...

    async def close(self) -> None:
        """What waits is sent, within a bound."""
        ...


class NoSpans:
    """Tells nobody; a caller's traceparent is kept all the same."""

    on = False

    def command(self, name: str, actor: str, given: str | None) -> AbstractContextManager[Said]:  # noqa: ARG002
        return nullcontext(Said(traceparent=given))

    def step(self, name: str, links: Sequence[str], attributes: Attributes) -> AbstractContextManager[Said]:  # noqa: ARG002
        return nullcontext(Said())

    def job_ended(self, end: JobEnd, links: Sequence[str]) -> None: ...

    async def close(self) -> None: ...


NO_SPANS = NoSpans()


def traceparent_of(text: str | None) -> str | None:
    """The text if it is one; anything else is as if nothing had been given (trace-context, 3.2.2.5)."""
    return text if text is not None and _TRACEPARENT.fullmatch(text) else None


def traced(caller: Caller, text: object) -> Caller:
    """The caller, with what the request says of the span it is part of."""
    given = traceparent_of(text) if isinstance(text, str) else None
    return caller if given is None else replace(caller, traceparent=given)


def links_in(envelopes: Sequence[Envelope]) -> list[str]:
    """The spans of the commands that wrote to a stream, each once, oldest first."""
    found = dict.fromkeys(traceparent_of(one.correlation_id) for one in envelopes)
    return [one for one in found if one is not None][:MOST_LINKS]


async def spans_for(endpoint: str | None, environment: Mapping[str, str]) -> Spans:
    """Those that the configuration, or else OpenTelemetry's own variable, asks for.

    Where the extra is not installed a warning says so, and the daemon works without.
    """
    chosen = endpoint or environment.get(ENDPOINT_VARIABLE)
    if not chosen:
        return NoSpans()
    try:
        return await anyio.to_thread.run_sync(_exporting, chosen)
    except ImportError as error:
        log.warning("no spans: OpenTelemetry is not installed remedy=%r error=%s", "pip install 'genomed[otel]'", error)
        return NoSpans()


def _exporting(endpoint: str) -> Spans:
    from genomed.daemon.observation.spans_otel import OtelSpans  # noqa: PLC0415  (the SDK loads only for those who export)

    return OtelSpans.to(endpoint)
