"""Tools and weights of turns reach the loss as they were meant, or the run is refused; with the tiny model."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from genomed.training import tiny
from genomed.training.engine import Message, Tokenizer, load_model, load_tokenizer
from genomed.training.failures import WorkerFailure
from genomed.training.judge import Bench, judge_chat
from genomed.training.rows import (
    IGNORED,
    ChatRow,
    encode,
    prepare_chat,
    prompt_ids,
    read_chat,
    read_preferences,
    stop_ids,
)
from genomed.training.tiny import END, TEMPLATE

UNMARKED = TEMPLATE.replace("{% generation %}", "").replace("{% endgeneration %}", "")
WITH_TOOLS = "{% if tools %}<|start|>tools\n{{ tools | tojson }}<|end|>\n{% endif %}" + TEMPLATE.replace(
    "{{ message['content'] }}<|end|>{% endgeneration %}",
    "{{ message['content'] }}{% for call in message['tool_calls'] or [] %}"
    "{{ call.function.name }}({{ call.function.arguments | tojson }}){% endfor %}<|end|>{% endgeneration %}",
)
ADD = {"type": "function", "function": {"name": "add", "parameters": {}}}
CALL = {"id": "c", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}


def talk(*weights: int | None) -> list[Message]:
    """A question and an answer for each weight."""
    made: list[Message] = []
    for n, weight in enumerate(weights, 1):
        answer: Message = {"role": "assistant", "content": f"answer {n}"}
        made += [
            {"role": "user", "content": f"question {n}"},
            answer if weight is None else {**answer, "weight": weight},
        ]
    return made


def learned(tokenizer: Tokenizer, labels: Sequence[int]) -> str:
    return tokenizer.decode([label for label in labels if label != IGNORED], skip_special_tokens=False)


def stored(tmp_path: Path, row: dict[str, object]) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"id": "1", **row}) + "\n", encoding="utf-8")
    return path


def calling() -> dict[str, object]:
    return {
        "messages": [
            {"role": "user", "content": "add"},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "content": "1", "tool_call_id": "c"},
            {"role": "assistant", "content": "one"},
        ],
        "tools": [ADD],
    }


@pytest.fixture
def tools(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> Tokenizer:
    """The tokenizer with a template that writes tools and calls."""
    monkeypatch.setattr(tokenizer, "chat_template", WITH_TOOLS)
    return tokenizer


@pytest.mark.parametrize(
    ("weights", "seen"),
    [
        ((None, None, None), f"answer 1{END}answer 2{END}answer 3{END}"),
        ((1, 0, 1), f"answer 1{END}answer 3{END}"),
        ((0, 0, None), f"answer 3{END}"),
        ((0, 1, 0), f"answer 2{END}"),
    ],
)
def test_with_marks_a_turn_with_weight_0_is_out_of_the_loss_and_stays_in_the_text(
    tokenizer: Tokenizer, weights: tuple[int | None, ...], seen: str
) -> None:
    encoded = encode(tokenizer, talk(*weights), "assistant_tokens")
    assert learned(tokenizer, encoded.labels) == seen
    assert encoded.input_ids == encode(tokenizer, talk(*[None] * len(weights)), "assistant_tokens").input_ids


def test_without_marks_the_last_turn_that_has_weight_is_learned(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer, "chat_template", UNMARKED)
    assert learned(tokenizer, encode(tokenizer, talk(0, 1, 0), "completion").labels) == f"answer 2{END}\n"
    assert learned(tokenizer, encode(tokenizer, talk(0, 0, 1), "completion").labels) == f"answer 3{END}\n"
    row: ChatRow = {"id": "1", "messages": talk(1, 1)}
    prepared = prepare_chat(tokenizer, [row], masking="completion", length=99, stops=stop_ids(tokenizer))
    assert any("only the last one that has weight" in note for note in prepared.notes)


def test_on_everything_a_turn_with_weight_0_is_still_left_out_or_the_run_is_refused(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "answer 1" not in learned(tokenizer, encode(tokenizer, talk(0, 1), "all").labels)
    assert "question 1" in learned(tokenizer, encode(tokenizer, talk(0, 1), "all").labels)
    monkeypatch.setattr(tokenizer, "chat_template", UNMARKED)
    with pytest.raises(WorkerFailure, match="weights of 0 have no place") as refused:
        encode(tokenizer, talk(0, 1), "all")
    assert refused.value.kind == "unsupported"


def test_a_row_that_teaches_nothing_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(WorkerFailure, match=r"rows\.jsonl:1: every assistant turn has weight 0"):
        read_chat(stored(tmp_path, {"messages": talk(0)}))


def test_tools_and_calls_are_written_and_calls_are_learned(tools: Tokenizer, tmp_path: Path) -> None:
    (row,) = read_chat(stored(tmp_path, calling()))
    encoded = encode(tools, row["messages"], "assistant_tokens", row.get("tools"))
    text = tools.decode(encoded.input_ids, skip_special_tokens=False)
    assert '"name": "add"' in text.split("<|start|>user")[0]
    assert learned(tools, encoded.labels) == f'add({{"a": 1}}){END}one{END}'
    assert '"name": "add"' in tools.decode(prompt_ids(tools, row["messages"][:1], row.get("tools")))


@pytest.mark.parametrize(("without", "complaint"), [("tools", "tool calls"), ("calls", "the descriptions of tools")])
def test_a_template_that_leaves_out_tools_is_refused(
    tokenizer: Tokenizer, tmp_path: Path, without: str, complaint: str
) -> None:
    row = calling()
    if without == "tools":
        row.pop("tools")
    else:
        row["messages"] = talk(None)
    rows = read_chat(stored(tmp_path, row))
    with pytest.raises(WorkerFailure, match=f"does not write {complaint}") as refused:
        prepare_chat(tokenizer, rows, masking="assistant_tokens", length=99, stops=stop_ids(tokenizer))
    assert refused.value.kind == "unsupported"


@pytest.mark.parametrize(
    "call", [{"id": "c"}, {"id": "c", "function": {"name": "add", "arguments": "{"}}, {"function": {"arguments": "[]"}}]
)
def test_a_call_that_is_none_is_refused_with_its_place(tmp_path: Path, call: dict[str, object]) -> None:
    turn = {"role": "assistant", "content": None, "tool_calls": [call]}
    with pytest.raises(WorkerFailure, match=r"rows.jsonl:1.*arguments as JSON"):
        read_chat(stored(tmp_path, {"messages": [{"role": "user", "content": "q"}, turn]}))


def test_preferences_with_tools_are_refused(tmp_path: Path) -> None:
    sides = {name: [{"role": "user", "content": "x"}] for name in ("prompt", "chosen", "rejected")}
    for extra in ({"tools": [ADD]}, {"chosen": [{"role": "assistant", "content": None, "tool_calls": [CALL]}]}):
        with pytest.raises(WorkerFailure, match="preferences with tools") as refused:
            read_preferences(stored(tmp_path, {**sides, **extra}))
        assert refused.value.kind == "unsupported"


def test_a_call_is_judged_by_what_the_template_writes_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.build(tmp_path / "tiny", seed=1, steps=0, size="mini")
    tokenizer, model = load_tokenizer(str(tmp_path / "tiny")), load_model(str(tmp_path / "tiny"))
    monkeypatch.setattr(tokenizer, "chat_template", WITH_TOOLS)
    given = calling()
    given["messages"] = calling()["messages"][:2]  # type: ignore[index]  # the call is the answer
    rows = read_chat(stored(tmp_path, given))
    bench = Bench(tokenizer, stop_ids(tokenizer), batch=2, max_new_tokens=3, samples=1, pause=lambda: None)
    facts = judge_chat(model, rows, bench).facts
    samples = facts["samples"]
    assert isinstance(samples, list)
    assert [(one["prompt"], one["expected"], one["exact"]) for one in samples] == [("add", 'add({"a": 1})', False)]
    assert facts["loss"] is not None
