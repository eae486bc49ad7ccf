"""One text in ChatML: each turn between its marks of start and end."""

from genomed.curation.formats.shape import Format, Misfit, text_of
from genomed.entities.errors import Problem
from genomed.entities.json_value import JsonObject
from genomed.entities.rows import ChatRow, Message, Row
from genomed.entities.types import RowKind

_START, _END = "<|im_start|>", "<|im_end|>"
_ROLES = {"system", "user", "assistant"}


def _kind(found: JsonObject) -> RowKind | None:
    text = found.get("text")
    return RowKind.CHAT if isinstance(text, str) and text.lstrip().startswith(_START) else None


def _read(found: JsonObject) -> Row:
    missing: list[Problem] = []
    text = text_of(found, "text", missing)
    if missing:
        raise Misfit(*missing)
    turns: list[Message] = []
    before, *parts = text.split(_START)
    if before.strip() or not parts:
        raise Misfit.at("text", f"does not begin with {_START}")
    for n, part in enumerate(parts, 1):
        said, ended, after = part.partition(_END)
        role, newline, content = said.partition("\n")
        if not ended or not newline or after.strip():
            raise Misfit.at("text", f"has a turn {n} that is not a role, a line end, words and {_END}")
        if role not in _ROLES:
            raise Misfit.at("text", f"has a turn {n} of {role[:40]!r}", "roles are system, user and assistant")
        turns.append(Message(role=role, content=content))
    return ChatRow(messages=tuple(turns))


def _write(row: Row) -> JsonObject:
    if not isinstance(row, ChatRow) or row.tools is not None:
        raise Misfit.at("tools", "have no place in this form", "write it as openai_chat or sharegpt")
    text = "".join(f"{_START}{turn.role}\n{turn.text}{_END}\n" for turn in row.messages)
    told = tuple(Message(role=turn.role, content=turn.content) for turn in row.messages)
    made: JsonObject = {"text": text}
    fits = bool(told) and all(m.tool_calls is None and m.role in _ROLES for m in row.messages)
    if not fits or not _reads_as(made, ChatRow(messages=told)):
        raise Misfit.at("messages", "hold tools, or marks of this form", "write it as openai_chat")
    return made


def _reads_as(made: JsonObject, row: Row) -> bool:
    try:
        return _read(made) == row
    except Misfit:
        return False


FORMAT = Format(
    name="chatml",
    summary=f"text with {_START} and {_END} around each turn",
    kinds=(RowKind.CHAT,),
    fields=frozenset({"text"}),
    resembles=_kind,
    reads=_read,
    writes=_write,
    columns={RowKind.CHAT: ("text",)},
    why={
        "text": "white space between turns is made regular",
        "messages[].weight": "weights of turns are not kept",
        "messages[].name": "names of speakers are not kept",
        "messages[].tool_call_id": "ids of tool calls are not kept",
    },
)
