"""Spans and annotations as Arize Phoenix writes them: its REST API, its client, and data frames as records.

Source: arize-phoenix 20.26 and its client 3.5, run. Knows no server and no file; `PhoenixFormat` reads an export: spans
and annotations in any order, in one file or in a folder.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256

from msgspec.structs import replace

from genomed.adapters.traces.file_source import Unreadable
from genomed.adapters.traces.times import us_of
from genomed.curation.span_attributes import Tree, at, decoded, items, number, text_at, tree_of
from genomed.curation.span_reading import RESULT_IDS, Recorded, span_of
from genomed.curation.spans import CLICK, RELEVANCE, edit_in
from genomed.entities.json_value import JsonObject
from genomed.entities.trace import Annotation, Span

MACHINE_JUDGES = frozenset({"LLM"})
"""What a judging model writes beside its verdict is its reasoning, never a person's better answer."""


class PhoenixFormat:
    """Fulfils TraceFormat. Keeps the annotations of the whole export in memory, and no span."""

    notes = True
    remembers = False

    def __init__(self) -> None:
        self._annotations: dict[str, list[Mapping[str, object]]] = defaultdict(list)

    def note(self, found: JsonObject, /) -> None:
        for record in _records(found):
            if is_annotation(record):
                self._annotations[text_at(record, "span_id") or ""].append(record)

    def spans(self, found: JsonObject) -> Iterator[Span | Unreadable]:
        for record in _records(found):
            if not is_annotation(record):
                yield phoenix_span(record, self._annotations.get(_span_id(record) or "", ()))

    def file_ended(self) -> Iterator[Span | Unreadable]:
        return iter(())

    def rest(self) -> Iterator[Span | Unreadable]:
        return iter(())


def _records(found: JsonObject) -> list[Tree]:
    """An answer of the REST API holds many under `data`."""
    listed = found.get("data")
    inner = listed if isinstance(listed, list) else [found]
    return [tree_of(one) for one in inner if isinstance(one, dict)]


def is_annotation(record: Mapping[str, object]) -> bool:
    judges = "annotator_kind" in record or "annotation_name" in record
    return judges and "span_id" in record and "context" not in record


def _span_id(record: Tree) -> str | None:
    return text_at(record, "context.span_id") or text_at(record, "span_id")


def phoenix_span(found: Mapping[str, object], annotations: Sequence[Mapping[str, object]] = ()) -> Span | Unreadable:
    """found: a span of the REST API or a data frame's record. annotations: those of this span, as they came."""
    record = tree_of(found)
    trace_id = text_at(record, "context.trace_id") or text_at(record, "trace_id")
    span_id = _span_id(record)
    if trace_id is None or span_id is None:
        return Unreadable("no_id")
    told = decoded(record.get("attributes"))
    attributes = told if isinstance(told, dict) else {}
    recorded = Recorded(
        trace_id=trace_id,
        span_id=span_id,
        name=text_at(record, "name") or "",
        kind=text_at(record, "span_kind"),
        attributes=attributes,
        started_us=us_of(record.get("start_time")),
        ended_us=us_of(record.get("end_time")),
        failed=text_at(record, "status_code") == "ERROR",
        events=tuple(_event(one) for one in items(decoded(record.get("events")))),
    )
    span = span_of(recorded)
    shown = tuple(one.id for one in span.results)
    return replace(span, annotations=tuple(phoenix_annotation(one, shown) for one in annotations))


def _event(told: object) -> tuple[str, Mapping[str, object]]:
    attributes = at(told, "attributes")
    return text_at(told, "name") or "", attributes if isinstance(attributes, dict) else {}


def phoenix_annotation(found: Mapping[str, object], shown: tuple[str, ...]) -> Annotation:
    """shown: ids of the span's search results in their order, for judgements of a document by its place."""
    record = tree_of(found)
    name = text_at(record, "name") or text_at(record, "annotation_name") or "annotation"
    told = decoded(record.get("metadata"))
    metadata = told if isinstance(told, dict) else {}
    kind = text_at(record, "annotator_kind")
    return Annotation(
        id=text_at(record, "id") or _derived(record, name),
        name=name,
        label=text_at(record, "result.label"),
        score=number(at(record, "result.score")),
        explanation=text_at(record, "result.explanation"),
        edit=None if kind in MACHINE_JUDGES else edit_in(metadata),
        result_id=_result_id(record, metadata, name, shown),
        annotator=None if kind is None else kind.lower(),
        judged_us=us_of(record.get("updated_at")) or us_of(record.get("created_at")),
    )


def session_annotation(found: Mapping[str, object]) -> Annotation:
    """An annotation that Phoenix keeps beside the session itself."""
    return replace(phoenix_annotation(found, ()), whole_session=True, edit=None, result_id=None)


def _derived(record: Tree, name: str) -> str:
    """An export without ids: Phoenix itself keeps one annotation per span, name and identifier."""
    told = (_span_id(record), name, text_at(record, "identifier"), text_at(record, "document_position"))
    return sha256("\0".join(part or "" for part in told).encode("utf-8", "surrogatepass")).hexdigest()


def _result_id(record: Tree, metadata: Tree, name: str, shown: tuple[str, ...]) -> str | None:
    place = number(record.get("document_position"))
    if place is not None:
        return shown[int(place)] if 0 <= place < len(shown) else f"#{int(place)}"
    if name not in (CLICK, RELEVANCE):
        return None
    told = next((found for key in ("result_id", *RESULT_IDS) if (found := text_at(metadata, key))), None)
    return told or text_at(record, "identifier")
