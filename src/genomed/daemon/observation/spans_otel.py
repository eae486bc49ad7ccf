"""Spans by OpenTelemetry's SDK, sent in batches over OTLP/HTTP by a thread of the SDK's own (the extra `otel`).

A collector that is away or hangs costs the spans beyond a bounded queue, and nothing else. Knows no command and no job.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Thread

import anyio
import anyio.to_thread
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from genomed import __version__
from genomed.daemon.observation.logs import bound
from genomed.daemon.observation.spans import Attributes, JobEnd, Said
from genomed.entities.errors import ErrorKind
from genomed.entities.types import JobStatus

PATH = "/v1/traces"
"""Below the base address, as the OTLP exporter's specification says for OTEL_EXPORTER_OTLP_ENDPOINT."""

EXPORT_S = 5.0
CLOSE_S = 2.0
"""How long one export, and the last one when the daemon stops, may take."""

NS_PER_US = 1000


class OtelSpans:
    on = True

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("genomed", __version__)

    @classmethod
    def to(cls, endpoint: str) -> "OtelSpans":
        exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + PATH, timeout=EXPORT_S)
        resource = Resource.create({"service.name": "genomed", "service.version": __version__})
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)  # an exit must not wait for a collector
        provider.add_span_processor(BatchSpanProcessor(exporter))
        return cls(provider)

    @contextmanager
    def command(self, name: str, actor: str, given: str | None) -> Iterator[Said]:
        parent = None if given is None else set_span_in_context(NonRecordingSpan(_context(given)), Context())
        attributes: Attributes = {"genomed.command": name, "genomed.actor": actor}
        span = self._tracer.start_span(name, context=parent or Context(), kind=SpanKind.SERVER, attributes=attributes)
        said = Said(traceparent=_traceparent(span.get_span_context()))
        with _ended(span, said), bound(trace=_trace(span)):
            yield said

    @contextmanager
    def step(self, name: str, links: Sequence[str], attributes: Attributes) -> Iterator[Said]:
        span = self._tracer.start_span(
            name, context=Context(), kind=SpanKind.CONSUMER, attributes=attributes, links=_links(links)
        )
        said = Said(traceparent=_traceparent(span.get_span_context()))
        with _ended(span, said), bound(trace=_trace(span)):
            yield said

    def job_ended(self, end: JobEnd, links: Sequence[str]) -> None:
        attributes: Attributes = {
            "genomed.job": end.job_id,
            "genomed.persona": end.persona,
            "genomed.provider": end.provider,
            "genomed.status": end.status.value,
            "genomed.attempts": end.attempts,
        }
        span = self._tracer.start_span(
            "job",
            context=Context(),
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=_links(links),
            start_time=end.created_us * NS_PER_US,
        )
        if end.status is JobStatus.FAILED:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end_time=max(end.created_us, end.finished_us) * NS_PER_US)

    async def close(self) -> None:
        """The SDK would wait for half a minute; its threads end with the process."""
        ending = Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        ending.start()
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(ending.join, CLOSE_S)


@contextmanager
def _ended(span: Span, said: Said) -> Iterator[None]:
    """Its end, whatever happens within. Of an exception only the type is told: its text may be somebody's."""
    try:
        yield
    except BaseException as error:
        said.outcome = said.outcome or type(error).__name__
        span.set_status(Status(StatusCode.ERROR))
        raise
    finally:
        if said.outcome is not None:
            span.set_attribute("genomed.outcome", said.outcome)
        if said.outcome == ErrorKind.INTERNAL.value:
            span.set_status(Status(StatusCode.ERROR))
        span.end()


def _links(traceparents: Sequence[str]) -> list[Link]:
    return [Link(_context(one)) for one in traceparents]


def _context(traceparent: str) -> SpanContext:
    _, trace, span, flags = traceparent.split("-")
    return SpanContext(int(trace, 16), int(span, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))


def _traceparent(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _trace(span: Span) -> str:
    return f"{span.get_span_context().trace_id:032x}"
