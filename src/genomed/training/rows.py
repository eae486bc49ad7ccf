"""Dataset files into what a trainer learns from: token ids with labels for chat, message lists for preferences.

Knows the chat template and which tokens the loss sees. A row that cannot teach is counted and told, never just lost.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, NotRequired, TypedDict

from .engine import Message, Tokenizer
from .failures import WorkerFailure

IGNORED = -100
"""Label that torch.nn.CrossEntropyLoss skips by default (`ignore_index`)."""

Masking = Literal["assistant_tokens", "completion", "all"]
Tools = Sequence[object] | None


class ChatRow(TypedDict):
    """messages: as the template takes them, and `weight` beside the assistant's turns that have one."""

    id: str
    messages: list[Message]
    tools: NotRequired[list[object]]


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
    for where, row in lines(path):
        messages = messages_of(row.get("messages"), f"{where}: messages")
        if messages[-1]["role"] != "assistant":
            raise WorkerFailure("invalid_request", f"{where}: the last message is not the assistant's")
        if all(turn.get("weight") == 0 for turn in messages if turn["role"] == "assistant"):
            raise WorkerFailure("invalid_request", f"{where}: every assistant turn has weight 0")
        made: ChatRow = {"id": identity(row, where), "messages": messages}
        if row.get("tools"):
            made["tools"] = _tools(row["tools"], where)
        rows.append(made)
    return rows


def _tools(given: object, where: str) -> list[object]:
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise WorkerFailure("invalid_request", f"{where}: tools is no list of objects")
    return given


def read_preferences(path: Path) -> list[PreferenceRow]:
    """Raises WorkerFailure invalid_request with file and line; unsupported for tools, as the engine keeps rows in
    tables, in which calls of differing shape become one another's.
    """
    return [
        {
            "id": identity(row, where),
            "prompt": messages_of(row.get("prompt"), f"{where}: prompt"),
            "chosen": messages_of(row.get("chosen"), f"{where}: chosen"),
            "rejected": messages_of(row.get("rejected"), f"{where}: rejected"),
        }
        for where, row in without_tools(lines(path))
    ]


def without_tools(rows: Iterator[tuple[str, Mapping[str, object]]]) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Of rows that compare or rate answers."""
    sides = ("prompt", "chosen", "rejected", "completion")
    for where, row in rows:
        turns = [turn for side in sides for turn in _listed(row.get(side))]
        if row.get("tools") or any(isinstance(turn, dict) and turn.get("tool_calls") for turn in turns):
            raise WorkerFailure("unsupported", f"{where}: preferences with tools are not trained here")
        rated = [turn for side in sides[1:] for turn in _listed(row.get(side))]
        if any(isinstance(turn, dict) and turn.get("weight") == 0 for turn in rated):
            raise WorkerFailure(
                "unsupported", f"{where}: an answer is compared whole; weights of 0 have no place in it"
            )
        yield where, row


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def lines(path: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
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


def identity(row: Mapping[str, object], where: str) -> str:
    return str(row.get("id", where))


def messages_of(given: object, where: str) -> list[Message]:
    if not isinstance(given, list) or not given:
        raise WorkerFailure("invalid_request", f"{where} is no list of messages")
    return [_message(message, where) for message in given]


def _message(given: object, where: str) -> Message:
    """As templates take it: calls with their arguments as objects, and no content as an empty one."""
    if not isinstance(given, dict) or not isinstance(given.get("role"), str):
        raise WorkerFailure("invalid_request", f"{where}: a message needs a role and a content, both text")
    calls, content = given.get("tool_calls"), given.get("content")
    if not isinstance(content, str) and not (content is None and calls):
        raise WorkerFailure("invalid_request", f"{where}: a message needs a role and a content, both text")
    kept = {name: given[name] for name in ("name", "tool_call_id", "weight") if given.get(name) is not None}
    message: dict[str, object] = {"role": given["role"], "content": content or "", **kept}
    if calls:
        message["tool_calls"] = [_call(call, where) for call in _listed(calls)]
    return message


def _call(given: object, where: str) -> object:
    function = given.get("function") if isinstance(given, dict) else None
    try:
        arguments = json.loads(function["arguments"]) if isinstance(function, dict) else None
    except (KeyError, TypeError, json.JSONDecodeError):
        arguments = None
    if not isinstance(given, dict) or not isinstance(function, dict) or not isinstance(arguments, dict):
        raise WorkerFailure("invalid_request", f"{where}: a tool call needs a function with arguments as JSON")
    return {**given, "function": {**function, "arguments": arguments}}


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


def prompt_ids(tokenizer: Tokenizer, messages: Sequence[Message], tools: Tools = None) -> list[int]:
    """The conversation up to where the assistant starts to speak."""
    return _render(tokenizer, messages, tools=tools, add_generation_prompt=True)[0]


def _render(
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    *,
    tools: Tools = None,
    add_generation_prompt: bool = False,
    mask: bool = False,
) -> tuple[list[int], list[int]]:
    made = tokenizer.apply_chat_template(
        [{name: value for name, value in message.items() if name != "weight"} for message in messages],
        tools=tools,
        tokenize=True,
        return_dict=True,
        add_generation_prompt=add_generation_prompt,
        return_assistant_tokens_mask=mask,
    )
    if not isinstance(made, Mapping):
        raise TypeError(f"the chat template gave a {type(made).__name__}")
    return list(made["input_ids"]), list(made["assistant_masks"]) if mask else []


def require_tools(tokenizer: Tokenizer, rows: Sequence[ChatRow]) -> None:
    """Raises WorkerFailure unsupported where the template would leave out what rows have: shown by writing the first of
    them with and without it.
    """
    described = next(((row["messages"], row["tools"]) for row in rows if row.get("tools") and "tools" in row), None)
    if described is not None:
        messages, tools = described
        if _render(tokenizer, messages, tools=tools) == _render(tokenizer, messages):
            raise _leaves_out("the descriptions of tools")
    calling = next((row["messages"] for row in rows if any(turn.get("tool_calls") for turn in row["messages"])), None)
    if calling is not None:
        silent = [{name: value for name, value in turn.items() if name != "tool_calls"} for turn in calling]
        if _render(tokenizer, calling) == _render(tokenizer, silent):
            raise _leaves_out("tool calls")


def _leaves_out(what: str) -> WorkerFailure:
    return WorkerFailure(
        "unsupported",
        f"the base model's chat template does not write {what}, so they would be dropped",
        remedy="start from a model that was trained to use tools, or give a dataset without them",
    )


def to_learn(row: ChatRow) -> tuple[list[Message], Message]:
    """The last turn whose weight is not 0, and what stands before it. What follows it has no part in its loss."""
    messages = row["messages"]
    at = max(n for n, turn in enumerate(messages) if turn["role"] == "assistant" and turn.get("weight") != 0)
    return messages[:at], messages[at]


def encode(tokenizer: Tokenizer, messages: Sequence[Message], masking: Masking, tools: Tools = None) -> Encoded:
    """Ids and labels of one conversation. The shift by one is the model's business.

    completion: the loss begins at the first token in which prompt and whole conversation differ, as some templates
    write an earlier turn otherwise than the one being answered. A turn with weight 0 has no labels.
    """
    if masking == "assistant_tokens":
        ids, mask = _render(tokenizer, messages, tools=tools, mask=True)
        bits = [bit and not off for bit, off in zip(mask, _weightless(messages, mask), strict=True)]
        return Encoded(ids, [token if bit else IGNORED for token, bit in zip(ids, bits, strict=True)])
    if masking == "all":
        ids, mask = _render(tokenizer, messages, tools=tools, mask=_has_weightless(messages))
        off = _weightless(messages, mask) if mask else [False] * len(ids)
        return Encoded(ids, [IGNORED if out else token for token, out in zip(ids, off, strict=True)])
    before, answer = to_learn({"id": "", "messages": list(messages)})
    return encode_answer(tokenizer, before, [answer], tools)


def _has_weightless(messages: Sequence[Message]) -> bool:
    return any(turn.get("weight") == 0 for turn in messages)


def _weightless(messages: Sequence[Message], mask: Sequence[int]) -> list[bool]:
    """Which tokens belong to turns with weight 0: the template marks the assistant's turns one after the other."""
    if not _has_weightless(messages):
        return [False] * len(mask)
    turns = [turn for turn in messages if turn["role"] == "assistant"]
    starts = [at for at, bit in enumerate(mask) if bit and (at == 0 or not mask[at - 1])]
    if len(starts) != len(turns):
        raise WorkerFailure(
            "unsupported",
            "the base model's chat template does not mark each turn of the assistant, so weights of 0 have no place",
            remedy="give a dataset without weights, or leave out training on inputs",
        )
    off = [False] * len(mask)
    for turn, start in zip(turns, starts, strict=True):
        at = start
        while turn.get("weight") == 0 and at < len(mask) and mask[at]:
            off[at] = True
            at += 1
    return off


def encode_answer(
    tokenizer: Tokenizer, prompt: Sequence[Message], answer: Sequence[Message], tools: Tools = None
) -> Encoded:
    ids, _ = _render(tokenizer, [*prompt, *answer], tools=tools)
    start = shared_prefix(prompt_ids(tokenizer, prompt, tools), ids)
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
    require_tools(tokenizer, rows)
    kept: list[Mapping[str, object]] = []
    truncated, ended = 0, 0
    for row in rows:
        encoded = encode(tokenizer, row["messages"], masking, row.get("tools"))
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
    if masking == "completion" and any(turn.get("weight") == 1 for row in rows for turn in row["messages"][:-1]):
        notes.append(
            "the chat template does not mark answers: of each row only the last one that has weight is learned"
        )
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
