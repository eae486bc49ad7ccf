"""Spans of three conventions as interactions, and annotations as judgements that say one thing each."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.curation.conversion import convert
from genomed.curation.conversion.material import Material
from genomed.curation.conversion.options import Method, TripletsOptions
from genomed.curation.conversion.tally import Tally
from genomed.curation.span_reading import Recorded, span_of
from genomed.curation.spans import Drawn, Given, Unusable, drawn, edit_in, judged
from genomed.entities.experience_events import FeedbackGiven
from genomed.entities.facts import BucketKey
from genomed.entities.interaction import Interaction, evolve
from genomed.entities.rows import TripletRow
from genomed.entities.trace import Annotation, Span
from genomed.entities.types import FeedbackKind

BUCKET = BucketKey(persona_id="ada", domain="sums", base_model="tiny")


def recorded(attributes: dict[str, Any], *, kind: str | None = None, name: str = "step", **more: Any) -> Recorded:
    return Recorded(trace_id="t1", span_id="s1", name=name, kind=kind, attributes=attributes, **more)


def read(attributes: dict[str, Any], **more: Any) -> Span:
    return span_of(recorded(attributes, **more))


def taken(span: Span) -> Drawn:
    found = drawn(span, source="phoenix:main", bucket=BUCKET, salt="s")
    assert isinstance(found, Drawn), found
    return found


def judgement(span: Span, annotation: Annotation) -> FeedbackGiven:
    words = taken(span).words
    found = judged(annotation, source="phoenix:main", words=words, session_id=span.session_id, salt="s")
    assert isinstance(found, Given), found
    return found.event


def after(span: Span, *annotations: Annotation) -> Interaction:
    state = evolve(None, taken(span).captured, at_us=1)
    for one in annotations:
        state = evolve(state, judgement(span, one), at_us=2)
    return state


OPENINFERENCE: dict[str, Any] = {
    "openinference.span.kind": "LLM",
    "llm.model_name": "tiny",
    "llm.input_messages.0.message.role": "system",
    "llm.input_messages.0.message.content": "Be short.",
    "llm.input_messages.1.message.role": "user",
    "llm.input_messages.1.message.content": "2+2",
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": "4",
    "input.value": '{"messages": "raw"}',
    "output.value": "raw",
    "session.id": "chat-1",
    "user.id": "eve",
}


def test_an_openinference_span_gives_its_turns_its_answer_its_session_and_its_person() -> None:
    span = read(OPENINFERENCE)
    assert [(one.role, one.content) for one in span.input] == [("system", "Be short."), ("user", "2+2")]
    assert (span.output, span.kind, span.model) == ("4", "LLM", "tiny")
    captured = taken(span).captured
    assert (captured.session_id, captured.person_id) == ("chat-1", "eve")


def test_nested_attributes_say_the_same_as_flat_ones() -> None:
    turns = [
        {"message.role": "system", "message.content": "Be short."},
        {"message": {"role": "user", "content": "2+2"}},
    ]
    nested = {
        "llm": {"input_messages": turns, "output_messages": [{"message.role": "assistant", "message.content": "4"}]},
        "openinference": {"span": {"kind": "LLM"}},
        "session": {"id": "chat-1"},
    }
    assert (read(nested).input, read(nested).output) == (read(OPENINFERENCE).input, "4")


def test_tool_calls_keep_their_arguments_and_the_answering_turn() -> None:
    call = "llm.output_messages.0.message.tool_calls.0.tool_call"
    span = read(
        {
            "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.content": "weather in Bonn?",
            "llm.output_messages.0.message.role": "assistant",
            f"{call}.id": "c1",
            f"{call}.function.name": "weather",
            f"{call}.function.arguments": '{"city": "Bonn"}',
            "llm.tools.0.tool.json_schema": '{"type": "function", "function": {"name": "weather"}}',
        },
        kind="LLM",
    )
    assert span.output_message is not None
    assert span.output_message.tool_calls is not None
    [made] = span.output_message.tool_calls
    assert (made.id, made.function.name, made.function.arguments) == ("c1", "weather", '{"city": "Bonn"}')
    assert span.tools == ({"type": "function", "function": {"name": "weather"}},)
    assert taken(span).words.output_message == span.output_message


@pytest.mark.parametrize(
    "attributes",
    [
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.system_instructions": '[{"type": "text", "content": "Be short."}]',
            "gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "2+2"}]}]',
            "gen_ai.output.messages": '[{"role": "assistant", "parts": [{"type": "text", "content": "4"}]}]',
        },
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.prompt.0.role": "system",
            "gen_ai.prompt.0.content": "Be short.",
            "gen_ai.prompt.1.role": "user",
            "gen_ai.prompt.1.content": "2+2",
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.content": "4",
        },
    ],
    ids=["messages", "numbered"],
)
def test_both_generations_of_genai_attributes_are_read(attributes: dict[str, Any]) -> None:
    span = read(attributes)
    assert [(one.role, one.content) for one in span.input] == [("system", "Be short."), ("user", "2+2")]
    assert (span.output, span.kind) == ("4", "LLM")


def test_genai_events_are_read_where_the_span_has_no_turns() -> None:
    events = (
        ("gen_ai.user.message", {"content": "2+2"}),
        ("gen_ai.choice", {"index": 0, "message": '{"role": "assistant", "content": "4"}'}),
    )
    span = read({"gen_ai.operation.name": "chat"}, events=events)
    assert ([one.content for one in span.input], span.output) == (["2+2"], "4")


@pytest.mark.parametrize(
    ("attributes", "question", "answer"),
    [
        ({"input.query": "q", "input.text": "x", "output.response": "r", "output.result": "x"}, "q", "r"),
        ({"input.text": "t", "query": "x", "output.decision": {"route": "a"}}, "t", '{"route":"a"}'),
        ({"input.value": '{"query": "inner", "k": 3}', "output.value": '["a", "b"]'}, "inner", '["a","b"]'),
        ({"query": "q", "response": [1, 2]}, "q", "[1,2]"),
    ],
)
def test_plain_names_are_read_in_their_order(attributes: dict[str, Any], question: str, answer: str) -> None:
    span = read(attributes)
    assert ([one.content for one in span.input], span.output) == ([question], answer)


def test_a_label_wins_over_a_score_so_no_annotation_both_approves_and_rejects() -> None:
    state = after(read(OPENINFERENCE), Annotation(id="a1", name="quality", label="rejected", score=0.9))
    assert state.feedback[0].kind is FeedbackKind.CRITIQUE
    assert (state.quality, state.rejected, state.approved) == (0.0, True, False)
    state = after(read(OPENINFERENCE), Annotation(id="a1", name="quality", label="Approved", score=0.1))
    assert (state.quality, state.approved) == (1.0, True)


@pytest.mark.parametrize(("score", "approved"), [(0.5, True), (0.49, False), (1.0, True), (0.0, False)])
def test_without_a_label_half_a_point_approves(score: float, approved: bool) -> None:
    state = after(read(OPENINFERENCE), Annotation(id="a1", name="quality", score=score))
    assert (state.approved, state.rejected) == (approved, not approved)


def test_a_score_on_another_scale_is_kept_and_judges_nothing() -> None:
    state = after(read(OPENINFERENCE), Annotation(id="a1", name="stars", score=4))
    assert (state.quality, state.feedback[0].value, state.feedback[0].metric) == (None, 4.0, "stars")


def test_a_persons_edit_is_the_right_answer_and_a_count_of_tokens_is_none() -> None:
    state = after(read(OPENINFERENCE), Annotation(id="a1", name="review", label="rejected", edit="four"))
    assert (state.paired, state.quality) == (True, 1.0)
    same = after(read(OPENINFERENCE), Annotation(id="a1", name="review", label="approved", edit="4"))
    assert (same.paired, same.approved) == (False, True)
    assert edit_in({"output_tokens": 12, "edited_Response": "four"}) == "four"
    assert edit_in({"output_tokens": 12}) is None


@pytest.mark.parametrize(("label", "outcome"), [("success", 1.0), ("partial", 0.5), ("failure", 0.0)])
def test_a_session_evaluation_judges_the_episode(label: str, outcome: float) -> None:
    state = after(read(OPENINFERENCE), Annotation(id="a1", name="session_evaluation", label=label))
    assert (state.outcome, state.feedback[0].episode) == (outcome, "chat-1")


def test_a_session_evaluation_of_no_session_is_counted() -> None:
    span = read({"input.query": "q", "output.response": "r", "session.id": "unknown"})
    words = taken(span).words
    found = judged(
        Annotation(id="a", name="session_evaluation", score=1), source="x", words=words, session_id=None, salt="s"
    )
    assert found == Unusable("annotation_without_session")


SEARCH: dict[str, Any] = {
    "openinference.span.kind": "RETRIEVER",
    "input.value": "red cars",
    **{f"retrieval.documents.{n}.document.id": f"d{n}" for n in range(3)},
    **{f"retrieval.documents.{n}.document.content": f"text {n}" for n in range(3)},
    **{f"retrieval.documents.{n}.document.score": 0.9 - n / 10 for n in range(3)},
}


def test_a_search_with_a_click_becomes_a_triplet() -> None:
    span = read(SEARCH)
    state = after(span, Annotation(id="a1", name="result_click", score=1, result_id="d1"))
    material = Material(interaction_id="int-1", interaction=state, body=taken(span).words)
    [lesson] = convert([material], TripletsOptions(), Tally(Method.TRIPLETS))
    assert isinstance(lesson.row, TripletRow)
    assert (lesson.row.anchor, lesson.row.positive, lesson.row.negatives) == (
        "red cars",
        "text 1",
        ("text 0", "text 2"),
    )


def test_relevance_counts_from_the_ratio_that_the_conversion_asks_for() -> None:
    span = read(SEARCH)
    rated = (("d0", 0.69), ("d2", 0.7))
    annotations = [Annotation(id=f"a{own}", name="result_relevance", score=s, result_id=own) for own, s in rated]
    material = Material(interaction_id="int-1", interaction=after(span, *annotations), body=taken(span).words)
    [lesson] = convert([material], TripletsOptions(), Tally(Method.TRIPLETS))
    assert isinstance(lesson.row, TripletRow)
    assert (lesson.row.positive, lesson.row.negatives) == ("text 2", ("text 1",))


def test_a_judgement_of_a_result_that_was_not_shown_is_counted() -> None:
    span = read(SEARCH)
    annotation = Annotation(id="a1", name="result_click", score=1, result_id="d9")
    found = judged(annotation, source="x", words=taken(span).words, session_id=None, salt="s")
    assert found == Unusable("annotation_of_unknown_result")


def test_results_of_a_span_whose_name_says_search_are_read_as_json() -> None:
    results = '[{"document_id": "a", "content": "x", "score": 1}, {"video_id": "b"}, {"score": 3}]'
    span = read({"query": "cars", "output.results": results}, name="VideoSearch", kind="CHAIN")
    assert [(one.id, one.content) for one in span.results] == [("a", "x"), ("b", None)]
    assert taken(span).captured.searched


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"output.response": "r"}, "no_input"),
        ({"input.query": "q"}, "no_output"),
        ({"input.query": "  ", "output.response": "r"}, "no_input"),
        ({"input.query": "q", "output.response": "x" * 1_000_001}, "too_long"),
    ],
)
def test_a_span_that_teaches_nothing_has_a_reason(attributes: dict[str, Any], reason: str) -> None:
    assert drawn(read(attributes), source="x", bucket=BUCKET, salt="s") == Unusable(reason)


def test_ids_follow_from_where_the_span_was_recorded_and_from_nothing_else() -> None:
    one, again = taken(read(OPENINFERENCE)), taken(read(OPENINFERENCE | {"output.value": "other"}))
    assert one.interaction_id == again.interaction_id
    elsewhere = drawn(read(OPENINFERENCE), source="phoenix:other", bucket=BUCKET, salt="s")
    assert isinstance(elsewhere, Drawn)
    assert elsewhere.interaction_id != one.interaction_id


NAMES = st.sampled_from(
    [
        "llm.input_messages", "llm.output_messages.0.message.role", "llm.output_messages.0.message", "input.value",
        "input",
        "output.value", "output", "retrieval.documents", "retrieval.documents.0.document.id", "gen_ai.input.messages",
        "gen_ai.output.messages", "gen_ai.prompt.0.role", "llm.tools", "session.id", "query", "a..b", "", ".", "0",
        "gen_ai.system_instructions", "gen_ai.operation.name", "openinference.span.kind",
    ]
)  # fmt: skip
WRITTEN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["[[[", "{}", "[]"])
    | st.sampled_from(["user", "assistant", '[{"role": "user", "parts": [{"type": "text", "content": "x"}]}]']),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["role", "content", "message.role", "parts", "0", ""]), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(NAMES, WRITTEN, max_size=6), st.lists(st.tuples(st.text(max_size=20), st.none() | st.floats())))
def test_no_span_and_no_annotation_ever_breaks_the_reading(
    attributes: dict[str, Any], told: list[tuple[str, float | None]]
) -> None:
    span = read(attributes)
    found = drawn(span, source="x", bucket=BUCKET, salt="s")
    assert isinstance(found, Drawn | Unusable)
    for n, (label, score) in enumerate(told):
        annotation = Annotation(id=str(n), name="quality", label=label, score=score)
        assert isinstance(judged(annotation, source="x", words=None, session_id=None, salt="s"), Given | Unusable)
