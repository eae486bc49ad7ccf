"""A synthetic row as a reviewer sees it: its turns, its answers side by side, or its fields. Pure.

Knows shapes of rows. What it does not know, it shows as the JSON that it is.
"""

from collections.abc import Mapping, Sequence

import msgspec

from genomed.cli.cells import number
from genomed.cli.colours import BOLD, PLAIN
from genomed.cli.review_desk import HELP, KEYS_LINE, Desk
from genomed.cli.wrapping import padded, wrapped
from genomed.commands.review_view import ItemView
from genomed.entities.json_value import Json, JsonObject
from genomed.entities.types import RowKind

INDENT = "  "
SIDE_BY_SIDE_COLUMNS = 100
"""Narrower terminals show a preference's answers one below the other."""

VECTOR_NUMBERS = 8
LISTED_COLUMNS = 96

Lines = list[str]


def page(item: ItemView | None, desk: Desk, *, total: int, told: str, columns: int, rows: int, colour: bool) -> Lines:
    """A whole screen: where one is, the row, the keys, and what there is to say. At most `rows` lines."""
    top = _head(item, desk, total, columns)
    bottom = ["", *wrapped(told or KEYS_LINE, columns)]
    body = wrapped(HELP, columns) if desk.helping else [] if item is None else body_lines(item, columns)
    room = max(1, rows - len(top) - len(bottom))
    start = min(desk.scroll, max(0, len(body) - room))
    shown = body[start : start + room]
    if start + room < len(body):
        shown[-1] = f"... {len(body) - start - room + 1} more lines: j"
    return _styled([*top, *shown, *bottom][:rows], colour)


def whole(view: Mapping[str, object]) -> str:
    """An item of genome/review-show, for a listing."""
    item = msgspec.convert(view, type=ItemView)
    lines = [
        f"{item.item_id}: {'  '.join(_known(item))}",
        *(INDENT + line for line in body_lines(item, LISTED_COLUMNS)),
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def body_lines(item: ItemView, columns: int) -> Lines:
    """The row, then what its maker says of it."""
    if item.row is None:
        return ["its words were erased"]
    lines = _row(item.row_kind, item.row, columns)
    for name, texts in (("reasons", item.reasons), ("notes", _notes(item.notes))):
        if texts:
            lines += ["", f"{name}:", *(line for text in texts for line in _indented(text, columns))]
    if item.note:
        lines += ["", "reviewer's words:", *_indented(item.note, columns)]
    if item.failure:
        lines += ["", "could not be made again:", *_indented(item.failure, columns)]
    if item.original_row is not None:
        lines += ["", "before it was corrected:", *_row(item.row_kind, item.original_row, columns)]
    return lines


def _head(item: ItemView | None, desk: Desk, total: int, columns: int) -> Lines:
    if item is None:
        return [*wrapped("end of the queue: nothing waits behind the last row", columns), ""]
    told = [f"{desk.at + 1}/{total}", item.item_id, *_known(item)]
    return [*wrapped("  ".join(told), columns), ""]


def _known(item: ItemView) -> Lines:
    told = [item.row_kind.value]
    told += [f"try {item.generation + 1}"] if item.generation else []
    told.append("confidence unknown" if item.confidence is None else f"confidence {number(item.confidence)}")
    told += [f"judge: {item.suggestion}"] if item.suggestion else []
    told += [] if item.state == "pending" else [item.state.value]
    made = item.generated
    told += [f"by {made.recipe}"] if made is not None else []
    return told


def _row(kind: RowKind, row: JsonObject, columns: int) -> Lines:
    match kind:
        case RowKind.CHAT:
            return _turns(row.get("messages"), columns) + _tools(row)
        case RowKind.PREFERENCE:
            return [*_turns(row.get("prompt"), columns), *_answers(row, columns), *_tools(row)]
        case RowKind.LABELLED:
            head = "completion, wanted:" if row.get("label") else "completion, not wanted:"
            return [*_turns(row.get("prompt"), columns), "", head, *_said(row, "completion", columns)]
        case RowKind.RAFT:
            return _raft(row, columns)
        case RowKind.RECORD:
            return [*wrapped(f"{row.get('task')}:", columns), *wrapped(_json(row.get("data")), columns)]
        case _:
            return _fields(row, columns)


def _turns(messages: Json, columns: int) -> Lines:
    lines: Lines = []
    for message in _objects(messages):
        lines.append(f"{message.get('role')}:")
        if message.get("content") is not None:
            lines += _indented(str(message["content"]), columns)
        for call in _objects(message.get("tool_calls")):
            function = call.get("function")
            named: Mapping[str, Json] = function if isinstance(function, dict) else {}
            lines += _indented(f"calls {named.get('name')} {named.get('arguments')}", columns)
    return lines


def _answers(row: JsonObject, columns: int) -> Lines:
    if columns < SIDE_BY_SIDE_COLUMNS:
        return [line for name in ("chosen", "rejected") for line in ("", f"{name}:", *_said(row, name, columns))]
    half = (columns - 3) // 2
    left, right = (["", f"{name}:", *_said(row, name, half)] for name in ("chosen", "rejected"))
    longest = max(len(left), len(right))
    left += [""] * (longest - len(left))
    right += [""] * (longest - len(right))
    return [f"{padded(one, half)} | {other}".rstrip() for one, other in zip(left, right, strict=True)]


def _raft(row: JsonObject, columns: int) -> Lines:
    documents, lines = row.get("documents"), ["question:", *_indented(str(row.get("question")), columns)]
    for place, text in enumerate(documents if isinstance(documents, list | tuple) else ()):
        oracle = ", which answers it" if place == row.get("oracle") else ""
        lines += ["", f"document {place + 1}{oracle}:", *_indented(str(text), columns)]
    return [*lines, "", "answer:", *_indented(str(row.get("answer")), columns)]


def _said(row: JsonObject, name: str, columns: int) -> Lines:
    turns = _objects(row.get(name))
    if len(turns) == 1 and turns[0].get("role") == "assistant" and not turns[0].get("tool_calls"):
        return _indented(str(turns[0].get("content")), columns)
    return _turns(row.get(name), columns)


def _tools(row: JsonObject) -> Lines:
    count = len(_objects(row.get("tools")))
    return ["", f"({count} tools to call)"] if count else []


def _fields(row: JsonObject, columns: int) -> Lines:
    lines: Lines = []
    for name, value in row.items():
        lines.append(f"{name}:")
        match value:
            case list() if value and all(isinstance(one, int | float) for one in value):
                told = ", ".join(str(one) for one in value[:VECTOR_NUMBERS])
                more = f", ... ({len(value)} numbers)" if len(value) > VECTOR_NUMBERS else ""
                lines += _indented(told + more, columns)
            case list():
                for one in value:
                    lines += _indented(f"- {one if isinstance(one, str) else _json(one)}", columns)
            case str():
                lines += _indented(value, columns)
            case _:
                lines += _indented(_json(value), columns)
    return lines


def _notes(notes: Mapping[str, Json]) -> Sequence[str]:
    return [f"{name}: {value}" for name, value in notes.items() if value is not None]


def _indented(text: str, columns: int) -> Lines:
    return [INDENT + line for line in wrapped(text, columns - len(INDENT))]


def _objects(value: Json) -> list[dict[str, Json]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list | tuple) else []


def _json(value: Json) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _styled(lines: Lines, colour: bool) -> Lines:
    """What stands at the margin and ends with a colon is a heading; so is the first line."""
    if not colour:
        return lines
    heading = [n == 0 or (line.endswith(":") and not line.startswith(" ")) for n, line in enumerate(lines)]
    return [f"{BOLD}{line}{PLAIN}" if bold else line for line, bold in zip(lines, heading, strict=True)]
