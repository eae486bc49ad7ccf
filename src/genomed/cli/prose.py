"""Lists that no table can hold: what a person reads line by line, and documents that go on as they are.

Knows the shapes of JSON; a shape that is not the expected one is left to the table.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from genomed.cli.arguments import Json
from genomed.cli.cells import cell

Row = Mapping[str, Json]

DOCUMENTS = ("payload", "configuration", "schema", "answers")
"""Shown as the JSON that they are, so that they can be read and copied whole."""

INDENT = "    "


def document(value: Json) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def prose(name: str, rows: Sequence[Row]) -> str | None:
    """The rows as text; None where a table says it better."""
    said = _PROSE.get(name)
    if said is None or not rows or not all(said[0] <= row.keys() for row in rows):
        return None
    return "\n".join(said[1](row) for row in rows)


def _finding(row: Row) -> str:
    lines = [f"{row['level']}: {row['about']}: {row['message']}", f"{INDENT}what to do: {row['remedy']}"]
    return "\n".join(lines)


def _comparison(row: Row) -> str:
    return "\n".join([f"> {row['prompt']}", _side("tuned", row), _side("base", row)])


def _side(name: str, row: Row) -> str:
    side = row[name]
    if not isinstance(side, dict):
        return f"{name}: {cell('', side)}"
    told = [
        f"{cell('', side[number])} {word}"
        for number, word in (("seconds", "s"), ("completionTokens", "tokens"))
        if side.get(number) is not None
    ]
    if side.get("keywords") is not None and row.get("keywords"):
        told.append(f"{side['keywords']} of {row['keywords']} keywords")
    text = str(side["text"]) if side.get("text") is not None else f"no answer: {side.get('error')}"
    head = f"{name} ({', '.join(told)}):" if told else f"{name}:"
    return "\n".join([head, *(f"{INDENT}{line}" for line in text.splitlines() or [""])])


def _synthetic(row: Row) -> str:
    """A row that waits for approval, as its reviewer would see it."""
    from genomed.cli.review_page import whole  # noqa: PLC0415 - only where there is one to show

    return whole(row)


_PROSE: dict[str, tuple[set[str], Callable[[Row], str]]] = {
    "findings": ({"level", "about", "message", "remedy"}, _finding),
    "items": ({"itemId", "rowKind", "row", "suggestion"}, _synthetic),
    "comparisons": ({"prompt", "tuned", "base"}, _comparison),
}
