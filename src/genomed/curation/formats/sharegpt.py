"""ShareGPT's conversations: turns from human, gpt and system, and in its later form function calls and observations.

Calls have no ids there: they get numbers in order, and each observation answers the oldest call that waits.
"""

import msgspec

from genomed.curation.formats.shape import Format, Misfit
from genomed.entities.errors import Problem
from genomed.entities.json_value import JsonObject
from genomed.entities.rows import ChatRow, FunctionCall, Message, Row, ToolCall
from genomed.entities.types import RowKind

_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "system": "system",
    "function_call": "call",
    "observation": "tool",
    "tool": "tool",
}
_WRITTEN = {"user": "human", "assistant": "gpt", "system": "system", "tool": "observation"}


def _kind(found: JsonObject) -> RowKind | None:
    turns = found.get("conversations")
    shaped = isinstance(turns, list) and all(
        isinstance(one, dict) and "from" in one and "value" in one for one in turns
    )
    return RowKind.CHAT if shaped else None


def _json(text: object) -> object:
    """What a text holds as JSON; the text itself where it is none."""
    try:
        return msgspec.json.decode(text) if isinstance(text, str) else text
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return text


class _Reading:
    """One conversation as it is read: its turns so far, the calls that wait, and what is wrong."""

    def __init__(self) -> None:
        self.turns: list[Message] = []
        self.problems: list[Problem] = []
        self._waiting: list[str] = []
        self._calls = 0

    def turn(self, given: object, where: str) -> None:
        speaker = given.get("from") if isinstance(given, dict) else None
        role = _ROLES.get(speaker) if isinstance(speaker, str) else None
        value = given.get("value") if isinstance(given, dict) else None
        if role is None:
            known = ", ".join(_ROLES)
            self.problems.append(
                Problem(field=f"{where}.from", message="is no known speaker", remedy=f"one of: {known}")
            )
        elif role == "call":
            self._call(value, where)
        elif not isinstance(value, str):
            self.problems.append(Problem(field=f"{where}.value", message="must be text"))
        elif role != "tool":
            self.turns.append(Message(role=role, content=value))
        elif self._waiting:
            self.turns.append(Message(role="tool", content=value, tool_call_id=self._waiting.pop(0)))
        else:
            self.problems.append(Problem(field=where, message="answers no function call"))

    def _call(self, value: object, where: str) -> None:
        given = _json(value)
        calls = given if isinstance(given, list) else [given]
        made: list[ToolCall] = []
        for one in calls:
            name = one.get("name") if isinstance(one, dict) else None
            arguments = one.get("arguments") if isinstance(one, dict) else None
            if not isinstance(name, str) or not isinstance(arguments, str | dict):
                told = "must be JSON with a name and arguments"
                self.problems.append(Problem(field=f"{where}.value", message=told))
                return
            self._calls += 1
            text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
            made.append(ToolCall(id=f"call_{self._calls}", function=FunctionCall(name=name, arguments=text)))
        if not made:
            self.problems.append(Problem(field=f"{where}.value", message="calls nothing"))
            return
        self._waiting += [call.id for call in made]
        self.turns.append(Message(role="assistant", content=None, tool_calls=tuple(made)))


def _read(found: JsonObject) -> Row:
    given = found.get("conversations")
    if not isinstance(given, list):
        raise Misfit.at("conversations", "is required" if given is None else "must be a list of turns")
    reading = _Reading()
    for n, one in enumerate(given):
        reading.turn(one, f"conversations[{n}]")
    system = found.get("system")
    if system not in {None, ""} if isinstance(system, str | None) else True:
        if not isinstance(system, str):
            reading.problems.append(Problem(field="system", message="must be text"))
        elif reading.turns and reading.turns[0].role == "system":
            reading.problems.append(Problem(field="system", message="is there beside a first turn of the system"))
        else:
            reading.turns.insert(0, Message(role="system", content=system))
    tools = _tools(found.get("tools"), reading.problems)
    if reading.problems:
        raise Misfit(*reading.problems)
    return ChatRow(messages=tuple(reading.turns), tools=tools)


def _tools(given: object, problems: list[Problem]) -> tuple[JsonObject, ...] | None:
    """As JSON text, or as a list; empty says there are none."""
    tools = _json(given)
    if tools is None or tools in ("", []):
        return None
    if isinstance(tools, list) and all(isinstance(one, dict) for one in tools):
        return tuple(tools)
    problems.append(Problem(field="tools", message="must be a list of objects, or such a list as JSON text"))
    return None


def _write(row: Row) -> JsonObject:
    if not isinstance(row, ChatRow):
        raise Misfit.at("", "is no conversation")
    made: JsonObject = {"conversations": [_written(turn, f"messages[{n}]") for n, turn in enumerate(row.messages)]}
    if row.tools is not None:
        made["tools"] = msgspec.json.encode(row.tools).decode()
    _read(made)  # a tool's turn that answers nothing has no place here
    return made


def _written(turn: Message, where: str) -> JsonObject:
    if turn.tool_calls is None:
        if turn.content is None:
            raise Misfit.at(f"{where}.content", "is null")
        return {"from": _WRITTEN[turn.role], "value": turn.content}
    if turn.content or turn.role != "assistant":
        raise Misfit.at(f"{where}.content", "is said beside a tool call", "write it as openai_chat")
    calls = [{"name": call.function.name, "arguments": _arguments(call.function.arguments)} for call in turn.tool_calls]
    given = calls[0] if len(calls) == 1 else calls
    return {"from": "function_call", "value": msgspec.json.encode(given).decode()}


def _arguments(text: str) -> object:
    made = _json(text)
    return made if isinstance(made, dict) else text


def _plain(found: JsonObject) -> JsonObject:
    """JSON in texts is compared as JSON."""
    made = {name: value for name, value in found.items() if name not in {"system", "tools"} or value not in ("", [])}
    if "tools" in made:
        made["tools"] = _json(made["tools"])
    turns = found.get("conversations")
    if isinstance(turns, list):
        made["conversations"] = [
            {**one, "value": _json(one.get("value"))}
            if isinstance(one, dict) and one.get("from") == "function_call"
            else one
            for one in turns
        ]
    return made


FORMAT = Format(
    name="sharegpt",
    summary="conversations with from and value: human, gpt, system, function_call and observation; tools as JSON text",
    kinds=(RowKind.CHAT,),
    fields=frozenset({"conversations", "system", "tools"}),
    resembles=_kind,
    reads=_read,
    writes=_write,
    columns={RowKind.CHAT: ("conversations", "tools")},
    plain=_plain,
    why={
        "conversations": "the system prompt becomes the first turn",
        "system": "the system prompt becomes the first turn",
        "conversations[].from": "speakers are called human, gpt, system, function_call and observation",
        "messages[].weight": "weights of turns are not kept",
        "messages[].name": "names of speakers are not kept",
        "messages[].tool_calls[].id": "tool calls are numbered: their ids are not kept",
        "messages[].tool_call_id": "tool calls are numbered: their ids are not kept",
        "messages[].tool_calls[].function.arguments": "arguments are kept as JSON, not letter by letter",
    },
)
