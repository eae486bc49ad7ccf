"""Messages in OpenAI's form, as several formats hold them: read leniently where their meaning is plain."""

import msgspec

from genomed.curation.formats.shape import Misfit
from genomed.entities.checking import problems
from genomed.entities.errors import Problem
from genomed.entities.json_value import JsonObject
from genomed.entities.rows import Message

_KNOWN = frozenset(Message.__struct_fields__)
_UNSAYABLE = {
    "function_call": ("calls a function in the form of 2023", "write it as tool_calls"),
    "audio": ("is sound, which no row can hold", None),
}
_WHY = {
    "[].role": "the role `developer` becomes `system`",
    "[].content": "content in several parts becomes one text",
    "[].tool_calls[].function.arguments": "arguments given as an object become JSON text",
}
PARALLEL = "`parallel_tool_calls` is not kept: it tells a server how to answer, not a model what to say"


def reasons(*fields: str) -> dict[str, str]:
    """What reading messages in these fields may change."""
    return {f"{field}{path}": told for field in fields for path, told in _WHY.items()}


def turns_of(given: object, field: str) -> tuple[Message, ...]:
    """Raises Misfit with every problem of all its turns."""
    if not isinstance(given, list):
        raise Misfit.at(field, "is required" if given is None else "must be a list of messages")
    found: list[Problem] = []
    made = [_turn(one, f"{field}[{n}]", found) for n, one in enumerate(given)]
    if found:
        raise Misfit(*found)
    try:
        return msgspec.convert(made, tuple[Message, ...])
    except (msgspec.ValidationError, RecursionError) as error:
        told = problems(made, tuple[Message, ...], root=field)
        raise Misfit(*(told or [Problem(field=field, message=str(error))])) from error


def tools_of(given: object, field: str = "tools") -> tuple[JsonObject, ...] | None:
    """Null for none; an empty list says the same."""
    if given is None or given == []:
        return None
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise Misfit.at(field, "must be a list of objects")
    return tuple(given)


def written(messages: tuple[Message, ...]) -> list[JsonObject]:
    return [_written(message) for message in messages]


def _written(message: Message) -> JsonObject:
    made: JsonObject = msgspec.to_builtins(message)
    if message.tool_calls is not None:
        made["tool_calls"] = [msgspec.to_builtins(call) for call in message.tool_calls]
    return made


def plain_turns(given: object) -> object:
    """Messages without what says nothing, so that two ways to say the same are the same."""
    if not isinstance(given, list):
        return given
    return [
        {name: value for name, value in turn.items() if value is not None and (name, value) != ("tool_calls", [])}
        if isinstance(turn, dict)
        else turn
        for turn in given
    ]


def _turn(given: object, where: str, found: list[Problem]) -> object:
    """Unknown fields are left out, and told by comparison; those that say something are refused."""
    if not isinstance(given, dict):
        return given
    for name, (told, remedy) in _UNSAYABLE.items():
        if given.get(name) is not None:
            found.append(Problem(field=f"{where}.{name}", message=told, remedy=remedy))
    made = {name: value for name, value in given.items() if name in _KNOWN and value is not None}
    if made.get("role") == "developer":
        made["role"] = "system"
    made["content"] = _text(made.get("content"), f"{where}.content", found)
    if made["content"] is None and not made.get("tool_calls"):
        found.append(Problem(field=f"{where}.content", message="is required"))
    calls = made.pop("tool_calls", None)
    if calls:
        made["tool_calls"] = [_call(one) for one in calls] if isinstance(calls, list) else calls
    return made


def _text(content: object, where: str, found: list[Problem]) -> object:
    """A list of texts is one text; pictures and sound are refused."""
    if not isinstance(content, list):
        return content
    parts: list[str] = []
    for n, part in enumerate(content):
        text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
        if isinstance(text, str):
            parts.append(text)
        else:
            found.append(Problem(field=f"{where}[{n}]", message="is no text", remedy="rows hold text only"))
    return "".join(parts)


def _call(given: object) -> object:
    """Arguments are text in a row, whatever made them an object."""
    function = given.get("function") if isinstance(given, dict) else None
    if not isinstance(given, dict) or not isinstance(function, dict):
        return given
    arguments = function.get("arguments")
    known = {name: value for name, value in given.items() if name in {"id", "type"}}
    text = msgspec.json.encode(arguments).decode() if isinstance(arguments, dict) else arguments
    return {**known, "function": {"name": function.get("name"), "arguments": text}}
