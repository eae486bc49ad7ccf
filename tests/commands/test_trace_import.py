"""genome/trace-import through a whole daemon: files of four kinds, nothing twice, nothing lost without a reason."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.commands.importing import captured, importing, words
from tests.daemon.daemon_rig import Json, Rig, write_rows

from genomed.commands import trace_places
from genomed.commands.context import Caller
from genomed.entities.experience_events import FeedbackGiven, InteractionCaptured
from genomed.entities.trace_events import TraceImported
from genomed.entities.types import Role

pytestmark = pytest.mark.anyio
GOLDEN = Path(__file__).parent.parent / "golden" / "traces"


async def brought(rig: Rig, kind: str, path: Path, **more: object) -> Json:
    return await rig.call(
        "trace-import", {"kind": kind, "path": str(path), "personaId": "ada", "domain": "sums", **more}
    )


def llm(n: int, **more: Any) -> Json:
    """A span as Phoenix's REST API gives it."""
    attributes = {"input.value": f"{n}+{n}", "output.value": f"{2 * n}", "session.id": "chat"}
    return {
        "name": "answer",
        "context": {"trace_id": f"t{n}", "span_id": f"s{n}"},
        "span_kind": "LLM",
        "start_time": f"2026-11-20T08:00:{n:02}Z",
        "end_time": f"2026-11-20T08:00:{n:02}.500000Z",
        "status_code": "OK",
        "attributes": attributes,
        **more,
    }


def judgement(n: int, own: str = "a", *, name: str = "quality", metadata: Json | None = None, **result: Any) -> Json:
    return {
        "id": f"{own}{n}",
        "span_id": f"s{n}",
        "name": name,
        "annotator_kind": "HUMAN",
        "result": {"label": None, "score": None, "explanation": None, **result},
        "metadata": metadata or {},
        "identifier": "",
    }


async def test_otlp_lines_become_interactions_with_their_tools(tmp_path: Path) -> None:
    async with importing(tmp_path) as rig:
        answer = await brought(rig, "otlp", GOLDEN / "otlp.jsonl")
        assert (answer["spans"], answer["interactions"], answer["more"]) == (5, 3, False)
        assert answer["skipped"] == {"failed": 1, "kind_not_asked": 1}
        (_, called), (_, said), (_, summed) = await captured(rig)
        assert called.session_id == "conv-1"
        message = (await words(rig, called))["outputMessage"]
        assert message["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city":"Bonn"}'}
        assert [turn["role"] for turn in (await words(rig, said))["input"]] == ["user", "assistant", "tool"]
        assert (await words(rig, summed))["output"] == "4"


async def test_one_otlp_document_over_many_lines_is_read(tmp_path: Path) -> None:
    async with importing(tmp_path) as rig:
        assert (await brought(rig, "otlp", GOLDEN / "otlp-document.json"))["interactions"] == 1


async def test_importing_the_same_file_twice_adds_nothing_to_the_log(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "spans.jsonl", [llm(1), llm(2), judgement(1, label="approved")])
    async with importing(tmp_path) as rig:
        first = await brought(rig, "phoenix_export", path)
        assert (first["interactions"], first["feedback"], first["known"]) == (2, 1, 0)
        head = rig.journal.head()
        again = await brought(rig, "phoenix_export", path)
        assert (again["interactions"], again["feedback"], again["known"], again["changed"]) == (0, 0, 2, 0)
        assert rig.journal.head() == head


async def test_one_more_annotation_gives_exactly_one_judgement_more(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "spans.jsonl", [llm(1), judgement(1, score=0.9)])
    async with importing(tmp_path) as rig:
        await brought(rig, "phoenix_export", path)
        write_rows(
            path, [judgement(1, "b", label="rejected", metadata={"edited_response": "two"}), llm(1), judgement(1)]
        )
        answer = await brought(rig, "phoenix_export", path)
        assert (answer["interactions"], answer["feedback"]) == (0, 1)
        [(own, state)] = await captured(rig)
        assert len(await rig.events(f"interaction/{own}", FeedbackGiven)) == 2
        assert (state.paired, state.quality) == (True, 1.0)


async def test_a_span_that_changed_stays_as_it_was_first_seen_and_is_counted(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "spans.jsonl", [llm(1)])
    async with importing(tmp_path) as rig:
        await brought(rig, "phoenix_export", path)
        write_rows(path, [llm(1, attributes={"input.value": "1+1", "output.value": "3"})])
        answer = await brought(rig, "phoenix_export", path)
        assert (answer["known"], answer["changed"]) == (1, 1)
        [(_, state)] = await captured(rig)
        assert (await words(rig, state))["output"] == "2"


async def test_a_judgement_that_changed_takes_the_place_of_the_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "spans.jsonl"
    async with importing(tmp_path) as rig:
        for label, quality in (("approved", 1.0), ("rejected", 0.0), ("approved", 1.0)):
            write_rows(path, [llm(1), judgement(1, label=label)])
            answer = await brought(rig, "phoenix_export", path)
            assert (answer["feedback"], answer["skipped"]) == (1, {})
            [(_, state)] = await captured(rig)
            assert (state.quality, len(state.feedback)) == (quality, 1)
        [(own, state)] = await captured(rig)
        assert len(await rig.events(f"interaction/{own}", FeedbackGiven)) == 3
        assert len(state.bodies) == 4
        assert (await brought(rig, "phoenix_export", path))["feedback"] == 0


async def test_other_words_are_another_judgement_and_an_older_export_takes_none_back(tmp_path: Path) -> None:
    edits = [("08:00:00", "two"), ("09:00:00", "2."), ("08:00:00", "two"), ("10:00:00", "2.")]
    path = tmp_path / "spans.jsonl"
    async with importing(tmp_path) as rig:
        new: list[int] = []
        for time, edit in edits:
            told = judgement(1, label="rejected", metadata={"edited_response": edit})
            write_rows(path, [llm(1), told | {"updated_at": f"2026-11-20T{time}Z"}])
            new.append((await brought(rig, "phoenix_export", path))["feedback"])
        assert new == [1, 1, 0, 0]
        [(_, state)] = await captured(rig)
        assert state.correction is not None
        raw = await rig.journal.blob(state.correction.sha256)
        assert raw is not None
        assert json.loads(raw)["correctedOutput"] == "2."


async def test_a_long_file_comes_in_as_many_calls_as_the_limit_makes(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "spans.jsonl", [llm(n) for n in range(5)])
    async with importing(tmp_path) as rig:
        answers = [await brought(rig, "phoenix_export", path, limit=2) for _ in range(3)]
        assert [(one["interactions"], one["more"]) for one in answers] == [(2, True), (2, True), (1, False)]
        other = write_rows(tmp_path / "other.jsonl", [llm(n) for n in range(5, 8)])
        assert (await brought(rig, "phoenix_export", other, limit=9))["interactions"] == 3
        sources = await rig.journal.query("SELECT DISTINCT stream FROM events WHERE type = 'trace.imported'")
        assert len(sources) == 2


async def test_a_session_evaluation_judges_every_interaction_of_the_session_once(tmp_path: Path) -> None:
    told = [llm(1), llm(2), llm(3), judgement(2, name="session_evaluation", label="success", score=0.9)]
    path = write_rows(tmp_path / "spans.jsonl", told)
    async with importing(tmp_path) as rig:
        assert (await brought(rig, "phoenix_export", path))["feedback"] == 3
        assert [state.outcome for _, state in await captured(rig)] == [0.9, 0.9, 0.9]
        write_rows(path, [*told, llm(4)])
        answer = await brought(rig, "phoenix_export", path)
        assert (answer["interactions"], answer["feedback"]) == (1, 1)


async def test_a_clicked_result_of_a_search_is_kept_with_its_id(tmp_path: Path) -> None:
    documents = {f"retrieval.documents.{n}.document.{key}": f"{key}{n}" for n in range(2) for key in ("id", "content")}
    search = llm(1, span_kind="RETRIEVER", attributes={"input.value": "cars", **documents})
    clicks = [
        judgement(1, name="result_click", score=1, metadata={"result_id": "id1"}),
        judgement(1, "b", name="result_relevance", score=0.2, metadata={"document_id": "id0"}),
        judgement(1, "c", name="result_click", score=1, metadata={"result_id": "id9"}),
    ]
    path = write_rows(tmp_path / "spans.jsonl", [search, *clicks])
    async with importing(tmp_path) as rig:
        answer = await brought(rig, "phoenix_export", path)
        assert (answer["feedback"], answer["skipped"]) == (2, {"annotation_of_unknown_result": 1})
        [(_, state)] = await captured(rig)
        assert [(one.result_id, one.mark) for one in state.feedback] == [("id1", 1.0), ("id0", 0.2)]


async def test_records_of_a_data_frame_are_read_as_the_servers_spans_are(tmp_path: Path) -> None:
    turns = [{"message.role": "user", "message.content": "2+2"}]
    frame = {
        "context.span_id": "s2",
        "context.trace_id": "t2",
        "name": "answer",
        "span_kind": "LLM",
        "start_time": 1763625600000,
        "attributes.llm.input_messages": turns,
        "attributes.llm.output_messages": [{"message.role": "assistant", "message.content": "4"}],
    }
    note = {"span_id": "s2", "annotation_name": "quality", "annotator_kind": "HUMAN", "result.score": 0.4}
    path = tmp_path / "frame.json"
    path.write_text(json.dumps([frame, note]), encoding="utf-8")
    async with importing(tmp_path) as rig:
        assert (await brought(rig, "phoenix_export", path))["feedback"] == 1
        [(_, state)] = await captured(rig)
        assert (state.quality, state.happened_us) == (0.4, 1763625600000000)


@pytest.mark.parametrize("name", ["phoenix-client.jsonl", "phoenix-frame.jsonl"])
async def test_what_a_real_phoenix_client_exported_is_read_whole(tmp_path: Path, name: str) -> None:
    async with importing(tmp_path) as rig:
        answer = await brought(rig, "phoenix_export", GOLDEN / name)
        assert (answer["interactions"], answer["feedback"], answer["skipped"]) == (3, 2, {})
        found = [(state, await words(rig, state)) for _, state in await captured(rig)]
        [corrected] = [state for state, _ in found if state.paired]
        assert (corrected.person_id, corrected.session_id) == ("eve", "chat-1")
        [called] = [said for _, said in found if said["outputMessage"]]
        assert called["outputMessage"]["tool_calls"][0]["function"]["arguments"] == '{"city": "Bonn"}'
        [searched] = [(state, said) for state, said in found if state.searched]
        assert [one["id"] for one in searched[1]["results"]] == ["d0", "d1"]
        assert searched[0].feedback[0].result_id == "d0"


@pytest.mark.parametrize("name", ["otlp.jsonl", "langfuse-trace.json", "langfuse-blob.jsonl", "chat-lines.jsonl"])
async def test_pages_of_one_say_what_one_large_page_says(tmp_path: Path, name: str) -> None:
    kind = {"o": "otlp", "l": "langfuse_export", "c": "chat_log"}[name[0]]
    async with importing(tmp_path / "whole") as rig:
        await brought(rig, kind, GOLDEN / name)
        whole = [own for own, _ in await captured(rig)]
    async with importing(tmp_path / "pages") as rig:
        while (await brought(rig, kind, GOLDEN / name, limit=1))["more"]:
            pass
        assert [own for own, _ in await captured(rig)] == whole


async def test_a_langfuse_trace_brings_its_scores_and_the_persons_correction(tmp_path: Path) -> None:
    async with importing(tmp_path) as rig:
        answer = await brought(rig, "langfuse_export", GOLDEN / "langfuse-trace.json")
        assert (answer["interactions"], answer["skipped"]) == (2, {"kind_not_asked": 1})
        by_span = {state.feedback[0].kind.value: state for _, state in await captured(rig)}
        assert (by_span["critique"].paired, by_span["critique"].person_id) == (True, "eve")
        assert by_span["score"].quality == 0.2


async def test_langfuse_blobs_and_tables_are_read_in_their_own_naming(tmp_path: Path) -> None:
    async with importing(tmp_path) as rig:
        answer = await brought(rig, "langfuse_export", GOLDEN / "langfuse-blob.jsonl")
        assert (answer["interactions"], answer["feedback"], answer["skipped"]) == (1, 2, {})
        [(_, state)] = await captured(rig)
        assert (state.approved, state.outcome, state.session_id) == (True, 0.8, "s-9")
        assert (await brought(rig, "langfuse_export", GOLDEN / "langfuse-table.csv"))["interactions"] == 1
        [_, (_, table)] = await captured(rig)
        assert (await words(rig, table))["output"] == "2"


@pytest.mark.parametrize("written", [lambda told: told, json.dumps])
async def test_a_langfuse_generation_that_only_calls_a_tool_is_taken_with_it(tmp_path: Path, written: Any) -> None:
    call = json.dumps({"id": "c1", "name": "weather", "arguments": '{"city":"Bonn"}', "type": "function"})
    described = {"weather": json.dumps({"description": "now", "parameters": {"type": "object"}})}
    seen = {
        "id": "o1",
        "trace_id": "t1",
        "type": "GENERATION",
        "input": json.dumps([{"role": "user", "content": "Weather?"}]),
        "output": "",
        "tool_calls": written([call]),
        "tool_definitions": written(described),
    }
    path = write_rows(tmp_path / "observations.jsonl", [seen])
    async with importing(tmp_path) as rig:
        assert (await brought(rig, "langfuse_export", path))["skipped"] == {}
        [(_, state)] = await captured(rig)
        said = await words(rig, state)
        assert said["outputMessage"]["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city":"Bonn"}'}
        assert said["tools"][0]["function"]["name"] == "weather"


async def test_chat_logs_give_a_span_for_every_turn_of_the_persona(tmp_path: Path) -> None:
    async with importing(tmp_path) as rig:
        answer = await brought(rig, "chat_log", GOLDEN / "chat-lines.jsonl")
        assert (answer["interactions"], answer["skipped"]) == (3, {})
        said = [(state.session_id, (await words(rig, state))["output"]) for _, state in await captured(rig)]
        assert sorted(said) == [("a", "hi\nhow can I help?"), ("b", "4"), ("b", "welcome")]
        answer = await brought(rig, "chat_log", GOLDEN / "chat-conversations.json")
        assert (answer["interactions"], answer["skipped"]) == (2, {"no_input": 1})


SAID = [{"role": role, "content": text} for role, text in [("user", "hi"), ("ada", "hello"), ("user", "2+2?")]]
TURNS = [*SAID, {"role": "assistant", "content": "4"}]


@pytest.mark.parametrize(
    ("written", "answers"),
    [
        (json.dumps(TURNS), 2),
        (json.dumps(TURNS, indent=2), 2),
        (json.dumps([TURNS, TURNS[2:]]), 3),
        (json.dumps([TURNS, TURNS[2:]], indent=2), 3),
        ("".join(json.dumps(one) + "\n" for one in TURNS), 2),
        ("".join(json.dumps(one) + "\n" for one in (TURNS, TURNS[2:])), 3),
        (json.dumps(TURNS) + "\n", 2),
    ],
)
async def test_turns_without_a_session_are_a_conversation_per_list_and_file(
    tmp_path: Path, written: str, answers: int
) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.json").write_text(written, encoding="utf-8")
    (tmp_path / "logs" / "b.json").write_text(json.dumps([{"role": "bot", "content": "x"}]), encoding="utf-8")
    async with importing(tmp_path) as rig:
        answer = await brought(rig, "chat_log", tmp_path / "logs")
        assert (answer["interactions"], answer["skipped"]) == (answers, {"no_input": 1})
        found = [(state.session_id, (await words(rig, state))["output"]) for _, state in await captured(rig)]
        assert found[:2] == [(None, "hello"), (None, "4")]


async def test_a_table_of_phoenix_is_refused_with_what_to_export_instead(tmp_path: Path) -> None:
    (tmp_path / "spans.csv").write_text("name,context.span_id\nx,y\n", encoding="utf-8")
    async with importing(tmp_path) as rig:
        params = {"kind": "phoenix_export", "path": str(tmp_path / "spans.csv"), "personaId": "a", "domain": "b"}
        error = await rig.refused("trace-import", params)
        assert "to_json" in (error.details[0].remedy or "")


async def test_a_broken_line_is_counted_and_stops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "spans.jsonl"
    path.write_text("\n".join([json.dumps(llm(1)), "{broken", "[]", '{"x": 1}', json.dumps(llm(2))]), encoding="utf-8")
    async with importing(tmp_path) as rig:
        answer = await brought(rig, "phoenix_export", path)
        assert (answer["interactions"], answer["skipped"]) == (2, {"no_id": 1, "no_json": 2})


async def test_a_window_of_time_leaves_the_kept_place_alone(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "spans.jsonl", [llm(n) for n in range(4)])
    given = {"traces": {"logs": {"kind": "phoenix_export", "path": str(path), "persona_id": "ada", "domain": "sums"}}}
    async with importing(tmp_path, given=given) as rig:
        await rig.call("trace-import", {"source": "logs", "limit": 1})
        late = await rig.call("trace-import", {"source": "logs", "since": "2026-11-20T08:00:03Z"})
        assert (late["interactions"], late["spans"]) == (1, 1)
        [listed] = (await rig.call("trace-source-list"))["sources"]
        assert listed["imports"][0]["cursor"] == "1.0"
        rest = await rig.call("trace-import", {"source": "logs"})
        assert (rest["interactions"], rest["known"]) == (2, 1)


@pytest.mark.parametrize("only", [{"kinds": ["chain"]}, {"nameContains": ["x"]}, {"judgements": ["x"]}])
async def test_what_a_filter_passed_over_is_not_lost_to_the_next_import(tmp_path: Path, only: Json) -> None:
    path = write_rows(tmp_path / "spans.jsonl", [*(llm(n) for n in range(3)), judgement(0, label="approved")])
    async with importing(tmp_path) as rig:
        filtered = await brought(rig, "phoenix_export", path, limit=2, **only)
        assert filtered["more"]
        rest = await brought(rig, "phoenix_export", path, limit=2, **only, cursor=filtered["cursor"])
        assert (rest["spans"], rest["more"]) == (1, False)
        everything = await brought(rig, "phoenix_export", path)
        assert (everything["spans"], everything["feedback"]) == (3, 1)


async def test_names_and_kinds_and_judgements_are_filtered_and_counted(tmp_path: Path) -> None:
    told = [llm(1, name="routing-agent"), llm(2), llm(3, span_kind="CHAIN"), judgement(1, label="approved")]
    path = write_rows(tmp_path / "spans.jsonl", told)
    async with importing(tmp_path) as rig:
        only = {"nameContains": ["Routing"], "judgements": ["other"]}
        answer = await brought(rig, "phoenix_export", path, **only)
        assert answer["interactions"] == 1
        assert answer["skipped"] == {"judgement_not_asked": 1, "kind_not_asked": 1, "name_not_asked": 1}
        assert (await brought(rig, "phoenix_export", path, kinds=["chain"]))["interactions"] == 1


async def test_what_was_forgotten_does_not_come_back(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "spans.jsonl", [llm(1)])
    async with importing(tmp_path) as rig:
        await brought(rig, "phoenix_export", path)
        [(own, _)] = await captured(rig)
        await rig.call("forget", {"interactionId": own, "reason": "asked to"})
        write_rows(path, [llm(1), judgement(1, label="approved")])
        answer = await brought(rig, "phoenix_export", path)
        assert (answer["interactions"], answer["feedback"], answer["skipped"]) == (0, 0, {"forgotten": 1})


async def test_the_import_stands_in_the_log_with_its_counts(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "spans.jsonl", [llm(1), judgement(1, score=1)])
    given = {"traces": {"logs": {"kind": "phoenix_export", "path": str(path), "persona_id": "ada", "domain": "sums"}}}
    async with importing(tmp_path, given=given) as rig:
        await rig.call("trace-import", {"source": "logs"})
        [event] = await rig.events("trace_source/logs", TraceImported)
        assert (event.spans, event.interactions, event.feedback, event.more) == (1, 1, 1, False)
        [(own, _)] = await captured(rig)
        [made] = await rig.events(f"interaction/{own}", InteractionCaptured)
        assert made.trace is not None
        assert (made.trace.source, made.trace.trace_id, made.trace.span_id) == ("logs", "t1", "s1")


async def test_a_source_is_read_on_where_its_stream_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_places, "STREAM_FILLED", 2)
    path = write_rows(tmp_path / "spans.jsonl", [llm(n) for n in range(5)])
    given = {"traces": {"logs": {"kind": "phoenix_export", "path": str(path), "persona_id": "ada", "domain": "sums"}}}
    async with importing(tmp_path, given=given) as rig:
        answers = [await rig.call("trace-import", {"source": "logs", "limit": 1}) for _ in range(5)]
        assert [(one["interactions"], one["known"]) for one in answers] == [(1, 0)] * 5
        for stream, told in (("logs", 2), ("logs~2", 2), ("logs~3", 1)):
            assert len(await rig.events(f"trace_source/{stream}", TraceImported)) == told
        [listed] = (await rig.call("trace-source-list"))["sources"]
        assert [(one["interactions"], one["more"]) for one in listed["imports"]] == [(5, False)]


async def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    async with importing(tmp_path, given={"learning": {}}) as rig:
        error = await rig.refused("trace-import", {"kind": "jaeger", "since": "yesterday"})
        assert [one.field for one in error.details] == ["kind", "since", "personaId", "domain", "baseModel"]
        error = await rig.refused("trace-import", {"source": "nobody"})
        assert error.remedy is not None
        assert "[traces.nobody]" in error.remedy
        path = str(tmp_path / "none.jsonl")
        error = await rig.refused("trace-import", {"kind": "otlp", "path": path, "personaId": "a", "domain": "b"})
        assert error.kind.value == "not_found" or error.details


async def test_an_agent_may_not_read_files_of_this_machine(tmp_path: Path) -> None:
    async with importing(tmp_path) as rig:
        params = {"kind": "otlp", "path": str(GOLDEN / "otlp.jsonl"), "personaId": "ada", "domain": "sums"}
        error = await rig.refused("trace-import", params, caller=Caller(actor="uid:7", role=Role.CAPTURE))
        assert error.kind.value == "forbidden"
