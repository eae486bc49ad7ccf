"""capture-interaction keeps the words in a blob and their hash in the log, and answers at once."""

import msgspec
import pytest
from tests.daemon.daemon_rig import Json, Rig

from genomed.commands.context import Caller
from genomed.entities.experience_events import InteractionCaptured
from genomed.entities.interaction import InteractionBody
from genomed.entities.types import Role

SAID: Json = {"personaId": "ada", "domain": "sums", "baseModel": "tiny", "input": "1+1", "output": "2"}


async def test_the_words_are_in_a_blob_and_only_their_hash_is_in_the_log(quiet: Rig) -> None:
    kept = await quiet.call("capture-interaction", SAID | {"input": "a secret", "thoughtStream": "hm"})
    [captured] = await quiet.events(f"interaction/{kept['interactionId']}", InteractionCaptured)
    assert b"a secret" not in msgspec.json.encode(captured)
    raw = await quiet.journal.blob(captured.sha256)
    assert raw is not None
    body = msgspec.json.decode(raw, type=InteractionBody)
    assert (body.input[0].content, body.output, body.thought) == ("a secret", "2", "hm")


async def test_equal_words_of_two_captures_have_different_hashes_so_that_an_erased_one_cannot_be_guessed(
    quiet: Rig,
) -> None:
    streams = [(await quiet.call("capture-interaction", SAID))["interactionId"] for _ in range(2)]
    events = [event for one in streams for event in await quiet.events(f"interaction/{one}", InteractionCaptured)]
    assert len({event.sha256 for event in events}) == 2


async def test_the_bucket_follows_from_persona_domain_and_base_model(quiet: Rig) -> None:
    here = await quiet.call("capture-interaction", SAID)
    again = await quiet.call("capture-interaction", SAID | {"input": "2+2"})
    elsewhere = await quiet.call("capture-interaction", SAID | {"domain": "songs"})
    assert here["bucketId"] == again["bucketId"] != elsewhere["bucketId"]


async def test_without_a_base_model_the_daemons_default_is_taken(quiet: Rig) -> None:
    said = {name: value for name, value in SAID.items() if name != "baseModel"}
    assert (await quiet.call("capture-interaction", said))["bucketId"]
    assert (await quiet.bucket())["baseModel"] == "tiny"


async def test_messages_may_be_given_instead_of_text(quiet: Rig) -> None:
    turns = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "1+1"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "2+2"},
    ]
    assert await quiet.call("capture-interaction", SAID | {"input": turns})


@pytest.mark.parametrize(
    ("turns", "fields"),
    [
        ([], {"input[0].role", "input"}),
        ([{"role": "assistant", "content": "hello"}], {"input[0].role", "input[1].role"}),
        ([{"role": "user", "content": " "}], {"input[0].content"}),
    ],
)
async def test_turns_that_nothing_can_learn_from_are_refused_by_their_place(
    quiet: Rig, turns: list[Json], fields: set[str]
) -> None:
    error = await quiet.refused("capture-interaction", SAID | {"input": turns})
    assert error.kind == "invalid_request"
    assert {problem.field for problem in error.details} & fields


async def test_bad_captures_are_refused_with_every_field(quiet: Rig) -> None:
    error = await quiet.refused(
        "capture-interaction", {"personaId": "", "input": 5, "output": "", "contxt": {}, "context": {"n": [1]}}
    )
    named = {problem.field for problem in error.details}
    assert named == {"personaId", "domain", "input", "output", "contxt", "context.n"}


async def test_the_same_key_keeps_one_interaction(quiet: Rig) -> None:
    first = await quiet.call("capture-interaction", SAID, key="once")
    reply = await quiet.execute("capture-interaction", SAID, key="once")
    assert isinstance(reply.result, msgspec.Raw)
    assert (msgspec.json.decode(reply.result), reply.replayed) == (first, True)
    assert (await quiet.bucket())["counts"]["usable"] == 1


async def test_an_agent_with_the_role_capture_may_capture_and_a_reader_may_not(quiet: Rig) -> None:
    reply = await quiet.execute("capture-interaction", SAID, caller=Caller(actor="uid:7", role=Role.CAPTURE))
    assert isinstance(reply.result, msgspec.Raw)
    error = await quiet.refused("capture-interaction", SAID, caller=Caller(actor="uid:7", role=Role.READ))
    assert error.kind == "forbidden"


SEARCH: Json = {"personaId": "ada", "domain": "sums", "baseModel": "tiny", "input": "salt"}
TOOL: Json = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
CALLING: Json = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}],
}


async def body_of(rig: Rig, interaction_id: str) -> InteractionBody:
    [captured] = await rig.events(f"interaction/{interaction_id}", InteractionCaptured)
    raw = await rig.journal.blob(captured.sha256)
    assert raw is not None
    return msgspec.json.decode(raw, type=InteractionBody)


async def test_a_search_is_kept_with_its_results_and_waits_in_no_bucket(quiet: Rig) -> None:
    results = [{"id": "doc-1", "content": "a pinch", "score": 0.7}, {"id": "doc-2"}]
    kept = await quiet.call("capture-interaction", SEARCH | {"results": results})
    [captured] = await quiet.events(f"interaction/{kept['interactionId']}", InteractionCaptured)
    body = await body_of(quiet, kept["interactionId"])
    assert captured.searched
    assert [(one.id, one.content, one.score) for one in body.results] == [
        ("doc-1", "a pinch", 0.7),
        ("doc-2", None, None),
    ]
    counts = (await quiet.bucket())["counts"]
    assert (counts["usable"], counts["unusable"]) == (0, 0)


async def test_a_search_that_found_nothing_is_a_search(quiet: Rig) -> None:
    kept = await quiet.call("capture-interaction", SEARCH | {"results": []})
    [captured] = await quiet.events(f"interaction/{kept['interactionId']}", InteractionCaptured)
    assert captured.searched


async def test_an_answer_is_required_unless_it_was_a_search(quiet: Rig) -> None:
    error = await quiet.refused("capture-interaction", SEARCH)
    assert [problem.field for problem in error.details] == ["output"]


async def test_results_that_say_nothing_are_refused_by_their_place(quiet: Rig) -> None:
    results = [{"id": "doc-1"}, {"id": "doc-1"}]
    error = await quiet.refused("capture-interaction", SEARCH | {"results": results, "expectedOutput": "a pinch"})
    assert {problem.field for problem in error.details} == {"results[1].id", "expectedOutput"}


async def test_an_answer_that_calls_a_tool_is_kept_whole_with_the_tools(quiet: Rig) -> None:
    kept = await quiet.call("capture-interaction", SAID | {"output": CALLING, "tools": [TOOL]})
    body = await body_of(quiet, kept["interactionId"])
    assert body.output == ""
    assert body.output_message is not None
    assert body.output_message.tool_calls is not None
    assert body.tools == (TOOL,)
    made = await quiet.call("dataset-create", {"bucketId": kept["bucketId"], "evalShare": 0})
    [row] = (await quiet.call("dataset-show", {"datasetId": made["datasetId"]}))["preview"]
    assert '"tool_calls"' in row
    assert '"tools"' in row


async def test_a_message_that_is_nothing_but_words_is_kept_as_words(quiet: Rig) -> None:
    kept = await quiet.call("capture-interaction", SAID | {"output": {"role": "assistant", "content": "2"}})
    body = await body_of(quiet, kept["interactionId"])
    assert (body.output, body.output_message) == ("2", None)


@pytest.mark.parametrize(
    ("output", "tools", "field"),
    [
        ({"role": "user", "content": "2"}, [], "output.role"),
        (CALLING, [{"type": "function", "function": {"name": "other"}}], "tools"),
        (CALLING | {"tool_calls": [CALLING["tool_calls"][0] | {"id": " "}]}, [], "output.tool_calls[0].id"),
        ("  ", [], "output"),
    ],
)
async def test_an_answer_that_cannot_be_learned_is_refused_by_its_place(
    quiet: Rig, output: object, tools: list[Json], field: str
) -> None:
    error = await quiet.refused("capture-interaction", SAID | {"output": output, "tools": tools})
    assert [problem.field for problem in error.details] == [field]


async def test_whose_words_they_are_is_in_the_log_so_that_they_can_be_forgotten(quiet: Rig) -> None:
    kept = await quiet.call("capture-interaction", SAID | {"personId": "bob"})
    [captured] = await quiet.events(f"interaction/{kept['interactionId']}", InteractionCaptured)
    assert captured.person_id == "bob"


async def test_an_expected_answer_that_is_the_given_one_makes_no_pair(quiet: Rig) -> None:
    await quiet.call("capture-interaction", SAID | {"expectedOutput": "2"})
    await quiet.call("capture-interaction", SAID | {"expectedOutput": "two"})
    counts = (await quiet.bucket())["counts"]
    assert (counts["approved"], counts["paired"]) == (2, 1)


def test_a_body_that_an_older_version_wrote_is_still_read() -> None:
    old = b'{"salt":"s","input":[{"role":"user","content":"1+1"}],"output":"2","expectedOutput":null,"thought":null}'
    body = msgspec.json.decode(old, type=InteractionBody)
    assert (body.output, body.tools, body.output_message, body.results) == ("2", (), None, ())
