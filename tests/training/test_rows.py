"""What the loss sees. Uses the tokenizer of the tiny model; no weights are loaded."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.training.engine import Tokenizer
from genomed.training.failures import WorkerFailure
from genomed.training.kto import prepare_labelled, read_labelled
from genomed.training.rows import (
    IGNORED,
    ChatRow,
    Encoded,
    encode,
    encode_answer,
    masking_of,
    prepare_chat,
    read_chat,
    read_preferences,
    shared_prefix,
    stop_ids,
)
from genomed.training.tiny import END, TEMPLATE

TALK = [
    {"role": "system", "content": "You route tickets."},
    {"role": "user", "content": "first question"},
    {"role": "assistant", "content": "first answer"},
    {"role": "user", "content": "second question"},
    {"role": "assistant", "content": "second answer"},
]
UNMARKED = TEMPLATE.replace("{% generation %}", "").replace("{% endgeneration %}", "")


def learned(tokenizer: Tokenizer, encoded: Encoded) -> str:
    """The text that the loss sees, special tokens included."""
    return tokenizer.decode([label for label in encoded.labels if label != IGNORED], skip_special_tokens=False)


@pytest.fixture
def template(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> Tokenizer:
    """The tokenizer with a template that marks nothing, as most models have it."""
    monkeypatch.setattr(tokenizer, "chat_template", UNMARKED)
    return tokenizer


def test_with_marks_the_loss_sees_every_answer_and_its_end_and_nothing_else(tokenizer: Tokenizer) -> None:
    assert masking_of(tokenizer, "auto") == masking_of(tokenizer, "disabled") == "assistant_tokens"
    assert learned(tokenizer, encode(tokenizer, TALK, "assistant_tokens")) == f"first answer{END}second answer{END}"


def test_without_marks_the_loss_sees_the_last_answer_only(template: Tokenizer) -> None:
    assert masking_of(template, "auto") == "completion"
    assert learned(template, encode(template, TALK, "completion")) == f"second answer{END}\n"


def test_on_request_the_loss_sees_everything(tokenizer: Tokenizer) -> None:
    assert masking_of(tokenizer, "enabled") == "all"
    encoded = encode(tokenizer, TALK, "all")
    assert encoded.labels == encoded.input_ids


def test_labels_stand_where_their_tokens_stand(tokenizer: Tokenizer) -> None:
    for masking in ("assistant_tokens", "completion", "all"):
        ids, labels = encode(tokenizer, TALK, masking)
        assert all(label in (IGNORED, token) for token, label in zip(ids, labels, strict=True))


def test_a_template_that_writes_the_past_otherwise_still_yields_the_answer(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As templates do that open a thought for the answer to come and drop it from answers given."""
    thinking = UNMARKED.replace("<|start|>assistant\n{% endif %}", "<|start|>assistant\n<think>{% endif %}")
    monkeypatch.setattr(tokenizer, "chat_template", thinking)
    assert learned(tokenizer, encode_answer(tokenizer, TALK[:4], TALK[4:])).startswith("second answer")


def test_a_tokenizer_without_a_template_is_refused(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer, "chat_template", None)
    with pytest.raises(WorkerFailure, match="no chat template"):
        masking_of(tokenizer, "auto")


def rows(*answers: str) -> list[ChatRow]:
    return [
        {"id": str(at), "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": answer}]}
        for at, answer in enumerate(answers)
    ]


def prepared_lengths(tokenizer: Tokenizer, given: Sequence[ChatRow], length: int) -> tuple[int, int, int]:
    prepared = prepare_chat(tokenizer, given, masking="assistant_tokens", length=length, stops=stop_ids(tokenizer))
    return len(prepared.rows), prepared.truncated, prepared.dropped


def test_long_rows_are_cut_and_counted_and_rows_without_an_answer_left_are_told(tokenizer: Tokenizer) -> None:
    long_question: ChatRow = {
        "id": "long",
        "messages": [{"role": "user", "content": "word " * 50}, {"role": "assistant", "content": "yes"}],
    }
    assert prepared_lengths(tokenizer, [*rows("short", "long " * 50), long_question], 40) == (2, 2, 1)
    with pytest.raises(WorkerFailure, match="none of the 1 rows"):
        prepared_lengths(tokenizer, [long_question], 40)


def test_it_is_told_when_no_answer_can_teach_where_to_stop(tokenizer: Tokenizer) -> None:
    sound = prepare_chat(tokenizer, rows("a"), masking="assistant_tokens", length=99, stops=stop_ids(tokenizer))
    endless = prepare_chat(tokenizer, rows("a"), masking="assistant_tokens", length=99, stops=[9999])
    assert (sound.end_token_trained, sound.notes) == (True, [])
    assert not endless.end_token_trained
    assert "where to stop" in endless.notes[0]


def test_stop_tokens_come_from_tokenizer_and_model(tokenizer: Tokenizer) -> None:
    assert stop_ids(tokenizer, [5, 2]) == [2, 5]
    assert stop_ids(tokenizer, None) == [2]


@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)))
def test_the_shared_prefix_is_shared_and_the_longest(left: list[int], right: list[int]) -> None:
    end = shared_prefix(left, right)
    assert left[:end] == right[:end]
    assert left[end : end + 1] != right[end : end + 1] or end == min(len(left), len(right))


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "rows.jsonl:2 is not JSON"),
        ("[]", "rows.jsonl:2 is not an object"),
        ('{"messages": []}', "rows.jsonl:2: messages is no list of messages"),
        ('{"messages": [{"role": "user"}]}', "needs a role and a content"),
        ('{"messages": [{"role": "user", "content": "hi"}]}', "the last message is not the assistant's"),
    ],
)
def test_a_bad_row_is_refused_with_its_place(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(rows("fine")[0]) + "\n" + line + "\n")
    with pytest.raises(WorkerFailure, match=complaint):
        read_chat(path)


def test_a_preference_row_needs_both_sides(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    message = [{"role": "user", "content": "hi"}]
    path.write_text(json.dumps({"id": "1", "prompt": message, "chosen": message}))
    with pytest.raises(WorkerFailure, match="rejected"):
        read_preferences(path)


def rated(**changes: object) -> dict[str, object]:
    prompt, answer = TALK[1:2], TALK[2:3]
    return {"id": "1", "prompt": prompt, "completion": answer, "label": True, **changes}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"label": 1}, "label is neither true nor false"),
        ({"completion": []}, "completion is no list of messages"),
        ({"completion": [{**TALK[2], "weight": 0}]}, "compared whole"),
        ({"completion": [{"role": "assistant", "tool_calls": [{}]}]}, "with tools are not trained here"),
    ],
)
def test_a_labelled_row_that_is_none_is_named_by_file_and_line(
    tmp_path: Path, wrong: dict[str, object], told: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(rated()) + "\n" + json.dumps(rated(**wrong)) + "\n", encoding="utf-8")
    with pytest.raises(WorkerFailure, match=f"rows.jsonl:2: .*{told}"):
        read_labelled(path)


def test_labelled_rows_are_trained_in_an_order_of_the_seed_and_a_prompt_too_long_is_left_out(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [rated(id=str(at), label=at % 2 == 0) for at in range(20)]
    rows.append(rated(prompt=[{"role": "user", "content": "long " * 200}]))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    read = read_labelled(path)
    first, again = (prepare_labelled(tokenizer, read, length=100, batch=4, seed=5) for _ in range(2))
    assert first == again
    assert (len(first.rows), first.dropped, first.notes) == (20, 1, [])
    assert [row["label"] for row in first.rows] != [row["label"] for row in read[:20]]
    assert [row["label"] for row in prepare_labelled(tokenizer, read, length=100, batch=4).rows] == [
        row["label"] for row in read[:20]
    ]
    wanted, lonely = prepare_labelled(tokenizer, read[:1], length=100, batch=4).notes
    assert wanted == "every answer is wanted"
    assert lonely.startswith("the last row of an epoch has no neighbour")
