"""OpenAI's chat form, which Fireworks, Together and Mistral read too: messages, tools, and weights of turns."""

from genomed.curation.formats.shape import Format, Misfit
from genomed.curation.formats.turns import PARALLEL, plain_turns, reasons, tools_of, turns_of, written
from genomed.entities.json_value import JsonObject
from genomed.entities.rows import ChatRow, Row
from genomed.entities.types import RowKind


def _kind(found: JsonObject) -> RowKind | None:
    return RowKind.CHAT if isinstance(found.get("messages"), list) else None


def _read(found: JsonObject) -> Row:
    if found.get("functions"):
        raise Misfit.at("functions", "describes functions in the form of 2023", "write them as tools")
    return ChatRow(messages=turns_of(found.get("messages"), "messages"), tools=tools_of(found.get("tools")))


def _write(row: Row) -> JsonObject:
    if not isinstance(row, ChatRow):
        raise Misfit.at("", "is no conversation")
    made: JsonObject = {"messages": written(row.messages)}
    return made if row.tools is None else {**made, "tools": list(row.tools)}


def _plain(found: JsonObject) -> JsonObject:
    made = {name: value for name, value in found.items() if value is not None and (name, value) != ("tools", [])}
    return {**made, "messages": plain_turns(found.get("messages"))}


FORMAT = Format(
    name="openai_chat",
    summary="messages with optional tools, and a weight of 0 or 1 on an assistant's turns",
    kinds=(RowKind.CHAT,),
    fields=frozenset({"messages", "tools", "parallel_tool_calls"}),
    resembles=_kind,
    reads=_read,
    writes=_write,
    lossless=True,
    columns={RowKind.CHAT: ("messages", "tools")},
    plain=_plain,
    why={**reasons("messages"), "parallel_tool_calls": PARALLEL},
)
