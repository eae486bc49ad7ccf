"""Whether a row can be trained on: what is missing, in the wrong place, or says nothing. Pure.

Knows structure and the little sense that needs no model. Field paths are relative to the row.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from genomed.entities.errors import Problem
from genomed.entities.json_value import JsonObject
from genomed.entities.rows import (
    ChatRow,
    LabelledRow,
    Message,
    PreferenceRow,
    RaftRow,
    RankingRow,
    RecordRow,
    Row,
    ToolCall,
    TripletRow,
    VectorPairRow,
)

_ORDER = "after an optional system turn, user and assistant take turns, user first"
_TOOL_ORDER = "each tool call is answered by one tool turn, right after the turn that made it"

QUOTED = re.compile(r"<quote>(.*?)</quote>|##begin_quote##(.*?)##end_quote##", re.DOTALL)
"""What an answer says that a document says: as our recipe marks it, or as arXiv 2403.10131 does."""


def unfit(row: Row) -> list[Problem]:
    """Why a row cannot be trained on; empty when it can."""
    return [*empty_turns(row), *role_order(row), *senseless(row)]


def empty_turns(row: Row) -> list[Problem]:
    """Texts that say nothing."""
    match row:
        case ChatRow():
            return _silent("messages", row.messages)
        case PreferenceRow():
            return [
                problem
                for name in ("prompt", "chosen", "rejected")
                for problem in _silent(name, getattr(row, name), one_turn=name != "prompt")
            ]
        case LabelledRow():
            return [*_silent("prompt", row.prompt), *_silent("completion", row.completion, one_turn=True)]
        case RaftRow():
            shown = [(f"documents[{n}]", text) for n, text in enumerate(row.documents)]
            none = [] if shown else [_problem("documents", "is empty")]
            return [*_blank([("question", row.question), *shown, ("answer", row.answer)]), *none]
        case TripletRow():
            texts = [("anchor", row.anchor), ("positive", row.positive)]
            return _blank([*texts, *((f"negatives[{n}]", text) for n, text in enumerate(row.negatives))])
        case RankingRow():
            return _blank([("query", row.query), ("document", row.document)])
        case VectorPairRow():
            return [_problem(name, "is empty") for name in ("input", "target") if not getattr(row, name)]
        case RecordRow():
            empty = [] if row.data else [_problem("data", "is empty")]
            return [*_blank([("task", row.task)]), *empty]


def role_order(row: Row) -> list[Problem]:
    """Turns of a conversation that stand where they do not belong."""
    match row:
        case ChatRow():
            return _order("messages", row.messages, ends_with=("assistant",))
        case PreferenceRow():
            return _asked_and_answered(row.prompt, {"chosen": row.chosen, "rejected": row.rejected})
        case LabelledRow():
            return _asked_and_answered(row.prompt, {"completion": row.completion})
        case _:
            return []


def senseless(row: Row) -> list[Problem]:
    """What has its form and still cannot teach."""
    match row:
        case ChatRow():
            return [*_turns("messages", row.messages), *_tools(row.tools, row.messages), *_nothing_learned(row)]
        case PreferenceRow():
            return _preference(row)
        case LabelledRow():
            sides = (("prompt", row.prompt), ("completion", row.completion))
            return [problem for name, said in sides for problem in _turns(name, said, weights=False)]
        case RaftRow():
            return _raft(row)
        case TripletRow():
            return _triplet(row)
        case RankingRow():
            sound = math.isfinite(row.label) and 0 <= row.label <= 1
            return [] if sound else [_problem("label", "must be a number from 0 to 1")]
        case VectorPairRow():
            return [
                _problem(f"{name}[{n}]", "is no finite number")
                for name in ("input", "target")
                for n, number in enumerate(getattr(row, name))
                if not math.isfinite(number)
            ]
        case RecordRow():
            return []


def _problem(field: str, message: str, remedy: str | None = None) -> Problem:
    return Problem(field=field, message=message, remedy=remedy)


def _blank(texts: Iterable[tuple[str, str]]) -> list[Problem]:
    return [_problem(field, "is empty") for field, text in texts if not text.strip()]


def _silent(field: str, messages: Sequence[Message], *, one_turn: bool = False) -> list[Problem]:
    """A tool may well answer nothing, and a turn that only calls tools needs no words."""
    if not messages:
        return [] if one_turn else [_problem(field, "is empty")]
    return [
        _problem(f"{field}[{n}].content", "is empty")
        for n, message in enumerate(messages)
        if not message.text.strip() and not message.tool_calls and (message.role != "tool" or message.content is None)
    ]


def _order(field: str, messages: Sequence[Message], *, ends_with: tuple[str, ...]) -> list[Problem]:
    """A turn is judged by its place, not by what the one before should have been: one slip is one problem."""
    if not messages:
        return []
    start = 1 if messages[0].role == "system" else 0
    found: list[Problem] = []
    wanted = "user"
    waiting: list[str] = []
    for n, message in enumerate(messages[start:], start):
        where = f"{field}[{n}]"
        if message.role == "tool":
            found += _tool_answer(where, message, waiting)
            wanted = "assistant"
            continue
        if waiting:
            found.append(_problem(where, f"comes before the answer to tool call {waiting[0]!r}", _TOOL_ORDER))
        if message.role != wanted:
            found.append(_problem(f"{where}.role", f"is {message.role!r} where {wanted!r} belongs", _ORDER))
        wanted = "assistant" if wanted == "user" else "user"
        waiting = [call.id for call in message.tool_calls or ()]
    if waiting and messages[-1].role == "tool":
        found.append(_problem(field, f"holds no answer to tool call {waiting[0]!r}", _TOOL_ORDER))
    if len(messages) == start or messages[-1].role not in ends_with:
        found.append(_problem(field, f"must end with a turn of {ends_with[0]!r}"))
    return found


def _asked_and_answered(prompt: Sequence[Message], answers: Mapping[str, Sequence[Message]]) -> list[Problem]:
    found = _order("prompt", prompt, ends_with=("user", "tool"))
    for name, answer in answers.items():
        if len(answer) != 1 or answer[0].role != "assistant":
            found.append(_problem(name, "must be exactly one assistant turn"))
    return found


def _tool_answer(where: str, message: Message, waiting: list[str]) -> list[Problem]:
    """Takes the answered call off `waiting`."""
    if not message.tool_call_id:
        return [_problem(f"{where}.tool_call_id", "is required of a tool's turn", _TOOL_ORDER)]
    if message.tool_call_id not in waiting:
        told = f"{message.tool_call_id!r} is no tool call that waits for an answer"
        return [_problem(f"{where}.tool_call_id", told, _TOOL_ORDER)]
    waiting.remove(message.tool_call_id)
    return []


def _turns(field: str, messages: Sequence[Message], *, weights: bool = True) -> list[Problem]:
    """Fields beside role and content."""
    found: list[Problem] = []
    for n, message in enumerate(messages):
        where = f"{field}[{n}]"
        if message.weight is not None and (message.role != "assistant" or not weights):
            told = "belongs to an assistant's turn" if weights else "says nothing here: only the answer counts"
            found.append(_problem(f"{where}.weight", told))
        if message.tool_call_id is not None and message.role != "tool":
            found.append(_problem(f"{where}.tool_call_id", "belongs to a tool's turn"))
        if message.tool_calls is not None:
            if message.role != "assistant":
                found.append(_problem(f"{where}.tool_calls", "belong to an assistant's turn"))
            found += _calls(f"{where}.tool_calls", message.tool_calls)
    return found


def _calls(field: str, calls: Sequence[ToolCall]) -> list[Problem]:
    if not calls:
        return [_problem(field, "is empty", "leave it out")]
    found: list[Problem] = []
    seen: set[str] = set()
    for n, call in enumerate(calls):
        where = f"{field}[{n}]"
        found += _blank([(f"{where}.id", call.id), (f"{where}.function.name", call.function.name)])
        if call.id in seen:
            found.append(_problem(f"{where}.id", "is the id of another call in this turn"))
        seen.add(call.id)
        if call.type != "function":
            found.append(_problem(f"{where}.type", "must be 'function'"))
        if not _is_json_object(call.function.arguments):
            found.append(_problem(f"{where}.function.arguments", "is no JSON object, as text"))
    return found


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False


def _tools(tools: Sequence[JsonObject] | None, messages: Iterable[Message]) -> list[Problem]:
    """Descriptions need a name; where there are any, only described functions are called."""
    if tools is None:
        return []
    if not tools:
        return [_problem("tools", "is empty", "leave it out")]
    names = [_tool_name(tool) for tool in tools]
    found = [
        _problem(f"tools[{n}].function.name", "must be text", "a tool is {type: function, function: {name, ...}}")
        for n, name in enumerate(names)
        if not name
    ]
    found += [
        _problem(f"tools[{n}].function.name", f"{name!r} is there twice")
        for n, name in enumerate(names)
        if name and name in names[:n]
    ]
    called = {call.function.name for message in messages for call in message.tool_calls or ()}
    unknown = sorted(called - set(names)) if not found else []
    return found + [_problem("tools", f"describes no function {name!r}, which is called") for name in unknown]


def _tool_name(tool: JsonObject) -> str:
    function = tool.get("function")
    name = function.get("name") if tool.get("type") == "function" and isinstance(function, dict) else None
    return name if isinstance(name, str) else ""


def _nothing_learned(row: ChatRow) -> list[Problem]:
    answers = [message for message in row.messages if message.role == "assistant"]
    if not answers or any(message.weight != 0 for message in answers):
        return []
    return [_problem("messages", "leave nothing to learn: every assistant turn has weight 0")]


def _preference(row: PreferenceRow) -> list[Problem]:
    sides = (("prompt", row.prompt), ("chosen", row.chosen), ("rejected", row.rejected))
    found = [problem for name, messages in sides for problem in _turns(name, messages, weights=False)]
    found += _tools(row.tools, (*row.prompt, *row.chosen, *row.rejected))
    if row.chosen == row.rejected and any(message.text.strip() or message.tool_calls for message in row.chosen):
        found.append(_problem("chosen", "is the same as rejected, so there is nothing to prefer"))
    return found


def _raft(row: RaftRow) -> list[Problem]:
    found: list[Problem] = []
    if row.oracle is not None and not 0 <= row.oracle < len(row.documents):
        told = f"is {row.oracle}, and there are {len(row.documents)} documents, counted from 0"
        found.append(_problem("oracle", told, "null says that no document holds the answer"))
    quotations = ["".join(quoted).strip() for quoted in QUOTED.findall(row.answer)]
    if any(not any(quoted in text for text in row.documents) for quoted in quotations):
        found.append(_problem("answer", "quotes what stands in none of its documents"))
    return found


def _triplet(row: TripletRow) -> list[Problem]:
    found = [
        _problem(f"negatives[{n}]", "is the positive")
        for n, negative in enumerate(row.negatives)
        if negative == row.positive
    ]
    if row.scores is not None:
        wanted = 1 + len(row.negatives)
        if len(row.scores) != wanted:
            found.append(_problem("scores", f"must have {wanted} entries, not {len(row.scores)}"))
        found += [
            _problem(f"scores[{n}]", "is no finite number")
            for n, score in enumerate(row.scores)
            if not math.isfinite(score)
        ]
    return found
