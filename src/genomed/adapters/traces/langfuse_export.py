"""Langfuse's exports: traces, observations and scores as JSON, JSON Lines or CSV, from its tables, API or blob storage.

Source: Langfuse's documentation as of Nov 2026 (API reference, blob storage field reference, single trace download);
no Langfuse server was asked. Fields are read in both of its namings (`traceId`, `trace_id`).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from re import sub

from genomed.adapters.traces.file_source import Unreadable
from genomed.adapters.traces.times import us_of
from genomed.curation.span_attributes import as_text, decoded, items, number, text_at
from genomed.curation.span_messages import messages_of
from genomed.curation.span_reading import Recorded, span_of
from genomed.entities.json_value import JsonObject
from genomed.entities.trace import Annotation, Span

KINDS = {"GENERATION": "LLM", "SPAN": "CHAIN", "EVENT": "EVENT", "DEFAULT": "CHAIN"}
"""The types of observations that OpenInference calls otherwise."""

Record = Mapping[str, object]


class LangfuseFormat:
    """Fulfils TraceFormat. Keeps scores and the ids of traces in memory, and no text of a span."""

    notes = True
    remembers = False

    def __init__(self) -> None:
        self._scores: dict[tuple[str, str], dict[str, Annotation]] = defaultdict(dict)
        self._observed: set[str] = set()
        self._traces: dict[str, tuple[str | None, str | None]] = {}

    def note(self, found: JsonObject, /) -> None:
        for record in _records(found):
            if _is_score(record):
                self._note_score(record)
            elif _is_observation(record):
                self._observed.add(text_at(record, "trace_id") or "")
            elif (own := text_at(record, "id")) is not None:
                self._traces[own] = (text_at(record, "session_id"), text_at(record, "user_id"))

    def _note_score(self, record: Record) -> None:
        score = _annotation(record)
        for target in ("observation_id", "trace_id", "session_id"):
            if (own := text_at(record, target)) is not None:
                self._scores[target, own][score.id] = score
                return

    def spans(self, found: JsonObject) -> Iterator[Span | Unreadable]:
        for record in _records(found):
            if not _is_score(record):
                yield self._span(record, observation=_is_observation(record))

    def file_ended(self) -> Iterator[Span | Unreadable]:
        return iter(())

    def rest(self) -> Iterator[Span | Unreadable]:
        return iter(())

    def _span(self, record: Record, *, observation: bool) -> Span | Unreadable:
        own = text_at(record, "id")
        trace_id = text_at(record, "trace_id") if observation else own
        if own is None or trace_id is None:
            return Unreadable("no_id")
        session_id, user_id = self._traces.get(trace_id, (None, None))
        session_id = text_at(record, "session_id") or session_id
        told = (text_at(record, "type") or "").upper()
        kind = KINDS.get(told, told) if observation else "CHAIN" if trace_id in self._observed else None
        attributes = _attributes(record)
        attributes |= {"session.id": session_id, "user.id": text_at(record, "user_id") or user_id}
        recorded = Recorded(
            trace_id=trace_id,
            span_id=own,
            name=text_at(record, "name") or text_at(record, "trace_name") or "",
            kind=kind,
            attributes=attributes,
            started_us=us_of(record.get("start_time")) or us_of(record.get("timestamp")),
            ended_us=us_of(record.get("end_time")),
            failed=text_at(record, "level") == "ERROR",
        )
        return span_of(recorded, self._judgements(record, own, trace_id, session_id, observation=observation))

    def _judgements(
        self, record: Record, own: str, trace_id: str, session_id: str | None, *, observation: bool
    ) -> tuple[Annotation, ...]:
        """A trace's own scores are the trace's; where it is not in the export, those of its outermost observation."""
        found = list(self._scores["observation_id", own].values()) if observation else []
        outermost = observation and not record.get("parent_observation_id") and trace_id not in self._traces
        if not observation or outermost:
            found += self._scores["trace_id", trace_id].values()
        if session_id is not None:
            found += self._scores["session_id", session_id].values()
        return tuple(found)


def _records(found: JsonObject) -> Iterator[Record]:
    """A trace with its observations and scores, an answer of the API with many under `data`, or one record."""
    record = _named(found)
    listed = items(decoded(record.get("data")))
    if listed and "id" not in record:
        for one in listed:
            if isinstance(one, dict):
                yield from _records(one)
        return
    whole = record.get("trace")
    inner = _named(whole) if isinstance(whole, dict) else record
    yield {name: value for name, value in inner.items() if name not in ("observations", "scores")}
    for holder in (record, inner) if inner is not record else (record,):
        for name in ("observations", "scores"):
            for one in items(decoded(holder.get(name))):
                if isinstance(one, dict):
                    yield {"trace_id": inner.get("id"), **_named(one)}


def _named(record: Mapping[str, object]) -> dict[str, object]:
    """Its fields in small letters with underscores."""
    return {sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(name)).lower(): value for name, value in record.items()}


def _is_score(record: Record) -> bool:
    valued = "value" in record or "string_value" in record
    return valued and ("data_type" in record or "observation_id" in record or "source" in record)


def _is_observation(record: Record) -> bool:
    return "type" in record and text_at(record, "trace_id") is not None


def _attributes(record: Record) -> dict[str, object]:
    """Turns are told as such; anything else goes by the plain names."""
    asked, answered = decoded(record.get("input")), decoded(record.get("output"))
    attributes: dict[str, object] = {"input.value": asked, "output.value": answered}
    turns = items(asked) or (items(asked.get("messages")) if isinstance(asked, dict) else [])
    if messages_of(turns):
        attributes["llm.input_messages"] = turns
    answers = _called(record, [answered] if isinstance(answered, dict) else items(answered), answered)
    if messages_of(answers):
        attributes["llm.output_messages"] = answers
    tools = items(asked.get("tools")) if isinstance(asked, dict) else []
    if tools := tools or _tools(record):
        attributes["llm.tools"] = tools
    model = text_at(record, "provided_model_name") or text_at(record, "model")
    return attributes | ({"llm.model_name": model} if model is not None else {})


def _called(record: Record, answers: list[object], answered: object) -> list[object]:
    """The answering turns. Calls may stand in a column of their own, and there may be no answer beside them."""
    calls = [decoded(one) for one in items(decoded(record.get("tool_calls")))]
    turns = messages_of(answers)
    if not calls or any(turn.tool_calls for turn in turns):
        return answers
    said = turns[-1].content if turns else as_text(answered)
    return [{"role": "assistant", "content": said, "tool_calls": calls}]


def _tools(record: Record) -> list[object]:
    """A column of names and what each is described as."""
    told = decoded(record.get("tool_definitions"))
    found: list[object] = []
    for name, written in told.items() if isinstance(told, dict) else ():
        one = decoded(written)
        described = one if isinstance(one, dict) else {}
        found.append({"type": "function", "function": {"name": name, **described}})
    return found


def _annotation(record: Record) -> Annotation:
    kind = (text_at(record, "data_type") or "").upper()
    value, words = record.get("value"), as_text(record.get("string_value"))
    told = words if words is not None else value if isinstance(value, str) and number(value) is None else None
    said = as_text(told)
    spoken, comment = kind in ("CATEGORICAL", "BOOLEAN"), text_at(record, "comment")
    truth = number(value)
    if kind == "BOOLEAN" and said is None and truth is not None:
        said = "true" if truth else "false"
    return Annotation(
        id=text_at(record, "id") or "-".join(text_at(record, name) or "" for name in ("trace_id", "name", "timestamp")),
        name=text_at(record, "name") or "score",
        label=said if spoken or (kind == "" and truth is None) else None,
        score=truth if kind in ("NUMERIC", "") else None,
        explanation=comment or (said if kind == "TEXT" else None),
        edit=said if kind == "CORRECTION" else None,
        annotator=(text_at(record, "source") or "").lower() or None,
        whole_session=text_at(record, "session_id") is not None
        and text_at(record, "trace_id") is None
        and text_at(record, "observation_id") is None,
        judged_us=us_of(record.get("updated_at")) or us_of(record.get("timestamp")),
    )
