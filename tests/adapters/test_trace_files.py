"""Formats of trace files: whatever stands in an export, reading it ends, and says how many it could not read."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.adapters.traces import FORMATS
from genomed.adapters.traces.file_source import FileSource, Unreadable
from genomed.adapters.traces.otlp import OtlpFormat
from genomed.adapters.traces.times import us_of
from genomed.entities.errors import InvalidRequest, NotFound
from genomed.entities.trace import Span, Window

pytestmark = pytest.mark.anyio

WORDS = [
    "id",
    "traceId",
    "trace_id",
    "spanId",
    "span_id",
    "context",
    "context.span_id",
    "context.trace_id",
    "type",
    "input",
    "output",
    "messages",
    "role",
    "content",
    "session_id",
    "time",
    "data",
    "trace",
    "observations",
    "scores",
    "value",
    "dataType",
    "observationId",
    "attributes",
    "annotator_kind",
    "metadata",
    "resourceSpans",
    "scopeSpans",
    "spans",
    "key",
    "stringValue",
    "arrayValue",
    "values",
    "events",
    "name",
    "result.score",
    "document_position",
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["user", "assistant", "x", "{", "[]"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5),
    max_leaves=20,
)


@pytest.mark.parametrize("kind", FORMATS)
@given(objects=st.lists(st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=6), max_size=4))
def test_no_object_ever_breaks_a_format(kind: str, objects: list[dict[str, Any]]) -> None:
    form = FORMATS[kind][0]()
    for one in objects:
        form.note(one)
    told = [span for one in objects for span in form.spans(one)]
    told += form.file_ended()
    told += form.rest()
    assert all(isinstance(one, Span | Unreadable) for one in told)


def told_of(kind: str, *objects: dict[str, Any]) -> list[Span | Unreadable]:
    form = FORMATS[kind][0]()
    for one in objects:
        form.note(one)
    return [*(span for one in objects for span in form.spans(one)), *form.file_ended(), *form.rest()]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("levels", [500, 900])
def test_what_nests_without_end_stops_nothing(kind: str, levels: int) -> None:
    deep: Any = "x"
    value: Any = {"stringValue": "x"}
    for _ in range(levels // 2):
        deep = {"a": [deep]}
        value = {"arrayValue": {"values": [value]}}
    attribute = {"key": "input.value", "value": value}
    spans = [{"traceId": "t", "spanId": own, "attributes": [attribute] * (own == "s")} for own in "sr"]
    objects = [
        {"context": {"trace_id": "t", "span_id": "s"}, "attributes": {"input.value": "q", "output.value": deep}},
        {"id": "o", "traceId": "t", "type": "GENERATION", "input": deep, "output": "x"},
        {"messages": [{"role": "user", "content": deep}, {"role": "assistant", "content": "x"}]},
        {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]},
    ]
    assert all(isinstance(one, Span | Unreadable) for one in told_of(kind, *objects))
    if kind == "otlp":
        assert len(told_of(kind, objects[-1])) == 2


def test_one_otlp_id_is_the_same_in_hex_and_in_base64() -> None:
    def ids(trace_id: str, span_id: str) -> tuple[str, str]:
        [span] = told_of(
            "otlp", {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": trace_id, "spanId": span_id}]}]}]}
        )
        assert isinstance(span, Span)
        return span.trace_id, span.span_id

    known = ("65a9df1d227989e2b50839ded50bd217", "f3d82c73861b01b6")
    encoded = tuple(b64encode(bytes.fromhex(one)).decode() for one in known)
    assert ids(*known) == ids(known[0].upper(), known[1]) == ids(encoded[0], encoded[1]) == known
    assert ids("own-1", "own-2") == ("own-1", "own-2")


def test_otlp_values_are_read_where_every_other_kind_is_null() -> None:
    nothing = dict.fromkeys(("stringValue", "intValue", "doubleValue", "boolValue", "arrayValue", "kvlistValue"))
    told = {"input.value": {"string_value": "q", **nothing}, "output.value": nothing | {"doubleValue": 4.5}}
    attributes = [{"key": key, "value": value} for key, value in told.items()]
    span = {"traceId": "t", "spanId": "s", "attributes": attributes, "status": {"code": 2, "message": None}}
    [found] = told_of("otlp", {"resourceSpans": None, "resource_spans": [{"scopeSpans": [{"spans": [span]}]}]})
    assert isinstance(found, Span)
    assert ([one.content for one in found.input], found.output, found.failed) == (["q"], "4.5", True)


@pytest.mark.parametrize(
    ("written", "us"),
    [
        ("2026-11-20T08:00:00Z", 1795161600000000),
        ("2026-11-20 08:00:00.000000", 1795161600000000),
        ("2026-11-20T09:00:00+01:00", 1795161600000000),
        ("1795161600000000000", 1795161600000000),
        (1795161600000000, 1795161600000000),
        (1795161600000, 1795161600000000),
        (1795161600.5, 1795161600500000),
        ("soon", None),
        (True, None),
        (0, None),
        (None, None),
    ],
)
def test_times_are_read_in_every_size(written: object, us: int | None) -> None:
    assert us_of(written) == us


async def test_a_folder_is_its_files_and_judgements_may_stand_in_another(tmp_path: Path) -> None:
    span = {"context": {"trace_id": "t", "span_id": "s"}, "attributes": {"input.value": "q", "output.value": "a"}}
    (tmp_path / "spans.json").write_text(json.dumps({"data": [span], "next_cursor": None}), encoding="utf-8")
    note = {"span_id": "s", "name": "quality", "annotator_kind": "HUMAN", "result": {"score": 1}, "id": "a"}
    (tmp_path / "annotations.jsonl").write_text(json.dumps(note), encoding="utf-8")
    (tmp_path / "readme.txt").write_text("no", encoding="utf-8")
    page = await FileSource(str(tmp_path), FORMATS["phoenix_export"][0]).page(after=None, limit=9, window=Window())
    assert [(one.output, one.annotations[0].score) for one in page.spans] == [("a", 1.0)]


async def test_what_is_no_export_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidRequest):
        await FileSource(str(tmp_path / "empty"), OtlpFormat).page(after=None, limit=1, window=Window())
    with pytest.raises(NotFound):
        await FileSource(str(tmp_path / "none.json"), OtlpFormat).page(after=None, limit=1, window=Window())
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n', encoding="utf-8")
    with pytest.raises(InvalidRequest):
        await FileSource(str(tmp_path / "x.jsonl"), OtlpFormat).page(after="here", limit=1, window=Window())
    page = await FileSource(str(tmp_path / "x.jsonl"), OtlpFormat).page(after=None, limit=1, window=Window())
    assert page.skipped == {"no_otlp": 1}
