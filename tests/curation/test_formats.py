"""Each format by its example: what it reads, what it says that it leaves out, and how it is recognised."""

import json
from pathlib import Path

import pytest

from genomed.curation.formats import FORMATS, Detected, Misfit, detected, format_named, formats_of, reader
from genomed.entities.errors import InvalidRequest
from genomed.entities.json_value import JsonObject
from genomed.entities.row_fitness import unfit
from genomed.entities.rows import ChatRow, PreferenceRow, RecordRow, TripletRow, canonical, row_id
from genomed.entities.types import RowKind
from tests.curation.format_examples import EXAMPLES, SALT, TOOL, said

GOLDEN = Path(__file__).parent.parent / "golden" / "formats"


def golden(name: str) -> JsonObject:
    """What an example becomes; a changed file is a change of what people's files mean."""
    form = format_named(name)
    row = form.read(EXAMPLES[name])
    return {
        "object": EXAMPLES[name],
        "row": json.loads(canonical(row)),
        "leftOut": list(form.left_out(EXAMPLES[name])),
        "written": form.write(row),
        "losses": list(form.losses(row)),
    }


def test_every_format_has_an_example() -> None:
    assert [form.name for form in FORMATS] == list(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_means_what_it_always_meant(name: str) -> None:
    assert golden(name) == json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_fit_and_recognised_as_what_it_is(name: str) -> None:
    found = detected([EXAMPLES[name]] * 3)
    row = format_named(name).read(EXAMPLES[name])
    assert unfit(row) == []
    assert found.format == name
    assert name in [form.name for form in formats_of(found.row_kind)]


@pytest.mark.parametrize(
    ("sample", "format", "kind"),
    [
        ({"messages": SALT}, "openai_chat", RowKind.CHAT),
        ({"id": "7", "messages": SALT, "source": "x"}, "openai_chat", RowKind.CHAT),
        (
            {"instruction": "a", "input": "", "output": "b", "text": "### Instruction:\na\n\n### Response:\nb"},
            "alpaca",
            RowKind.CHAT,
        ),
        (
            {"prompt": "Salt?", "chosen": SALT, "rejected": SALT, "score": 1},
            "trl_preference_implicit",
            RowKind.PREFERENCE,
        ),
        ({"query": "a", "positive": "b", "negative": "c"}, "sentence_triplets", RowKind.TRIPLET),
        ({"anchor": "a", "positive": "b"}, "sentence_triplets", RowKind.TRIPLET),
        ({"anchor": "a", "positive": "b", "negatives": ["c"]}, "rows", RowKind.TRIPLET),
        ({"input": [1.0], "target": [0.5]}, "rows", RowKind.VECTOR_PAIR),
        ({"text": "<|im_start|>user\nx<|im_end|>"}, "chatml", RowKind.CHAT),
    ],
)
def test_what_explains_most_of_a_file_is_its_format(sample: JsonObject, format: str, kind: RowKind) -> None:  # noqa: A002
    found = detected([sample])
    assert (found.format, found.row_kind) == (format, kind)


def test_a_row_of_our_own_is_recognised_by_its_id() -> None:
    row = ChatRow(messages=format_named("prompt_completion").read({"prompt": "a", "completion": "b"}).messages)  # type: ignore[union-attr]
    made = format_named("rows").write(row)
    assert made["id"] == row_id(row)
    assert detected([made]) == Detected(format="rows", row_kind=RowKind.CHAT, certain=False, others=("openai_chat",))


def test_a_file_that_could_be_two_things_is_asked_about() -> None:
    both: JsonObject = {"text": "<|im_start|>user\n### Instruction: ### Response:<|im_end|>"}
    with pytest.raises(InvalidRequest, match="alpaca_text and chatml") as refused:
        detected([both])
    assert refused.value.field == "format"
    mixed: JsonObject = {"messages": SALT, "conversations": [{"from": "human", "value": "x"}]}
    with pytest.raises(InvalidRequest, match="openai_chat and sharegpt"):
        detected([mixed])


def test_a_file_of_unknown_shape_is_refused_with_the_names_of_its_fields() -> None:
    with pytest.raises(InvalidRequest, match="`question`, `answers`"):
        detected([{"question": "a", "answers": ["b"]}])
    with pytest.raises(InvalidRequest, match="no rows"):
        detected([])
    with pytest.raises(InvalidRequest, match="of triplet rows"):
        detected([{"messages": SALT}], row_kind=RowKind.TRIPLET)


def test_a_files_own_columns_can_be_named() -> None:
    columns = {"prompt": "question", "completion": "best_answer"}
    sample = {"question": "Salt?", "best_answer": "A pinch.", "id": 7}
    found = detected([sample], columns=columns)
    assert found.format == "prompt_completion"
    one = reader(found.format, columns)
    assert canonical(one.read(sample)) == canonical(ChatRow(messages=one.read(sample).messages))  # type: ignore[union-attr]
    assert one.left_out(sample) == ("`id` is not kept",)
    assert one.left_out(sample, used=("id",)) == ()
    with pytest.raises(Misfit, match="has none of the columns"):
        one.read({"other": 1})
    with pytest.raises(InvalidRequest, match="has no such field"):
        reader("prompt_completion", {"answer": "x"})
    with pytest.raises(InvalidRequest, match="is no format"):
        reader("parquet")


def test_every_problem_of_an_object_is_named_with_its_path() -> None:
    broken: JsonObject = {
        "messages": [
            {"role": "robot", "content": "x"},
            {"role": "assistant"},
            {"role": "user", "content": [{"type": "image_url"}]},
            {"role": "assistant", "function_call": {"name": "f"}, "content": "x"},
            "hi",
        ]
    }
    with pytest.raises(Misfit) as misfit:
        format_named("openai_chat").read(broken)
    assert [one.field for one in misfit.value.problems] == [
        "messages[1].content",
        "messages[2].content[0]",
        "messages[3].function_call",
    ]
    with pytest.raises(Misfit) as other:
        format_named("openai_preference").read({"input": {}, "preferred_output": 1})
    assert [one.field for one in other.value.problems] == ["input.messages", "preferred_output", "non_preferred_output"]


def test_openai_messages_are_read_leniently_and_every_change_is_said() -> None:
    form = format_named("openai_chat")
    given: JsonObject = {
        "messages": [
            said("developer", "Be kind"),
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {
                "role": "assistant",
                "refusal": None,
                "tool_calls": [{"id": "c", "function": {"name": "add", "arguments": {"a": 1}}}],
            },
            {"role": "tool", "content": "1", "tool_call_id": "c", "reasoning": "none"},
            said("assistant", "1"),
        ],
        "tools": [],
        "metadata": {"a": 1},
    }
    row = form.read(given)
    assert isinstance(row, ChatRow)
    assert [turn.role for turn in row.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert (row.messages[1].content, row.tools) == ("ab", None)
    assert form.left_out(given) == (
        "the role `developer` becomes `system`",
        "content in several parts becomes one text",
        "arguments given as an object become JSON text",
        "`messages[].tool_calls[].type` is added",
        "`messages[].reasoning` is not kept",
        "`metadata` is not kept",
    )


def test_whole_conversations_with_the_prompt_beside_them_are_read() -> None:
    form = format_named("trl_preference_implicit")
    worse = [SALT[0], said("assistant", "A kilo.")]
    row = form.read({"prompt": "Salt?", "chosen": SALT, "rejected": worse})
    assert isinstance(row, PreferenceRow)
    assert [turn.content for turn in row.prompt] == ["Salt?"]
    with pytest.raises(Misfit, match="is not what chosen and rejected begin with"):
        form.read({"prompt": "Pepper?", "chosen": SALT, "rejected": worse})
    with pytest.raises(Misfit, match="unknown what was asked"):
        form.read({"chosen": [SALT[0]], "rejected": [SALT[1]]})


def test_equal_answers_are_read_so_that_they_can_be_counted_and_left_out() -> None:
    row = format_named("trl_preference_implicit").read({"chosen": SALT, "rejected": SALT})
    assert [problem.field for problem in unfit(row)] == ["chosen"]


def test_plain_text_is_never_taken_for_an_answer() -> None:
    assert format_named("plain_text").read({"text": "x"}) == RecordRow(task="text", data={"text": "x"})


def test_negatives_are_read_in_the_order_of_their_numbers() -> None:
    found = {"anchor": "a", "positive": "p", **{f"negative_{n}": str(n) for n in (10, 2, 1)}, "negative_11": None}
    assert format_named("sentence_triplets").read(found) == TripletRow(
        anchor="a", positive="p", negatives=("1", "2", "10")
    )


def test_tool_calls_of_sharegpt_are_numbered_and_answered_in_order() -> None:
    form = format_named("sharegpt")
    calls = [{"name": "add", "arguments": {"a": n}} for n in (1, 2)]
    turns = [
        {"from": "human", "value": "add both"},
        {"from": "function_call", "value": json.dumps(calls)},
        {"from": "observation", "value": "1"},
        {"from": "observation", "value": "2"},
        {"from": "gpt", "value": "3"},
    ]
    row = form.read({"conversations": turns, "tools": json.dumps([TOOL])})
    assert isinstance(row, ChatRow)
    assert unfit(row) == []
    assert [turn.tool_call_id for turn in row.messages] == [None, None, "call_1", "call_2", None]
    assert form.left_out({"conversations": turns, "tools": json.dumps([TOOL])}) == ()


@pytest.mark.parametrize("name", ["alpaca", "alpaca_text", "chatml", "prompt_completion", "trl_preference_text"])
def test_a_format_without_a_place_for_tools_refuses_rows_that_have_them(name: str) -> None:
    form = format_named(name)
    kind = "openai_chat" if RowKind.CHAT in form.kinds else "openai_preference"
    with pytest.raises(Misfit):
        form.write(format_named(kind).read(EXAMPLES[kind]))
