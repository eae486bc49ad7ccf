"""Alpaca's form: instruction, input and output, with the system prompt and the earlier turns that others added to it.

The turn of the user is the instruction, a blank line, and the input: which of both a sentence stood in is not kept.
"""

import msgspec

from genomed.curation.formats.shape import Format, Misfit, text_of
from genomed.entities.errors import Problem
from genomed.entities.json_value import JsonObject
from genomed.entities.rows import ChatRow, Message, Row
from genomed.entities.types import RowKind

_QUIET: tuple[object, ...] = ("", [], None)
_PAIR = 2


def _kind(found: JsonObject) -> RowKind | None:
    both = isinstance(found.get("instruction"), str) and isinstance(found.get("output"), str)
    return RowKind.CHAT if both else None


def _read(found: JsonObject) -> Row:
    missing: list[Problem] = []
    instruction, output = text_of(found, "instruction", missing), text_of(found, "output", missing)
    given, system = (
        text_of(found, name, missing) if found.get(name) is not None else "" for name in ("input", "system")
    )
    messages = [Message(role="system", content=system)] if system else []
    messages += _history(found.get("history"), missing)
    if missing:
        raise Misfit(*missing)
    asked = f"{instruction}\n\n{given}" if instruction and given else instruction or given
    return ChatRow(messages=(*messages, Message(role="user", content=asked), Message(role="assistant", content=output)))


def _history(given: object, missing: list[Problem]) -> list[Message]:
    if given is None:
        return []
    try:
        pairs = msgspec.convert(given, list[tuple[str, str]])
    except msgspec.ValidationError:
        missing.append(Problem(field="history", message="must be a list of pairs of texts"))
        return []
    return [
        Message(role=role, content=text)
        for pair in pairs
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]


def _write(row: Row) -> JsonObject:
    if not isinstance(row, ChatRow):
        raise Misfit.at("", "is no conversation")
    if row.tools is not None or any(m.tool_calls is not None or m.tool_call_id is not None for m in row.messages):
        raise Misfit.at("tools", "have no place in this form", "write it as openai_chat or sharegpt")
    turns = row.messages[1:] if row.messages and row.messages[0].role == "system" else row.messages
    wanted = ["user", "assistant"] * (len(turns) // _PAIR)
    if not turns or [turn.role for turn in turns] != wanted or any(turn.content is None for turn in row.messages):
        raise Misfit.at("messages", "are not questions with their answers in turn", "write it as openai_chat")
    if len(turns) < len(row.messages) and not row.messages[0].text:
        raise Misfit.at("messages[0].content", "is empty")
    *earlier, asked, answer = (turn.text for turn in turns)
    made: JsonObject = {"instruction": asked, "input": "", "output": answer}
    if len(turns) < len(row.messages):
        made["system"] = row.messages[0].text
    if earlier:
        made["history"] = [list(pair) for pair in zip(earlier[::_PAIR], earlier[1::_PAIR], strict=True)]
    return made


def _plain(found: JsonObject) -> JsonObject:
    optional = {"input", "system", "history"}
    return {name: value for name, value in found.items() if name not in optional or value not in _QUIET}


FORMAT = Format(
    name="alpaca",
    summary="instruction, input and output, with optional system and history",
    kinds=(RowKind.CHAT,),
    fields=frozenset({"instruction", "input", "output", "system", "history"}),
    resembles=_kind,
    reads=_read,
    writes=_write,
    columns={RowKind.CHAT: ("instruction", "input", "output", "system", "history")},
    plain=_plain,
    why={
        "instruction": "instruction and input become one turn",
        "input": "instruction and input become one turn",
        "messages[].weight": "weights of turns are not kept",
        "messages[].name": "names of speakers are not kept",
    },
)
