"""OpenTelemetry's own export as JSON: ExportTraceServiceRequest, one per line or one per file.

Source: opentelemetry-proto 1.x, JSON encoding (ids in hex, 64-bit numbers as texts, enums as numbers). Both namings of
its fields are read. OTLP knows no judgements.
"""

from base64 import b64decode
from collections.abc import Iterator, Mapping

from genomed.adapters.traces.file_source import Unreadable
from genomed.adapters.traces.times import us_of
from genomed.curation.span_attributes import number
from genomed.curation.span_reading import Recorded, span_of
from genomed.entities.json_value import JsonObject
from genomed.entities.trace import Span

TRACE_ID_BYTES, SPAN_ID_BYTES = 16, 8
_FAILED = (2, "2", "STATUS_CODE_ERROR")


class OtlpFormat:
    """Fulfils TraceFormat."""

    notes = False
    remembers = False

    def note(self, _found: JsonObject, /) -> None:
        return

    def file_ended(self) -> Iterator[Span | Unreadable]:
        return iter(())

    def rest(self) -> Iterator[Span | Unreadable]:
        return iter(())

    def spans(self, found: JsonObject) -> Iterator[Span | Unreadable]:
        resources = _field(found, "resourceSpans", "resource_spans")
        if not isinstance(resources, list):
            yield Unreadable("no_otlp")
            return
        for resource in resources:
            for scope in _listed(resource, "scopeSpans", "scope_spans"):
                for span in _listed(scope, "spans"):
                    try:
                        yield _span(span)
                    except RecursionError:
                        yield Unreadable("too_deep")


def _span(told: object) -> Span | Unreadable:
    trace_id, span_id = _field(told, "traceId", "trace_id"), _field(told, "spanId", "span_id")
    if not (isinstance(trace_id, str) and isinstance(span_id, str) and trace_id and span_id):
        return Unreadable("no_id")
    status = _field(told, "status")
    recorded = Recorded(
        trace_id=_in_hex(trace_id, TRACE_ID_BYTES),
        span_id=_in_hex(span_id, SPAN_ID_BYTES),
        name=str(_field(told, "name") or ""),
        kind=None,
        attributes=_attributes(told),
        started_us=us_of(_field(told, "startTimeUnixNano", "start_time_unix_nano")),
        ended_us=us_of(_field(told, "endTimeUnixNano", "end_time_unix_nano")),
        failed=_field(status, "code") in _FAILED,
        events=tuple((str(_field(one, "name") or ""), _attributes(one)) for one in _listed(told, "events")),
    )
    return span_of(recorded)


def _in_hex(told: str, size: int) -> str:
    """Plain encoders of protocol buffers write ids in base64: the same id, and so the same span."""
    if len(told) == 2 * size:
        return told.lower()
    try:
        raw = b64decode(told, validate=True)
    except ValueError:
        return told
    return raw.hex() if len(raw) == size else told


def _field(node: object, *names: str) -> object:
    """The first that says something: some encoders write every field, with null in those that are not meant."""
    if not isinstance(node, dict):
        return None
    return next((node[name] for name in names if node.get(name) is not None), None)


def _listed(node: object, *names: str) -> list[object]:
    found = _field(node, *names)
    return found if isinstance(found, list) else []


def _attributes(node: object) -> Mapping[str, object]:
    return {str(_field(one, "key")): _value(_field(one, "value")) for one in _listed(node, "attributes")}


def _value(told: object) -> object:
    """An AnyValue: an object with one of seven fields."""
    if not isinstance(told, dict):
        return told
    if (listed := _field(told, "arrayValue", "array_value")) is not None:
        return [_value(one) for one in _listed(listed, "values")]
    if (pairs := _field(told, "kvlistValue", "kvlist_value")) is not None:
        return {str(_field(one, "key")): _value(_field(one, "value")) for one in _listed(pairs, "values")}
    whole = _field(told, "intValue", "int_value")
    if whole is not None:
        counted = number(whole)
        return None if counted is None else int(counted)
    return _field(told, "stringValue", "string_value", "doubleValue", "double_value", "boolValue", "bool_value")
