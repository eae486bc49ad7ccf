"""Chat turns as three conventions write them, as our messages. Pure.

OpenInference (`message.role`, `message.tool_calls.N.tool_call.function.name`), OpenTelemetry GenAI (`role` and `parts`,
and the older `gen_ai.prompt.N`), and OpenAI's own form. Sources: the published semantic conventions of the two, as of
Nov 2026. Does not know where in a span the turns stand.
"""

from collections.abc import Iterable

from genomed.curation.span_attributes import as_text, at, decoded, items, text_at
from genomed.entities.rows import FunctionCall, Message, ToolCall

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "gpt": "assistant",
    "tool": "tool",
    "function": "tool",
}


def messages_of(turns: Iterable[object]) -> tuple[Message, ...]:
    """Turns that say nothing are left out."""
    return tuple(message for turn in turns for message in messages_in(turn))


def messages_in(turn: object) -> list[Message]:
    """One turn is one message; with GenAI's parts the results of several tools are one each."""
    inner = at(turn, "message")
    node = inner if isinstance(inner, dict) else turn
    role = ROLES.get((text_at(node, "role") or "").lower())
    if role is None:
        return []
    parts = [decoded(part) for part in items(at(node, "parts"))]
    results = [part for part in parts if text_at(part, "type") == "tool_call_response"]
    if results:
        return [_tool_result(part) for part in results]
    content = _parts_text(parts) if parts else _content(node)
    calls = tuple(call for call in map(_call, _calls(node, parts)) if call is not None)
    if role == "assistant":
        if content is None and not calls:
            return []
        return [Message(role=role, content=content, tool_calls=calls or None)]
    if content is None:
        return []
    name = text_at(node, "name") if role == "tool" else None
    return [Message(role=role, content=content, name=name, tool_call_id=text_at(node, "tool_call_id"))]


def _content(node: object) -> str | None:
    """A text, or the texts of a list of contents; pictures and sounds are not ours."""
    found = at(node, "content")
    if found is None:
        found = at(node, "contents")
    listed = items(found)
    if listed:
        return _parts_text(listed)
    return as_text(found)


def _parts_text(parts: Iterable[object]) -> str | None:
    texts: list[str] = []
    for part in parts:
        inner = at(part, "message_content")
        one = inner if isinstance(inner, dict) else part
        if isinstance(one, str):
            texts.append(one)
        elif text_at(one, "type") in ("text", "input_text", "output_text", None):
            texts += [text for text in (text_at(one, "content") or text_at(one, "text"),) if text]
    return "\n".join(texts) or None


def _tool_result(part: object) -> Message:
    said = at(part, "response")
    text = as_text(said if said is not None else at(part, "result"))
    return Message(role="tool", content=text or "", tool_call_id=text_at(part, "id"))


def _calls(node: object, parts: list[object]) -> list[object]:
    of_parts = [part for part in parts if text_at(part, "type") == "tool_call"]
    return of_parts or [decoded(one) for one in items(decoded(at(node, "tool_calls")))]


def _call(written: object) -> ToolCall | None:
    inner = at(written, "tool_call")
    node = inner if isinstance(inner, dict) else written
    function = at(node, "function")
    named = function if isinstance(function, dict) else node
    name = text_at(named, "name")
    if name is None:
        return None
    arguments = as_text(at(named, "arguments")) or "{}"
    return ToolCall(id=text_at(node, "id") or name, function=FunctionCall(name=name, arguments=arguments))
