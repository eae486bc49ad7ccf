"""Whatever cannot be trained on is named, all of it, with its place; what can be is not."""

import pytest
from hypothesis import given
from tests.entities.row_making import ROWS

from genomed.entities.json_value import JsonObject
from genomed.entities.row_fitness import unfit
from genomed.entities.rows import (
    ChatRow,
    FunctionCall,
    LabelledRow,
    Message,
    PreferenceRow,
    RaftRow,
    RankingRow,
    RecordRow,
    Row,
    ToolCall,
    TripletRow,
    VectorPairRow,
)


def turns(*said: str) -> tuple[Message, ...]:
    """`user:Hello` and so on; `call:id` is a turn that calls `add`, `tool:id` its answer."""
    return tuple(turn(one) for one in said)


def turn(said: str) -> Message:
    role, _, content = said.partition(":")
    if role == "call":
        call = ToolCall(id=content, function=FunctionCall(name="add", arguments='{"a": 1}'))
        return Message(role="assistant", content=None, tool_calls=(call,))
    if role == "tool":
        return Message(role="tool", content="3", tool_call_id=content)
    weight = 0 if role == "quiet" else None
    return Message(role="assistant" if role == "quiet" else role, content=content, weight=weight)


ADD: JsonObject = {"type": "function", "function": {"name": "add", "parameters": {}}}


def preference(
    *, prompt: tuple[str, ...] = ("user:Salt?",), chosen: str = "assistant:A pinch.", rejected: str = "assistant:A kg."
) -> PreferenceRow:
    return PreferenceRow(prompt=turns(*prompt), chosen=turns(chosen), rejected=turns(rejected))


def named(row: Row) -> list[tuple[str, str]]:
    return [(problem.field, problem.message) for problem in unfit(row)]


@pytest.mark.parametrize(
    "said",
    [
        ("user:Hi", "assistant:Hello"),
        ("system:Be kind", "user:Hi", "assistant:Hello"),
        ("user:Hi", "assistant:Hello", "user:Salt?", "assistant:A pinch."),
    ],
)
def test_a_conversation_that_ends_in_an_answer_is_fit(said: tuple[str, ...]) -> None:
    assert unfit(ChatRow(messages=turns(*said))) == []


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ((), [("messages", "is empty")]),
        (("user:Hi",), [("messages", "must end with a turn of 'assistant'")]),
        (("system:Be kind",), [("messages", "must end with a turn of 'assistant'")]),
        (("user:Hi", "assistant: \n"), [("messages[1].content", "is empty")]),
        (("assistant:Hello",), [("messages[0].role", "is 'assistant' where 'user' belongs")]),
        (
            ("system:Be kind", "assistant:Hello"),
            [("messages[1].role", "is 'assistant' where 'user' belongs")],
        ),
        (
            ("user:", "user:Hi", "system:x", "assistant:Hello"),
            [
                ("messages[0].content", "is empty"),
                ("messages[1].role", "is 'user' where 'assistant' belongs"),
                ("messages[2].role", "is 'system' where 'user' belongs"),
            ],
        ),
    ],
)
def test_everything_unfit_about_a_conversation_is_named_with_its_place(
    said: tuple[str, ...], found: list[tuple[str, str]]
) -> None:
    assert named(ChatRow(messages=turns(*said))) == found


def test_a_prompt_with_a_better_and_a_worse_answer_is_fit() -> None:
    assert unfit(preference()) == []


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (preference(chosen="user:no"), [("chosen", "must be exactly one assistant turn")]),
        (preference(rejected="assistant: "), [("rejected[0].content", "is empty")]),
        (preference(prompt=("user:Salt?", "assistant:x")), [("prompt", "must end with a turn of 'user'")]),
        (
            preference(chosen="assistant:Same", rejected="assistant:Same"),
            [("chosen", "is the same as rejected, so there is nothing to prefer")],
        ),
        (
            preference(prompt=(), chosen="assistant:", rejected="user:x"),
            [
                ("prompt", "is empty"),
                ("chosen[0].content", "is empty"),
                ("rejected", "must be exactly one assistant turn"),
            ],
        ),
    ],
)
def test_everything_unfit_about_a_preference_is_named_with_its_place(
    row: PreferenceRow, found: list[tuple[str, str]]
) -> None:
    assert named(row) == found


@given(ROWS)
def test_rows_as_they_should_be_are_fit(row: Row) -> None:
    assert unfit(row) == []


@pytest.mark.parametrize(
    "said",
    [
        ("user:1+2", "call:a", "tool:a", "assistant:3"),
        ("user:1+2", "call:a"),
        ("user:1+2", "call:a", "tool:a", "call:b", "tool:b", "assistant:3", "user:thanks", "assistant:welcome"),
        ("user:Hi", "quiet:Hm", "user:Hi?", "assistant:Hello"),
    ],
)
def test_tools_are_called_and_answered_in_turn(said: tuple[str, ...]) -> None:
    assert unfit(ChatRow(messages=turns(*said), tools=(ADD,))) == []


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (
            ("user:1", "tool:a", "assistant:3"),
            [("messages[1].tool_call_id", "'a' is no tool call that waits for an answer")],
        ),
        (
            ("user:1", "call:a", "tool:b", "assistant:3"),
            [
                ("messages[2].tool_call_id", "'b' is no tool call that waits for an answer"),
                ("messages[3]", "comes before the answer to tool call 'a'"),
            ],
        ),
        (
            ("user:1", "call:a", "user:2", "assistant:3"),
            [("messages[2]", "comes before the answer to tool call 'a'")],
        ),
        (("user:1", "call:a", "tool:a"), [("messages", "must end with a turn of 'assistant'")]),
        (("user:1", "quiet:2"), [("messages", "leave nothing to learn: every assistant turn has weight 0")]),
    ],
)
def test_a_call_without_its_answer_and_an_answer_without_its_call_are_named(
    said: tuple[str, ...], found: list[tuple[str, str]]
) -> None:
    assert named(ChatRow(messages=turns(*said))) == found


def spoken(**given: object) -> Message:
    return Message(**{"role": "assistant", "content": "x", **given})  # type: ignore[arg-type]  # built wrong on purpose


def called(arguments: str = "{}", *, name: str = "add", kind: str = "function", identity: str = "a") -> ToolCall:
    return ToolCall(id=identity, function=FunctionCall(name=name, arguments=arguments), type=kind)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (spoken(role="user", weight=1), "messages[1].weight"),
        (spoken(tool_call_id="a"), "messages[1].tool_call_id"),
        (spoken(tool_calls=()), "messages[1].tool_calls"),
        (spoken(tool_calls=(called("{"),)), "messages[1].tool_calls[0].function.arguments"),
        (spoken(tool_calls=(called("[1]"),)), "messages[1].tool_calls[0].function.arguments"),
        (spoken(tool_calls=(called(kind="shell"),)), "messages[1].tool_calls[0].type"),
        (spoken(tool_calls=(called(name=" "),)), "messages[1].tool_calls[0].function.name"),
        (spoken(tool_calls=(called(), called())), "messages[1].tool_calls[1].id"),
        (spoken(content=None), "messages[1].content"),
    ],
)
def test_a_turn_with_what_does_not_belong_to_it_is_named(message: Message, field: str) -> None:
    assert field in [problem.field for problem in unfit(ChatRow(messages=(turn("user:q"), message)))]


@pytest.mark.parametrize(
    ("tools", "field", "message"),
    [
        ((), "tools", "is empty"),
        (({"type": "function", "function": {}},), "tools[0].function.name", "must be text"),
        (({"name": "add"},), "tools[0].function.name", "must be text"),
        ((ADD, ADD), "tools[1].function.name", "'add' is there twice"),
        (
            ({"type": "function", "function": {"name": "other"}},),
            "tools",
            "describes no function 'add', which is called",
        ),
    ],
)
def test_tools_without_a_sound_description_are_named(
    tools: tuple[dict[str, object], ...], field: str, message: str
) -> None:
    assert named(ChatRow(messages=turns("user:q", "call:a"), tools=tools)) == [(field, message)]


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (TripletRow(anchor=" ", positive="p", negatives=("n",)), [("anchor", "is empty")]),
        (
            TripletRow(anchor="a", positive="p", negatives=("p", "")),
            [("negatives[1]", "is empty"), ("negatives[0]", "is the positive")],
        ),
        (
            TripletRow(anchor="a", positive="p", negatives=("n",), scores=(1.0, float("nan"), 0.0)),
            [("scores", "must have 2 entries, not 3"), ("scores[1]", "is no finite number")],
        ),
        (
            RankingRow(query="", document="d", label=1.5),
            [("query", "is empty"), ("label", "must be a number from 0 to 1")],
        ),
        (RankingRow(query="q", document="d", label=float("nan")), [("label", "must be a number from 0 to 1")]),
        (
            VectorPairRow(input=(), target=(float("inf"),)),
            [("input", "is empty"), ("target[0]", "is no finite number")],
        ),
        (RecordRow(task="", data={}), [("task", "is empty"), ("data", "is empty")]),
        (
            PreferenceRow(prompt=turns("user:q"), chosen=(turn("quiet:a"),), rejected=turns("assistant:b")),
            [("chosen[0].weight", "says nothing here: only the answer counts")],
        ),
        (
            LabelledRow(prompt=turns("assistant:q"), completion=turns("assistant: "), label=True),
            [
                ("completion[0].content", "is empty"),
                ("prompt[0].role", "is 'assistant' where 'user' belongs"),
                ("prompt", "must end with a turn of 'user'"),
            ],
        ),
        (
            LabelledRow(prompt=turns("user:q"), completion=turns("assistant:a", "user:b"), label=False),
            [("completion", "must be exactly one assistant turn")],
        ),
        (
            RaftRow(question=" ", documents=("d", ""), oracle=2, answer="<quote>e</quote>"),
            [
                ("question", "is empty"),
                ("documents[1]", "is empty"),
                ("oracle", "is 2, and there are 2 documents, counted from 0"),
                ("answer", "quotes what stands in none of its documents"),
            ],
        ),
        (RaftRow(question="q", documents=(), answer="a"), [("documents", "is empty")]),
        (
            RaftRow(question="q", documents=("a b",), oracle=0, answer="##begin_quote##a c##end_quote##"),
            [("answer", "quotes what stands in none of its documents")],
        ),
    ],
)
def test_everything_unfit_about_the_other_kinds_is_named(row: Row, found: list[tuple[str, str]]) -> None:
    assert named(row) == found


def test_an_answer_may_quote_any_document_that_is_shown_and_need_not_quote() -> None:
    for answer in ("It is b.", "<quote>b c</quote>, so b.", "##begin_quote## e ##end_quote## then <quote>a</quote>"):
        assert unfit(RaftRow(question="q", documents=("a b c", "d e"), oracle=0, answer=answer)) == []
    assert unfit(RaftRow(question="q", documents=("a",), answer="From memory.")) == []


def test_a_pair_without_negatives_is_fit_as_others_of_its_batch_serve() -> None:
    assert unfit(TripletRow(anchor="a", positive="p", negatives=())) == []


@given(ROWS)
def test_a_row_that_is_fit_ends_in_something_to_learn(row: Row) -> None:
    if isinstance(row, ChatRow):
        assert row.messages[-1].role == "assistant"
        assert any(message.role == "assistant" and message.weight != 0 for message in row.messages)
