"""Rows in the form that the hosted services train on: with all that they hold, or refused by name."""

import json

import msgspec
import pytest
from tests.contract.wishes import DATASET, configuration

from genomed.adapters._training_lines import openai_line
from genomed.adapters.local.availability import Probe, capabilities_of
from genomed.adapters.mistral.files import MistralFiles
from genomed.adapters.openai import objections as openai_objections
from genomed.adapters.openai.settings import OpenAISettings
from genomed.adapters.openai.uploads import OpenAIUploads
from genomed.adapters.together.objections import beyond
from genomed.adapters.together.wire import ModelLimits
from genomed.entities.errors import Unsupported
from genomed.entities.json_value import JsonObject
from genomed.entities.rows import ChatRow, FunctionCall, Message, PreferenceRow, RankingRow, ToolCall
from genomed.entities.types import RowKind

ASK, GOOD, BAD = (
    Message(role="user", content='Say "hé"\n'),
    Message(role="assistant", content="hé"),
    Message(role="assistant", content=""),
)
TOOL: JsonObject = {"type": "function", "function": {"name": "add", "parameters": {"default": None}}}
CALL: JsonObject = {"id": "call-1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
CALLING = ChatRow(
    messages=(
        ASK,
        Message(role="assistant", content="hm", weight=0),
        Message(role="user", content="add", name="ada"),
        Message(role="assistant", content=None, tool_calls=(msgspec.convert(CALL, ToolCall),)),
        Message(role="tool", content="1", tool_call_id="call-1"),
        Message(role="assistant", content="one", weight=1),
    ),
    tools=(TOOL,),
)
GRADED = configuration("simulated", metadata={"grader": "{}"})


def test_a_conversation_is_its_messages_and_nothing_else() -> None:
    line = openai_line(ChatRow(messages=(ASK, GOOD)))
    assert json.loads(line) == {
        "messages": [{"role": "user", "content": 'Say "hé"\n'}, {"role": "assistant", "content": "hé"}]
    }
    assert b"\n" not in line


def test_tools_calls_and_weights_are_sent() -> None:
    assert json.loads(openai_line(CALLING)) == {
        "messages": [
            {"role": "user", "content": 'Say "hé"\n'},
            {"role": "assistant", "content": "hm", "weight": 0},
            {"role": "user", "content": "add", "name": "ada"},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "content": "1", "tool_call_id": "call-1"},
            {"role": "assistant", "content": "one", "weight": 1},
        ],
        "tools": [TOOL],
    }


def test_a_preference_is_a_prompt_with_a_better_and_a_worse_answer() -> None:
    row = PreferenceRow(prompt=(ASK,), chosen=(GOOD,), rejected=(BAD,), tools=(TOOL,))
    assert json.loads(openai_line(row)) == {
        "input": {"messages": [{"role": "user", "content": 'Say "hé"\n'}], "tools": [TOOL]},
        "preferred_output": [{"role": "assistant", "content": "hé"}],
        "non_preferred_output": [{"role": "assistant", "content": ""}],
    }


def test_a_row_that_no_chat_model_is_trained_on_has_no_line() -> None:
    with pytest.raises(Unsupported, match="ranking rows"):
        openai_line(RankingRow(query="q", document="d", label=1))


def test_mistral_is_sent_ids_of_calls_in_its_own_form() -> None:
    uploads = MistralFiles.__new__(MistralFiles)  # a line needs no server
    line = json.loads(uploads.line(CALLING, configuration=configuration("mistral")))
    (call,) = line["messages"][3]["tool_calls"]
    assert call["id"] == line["messages"][4]["tool_call_id"]
    assert len(call["id"]) == 9
    assert call["id"].isalnum()
    assert (call["function"], line["tools"]) == (CALL["function"], [TOOL])
    theirs = FunctionCall(name="f", arguments="{}")
    kept = ChatRow(
        messages=(ASK, Message(role="assistant", content=None, tool_calls=(ToolCall(id="a1B2c3D4e", function=theirs),)))
    )
    assert b"a1B2c3D4e" in uploads.line(kept, configuration=configuration("mistral"))


def test_a_graded_job_at_openai_refuses_tools_and_weights_instead_of_dropping_them() -> None:
    uploads = OpenAIUploads.__new__(OpenAIUploads)  # a line needs no server
    with pytest.raises(Unsupported, match="reads prompts, not tools and weights"):
        uploads.line(CALLING, configuration=GRADED)
    dataset = msgspec.structs.replace(DATASET, features=("tools", "weights"))
    found = openai_objections.objections(GRADED, dataset, OpenAISettings(), asked=(), now_us=0)
    assert any("tools and weights say more" in problem.message for problem in found.errors)


@pytest.mark.parametrize(("supported", "refused"), [(False, True), (True, False), (None, False)])
def test_together_refuses_tools_for_a_model_that_is_not_trained_to_use_them(
    supported: bool | None, refused: bool
) -> None:
    dataset = msgspec.structs.replace(DATASET, features=("tools",))
    found = beyond(configuration("together"), dataset, ModelLimits(supports_tools=supported), asked=())
    assert any("rows with tools" in problem.message for problem in found) is refused


def test_local_training_takes_every_kind_of_row_but_records() -> None:
    able = capabilities_of(Probe(), memory_bytes=1)
    assert set(RowKind) - set(able.supported_row_kinds) == {RowKind.RECORD}
    assert able.features.tools
    assert able.features.message_weights
