"""Dataset files into what a trainer learns from: token ids with labels for chat, message lists for preferences.

Knows the chat template and which tokens the loss sees. A row that cannot teach is counted and told, never just lost.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypedDict

from .engine import Message, Tokenizer
from .failures import WorkerFailure

IGNORED = -100
"""Label that torch.nn.CrossEntropyLoss skips by default (`ignore_index`)."""

Masking = Literal["assistant_tokens", "completion", "all"]


class ChatRow(TypedDict):
    id: str
    messages: list[Message]


class PreferenceRow(TypedDict):
    id: str
    prompt: list[Message]
    chosen: list[Message]
    rejected: list[Message]


class Encoded(NamedTuple):
    input_ids: list[int]
    labels: list[int]


class Prepared(NamedTuple):
    """Rows for the trainer, and what happened to the others."""

    rows: list[Mapping[str, object]]
    masking: Masking
    truncated: int
    dropped: int
    end_token_trained: bool
    notes: list[str]


def read_chat(path: Path) -> list[ChatRow]:
    """Raises WorkerFailure invalid_request with file and line."""
    rows: list[ChatRow] = []
    for where, row in _lines(path):
        messages = _messages(row.get("messages"), f"{where}: messages")
        if messages[-1]["role"] != "assistant":
            raise WorkerFailure("invalid_request", f"{where}: the last message is not the assistant's")
        rows.append({"id": _id(row, where), "messages": messages})
    return rows


def read_preferences(path: Path) -> list[PreferenceRow]:
    """Raises WorkerFailure invalid_request with file and line."""
    return [
        {
            "id": _id(row, where),
            "prompt": _messages(row.get("prompt"), f"{where}: prompt"),
            "chosen": _messages(row.get("chosen"), f"{where}: chosen"),
            "rejected": _messages(row.get("rejected"), f"{where}: rejected"),
        }
        for where, row in _lines(path)
    ]


def _lines(path: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield f"{path.name}:{number}", _object(line, f"{path.name}:{number}")
    except (OSError, UnicodeDecodeError) as broken:
        raise WorkerFailure("invalid_request", f"{path} cannot be read: {broken}") from None


def _object(line: str, where: str) -> Mapping[str, object]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as broken:
        raise WorkerFailure("invalid_request", f"{where} is not JSON: {broken}") from None
    if not isinstance(row, dict):
        raise WorkerFailure("invalid_request", f"{where} is not an object")
    return row


def _id(row: Mapping[str, object], where: str) -> str:
    return str(row.get("id", where))


def _messages(given: object, where: str) -> list[Message]:
    if not isinstance(given, list) or not given:
        raise WorkerFailure("invalid_request", f"{where} is no list of messages")
    for message in given:
        if not (isinstance(message, dict) and all(isinstance(message.get(k), str) for k in ("role", "content"))):
            raise WorkerFailure("invalid_request", f"{where}: a message needs a role and a content, both text")
    return [{"role": message["role"], "content": message["content"]} for message in given]


def require_template(tokenizer: Tokenizer) -> str:
    if not tokenizer.chat_template:
        raise WorkerFailure(
            "unsupported",
            "the base model's tokenizer has no chat template, so it is unknown how a conversation is written for it",
            remedy="start from an instruct model",
        )
    return tokenizer.chat_template


def masking_of(tokenizer: Tokenizer, train_on_inputs: str) -> Masking:
    """`auto` and `disabled` learn answers only: every assistant turn if the template marks them, else the last."""
    template = require_template(tokenizer)
    if train_on_inputs == "enabled":
        return "all"
    return "assistant_tokens" if "{% generation" in template.replace("{%-", "{%") else "completion"


def prompt_ids(tokenizer: Tokenizer, messages: Sequence[Message]) -> list[int]:
    """The conversation up to where the assistant starts to speak."""
    return _render(tokenizer, messages, add_generation_prompt=True)[0]


def _render(
    tokenizer: Tokenizer, messages: Sequence[Message], *, add_generation_prompt: bool = False, mask: bool = False
) -> tuple[list[int], list[int]]:
    made = tokenizer.apply_chat_template(
        messages,
        tokenize=True,
        return_dict=True,
        add_generation_prompt=add_generation_prompt,
        return_assistant_tokens_mask=mask,
    )
    if not isinstance(made, Mapping):
        raise TypeError(f"the chat template gave a {type(made).__name__}")
    return list(made["input_ids"]), list(made["assistant_masks"]) if mask else []


def encode(tokenizer: Tokenizer, messages: Sequence[Message], masking: Masking) -> Encoded:
    """Ids and labels of one conversation. The shift by one is the model's business.

    completion: the loss begins at the first token in which prompt and whole conversation differ, as some templates
    write an earlier turn otherwise than the one being answered.
    """
    if masking == "assistant_tokens":
        ids, mask = _render(tokenizer, messages, mask=True)
        return Encoded(ids, [token if bit else IGNORED for token, bit in zip(ids, mask, strict=True)])
    if masking == "all":
        ids, _ = _render(tokenizer, messages)
        return Encoded(ids, list(ids))
    return encode_answer(tokenizer, messages[:-1], messages[-1:])


def encode_answer(tokenizer: Tokenizer, prompt: Sequence[Message], answer: Sequence[Message]) -> Encoded:
    ids, _ = _render(tokenizer, [*prompt, *answer])
    start = shared_prefix(prompt_ids(tokenizer, prompt), ids)
    return Encoded(ids, [IGNORED] * start + ids[start:])


def shared_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    pairs = zip(left, right, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(left), len(right)))


def stop_ids(tokenizer: Tokenizer, generation_eos: int | list[int] | None = None) -> list[int]:
    """Every token that ends an answer, by the tokenizer's and the model's own account."""
    model = generation_eos if isinstance(generation_eos, list) else [generation_eos]
    return sorted({token for token in (tokenizer.eos_token_id, *model) if token is not None})


def prepare_chat(
    tokenizer: Tokenizer, rows: Sequence[ChatRow], *, masking: Masking, length: int, stops: Sequence[int]
) -> Prepared:
    """Raises WorkerFailure invalid_request if no row is left to learn from."""
    kept: list[Mapping[str, object]] = []
    truncated, ended = 0, 0
    for row in rows:
        encoded = encode(tokenizer, row["messages"], masking)
        cut = Encoded(encoded.input_ids[:length], encoded.labels[:length])
        truncated += len(encoded.input_ids) > length
        # The first label is never predicted: a row whose only label stands there would teach nothing.
        if all(label == IGNORED for label in cut.labels[1:]):
            continue
        ended += any(label in stops for label in cut.labels[-4:])
        kept.append({"input_ids": cut.input_ids, "labels": cut.labels})
    if not kept:
        raise WorkerFailure("invalid_request", f"none of the {len(rows)} rows has an answer within {length} tokens")
    notes = [] if ended else ["no answer ends with a stop token: the model will not learn where to stop"]
    return Prepared(kept, masking, truncated, len(rows) - len(kept), ended > 0, notes)


def prepare_preferences(tokenizer: Tokenizer, rows: Sequence[PreferenceRow], *, length: int) -> Prepared:
    """Message lists as the trainer takes them; a prompt that fills `length` alone has nothing left to compare."""
    require_template(tokenizer)
    kept: list[Mapping[str, object]] = []
    truncated = 0
    for row in rows:
        if len(prompt_ids(tokenizer, row["prompt"])) >= length:
            continue
        longest = max(len(_render(tokenizer, [*row["prompt"], *row[side]])[0]) for side in ("chosen", "rejected"))
        truncated += longest > length
        kept.append({side: row[side] for side in ("prompt", "chosen", "rejected")})
    if not kept:
        raise WorkerFailure("invalid_request", f"none of the {len(rows)} prompts fits {length} tokens")
    return Prepared(kept, "completion", truncated, len(rows) - len(kept), True, [])
