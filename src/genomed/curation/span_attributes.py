"""The attributes of a span as one tree, whether they came flat (`llm.input_messages.0.message.role`) or nested. Pure.

Trace systems write the same convention in both ways, and Phoenix in each of them depending on the door. Knows no
convention.
"""

import math
from collections.abc import Mapping, Sequence

import msgspec

Tree = dict[str, object]
"""A node's own value, where it has children too (`query` beside `query.text`), is under OWN."""

OWN = ""
MOST_PARTS = 64
"""A deeper name is a name, not a path: no trace nests so deep, and a hostile one must cost nothing."""

MOST_LEVELS = 64
"""What nests deeper than that stays as it came."""


def tree_of(attributes: Mapping[str, object], *, level: int = 0) -> Tree:
    """Every dotted name becomes a path, also inside of nested objects and lists."""
    root: Tree = {}
    for name, value in attributes.items():
        _put(root, str(name).split("."), _grown(value, level + 1))
    return root


def _put(node: Tree, parts: list[str], value: object) -> None:
    if len(parts) > MOST_PARTS:
        parts = [".".join(parts)]
    for part in parts[:-1]:
        child = node.setdefault(part, {})
        if not isinstance(child, dict):
            child = {OWN: child}
            node[part] = child
        node = child
    _set(node, parts[-1], value)


def _set(node: Tree, name: str, value: object) -> None:
    there = node.get(name)
    if not isinstance(there, dict):
        node[name] = {**value, OWN: there} if isinstance(value, dict) and there is not None else value
    elif isinstance(value, dict):
        for key, inner in value.items():
            _set(there, key, inner)
    else:
        there[OWN] = value


def _grown(value: object, level: int) -> object:
    if level > MOST_LEVELS:
        return value
    if isinstance(value, Mapping):
        return tree_of(value, level=level)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        return [_grown(one, level + 1) for one in value]
    return value


def at(tree: object, path: str) -> object:
    """What stands at the path: a node's own value where it has one, else the node; None where nothing is."""
    for part in path.split("."):
        if not isinstance(tree, dict) or part not in tree:
            return None
        tree = tree[part]
    return tree[OWN] if isinstance(tree, dict) and OWN in tree else tree


def items(node: object) -> list[object]:
    """A list, or a node whose names are numbers, in their order; empty for anything else."""
    if isinstance(node, list):
        return node
    if isinstance(node, dict):
        numbered = [name for name in node if name.isdecimal() and name.isascii()]
        return [node[name] for name in sorted(numbered, key=int)] if len(numbered) == len(node) else []
    return []


def text_at(tree: object, path: str) -> str | None:
    """A text that says something. Numbers are written out; objects and lists are not texts."""
    found = at(tree, path)
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        return None
    return str(found) if str(found).strip() else None


def number_at(tree: object, path: str) -> float | None:
    return number(at(tree, path))


def number(value: object) -> float | None:
    """A finite number, or a text that writes one."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, int | float | str):
        try:
            found = float(value)
        except (ValueError, OverflowError):
            return None
        return found if math.isfinite(found) else None
    return None


def decoded(value: object) -> object:
    """JSON that was written as text (objects and lists only), as what it says; anything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError, ValueError):
            return value
    return value


def as_text(value: object) -> str | None:
    """A text as it is, objects and lists as JSON; None for what says nothing or cannot be written."""
    if value is None or (isinstance(value, str | list | dict) and not value):
        return None
    if isinstance(value, str):
        return value if value.strip() else None
    try:
        return msgspec.json.encode(value, order="sorted").decode()
    except (TypeError, ValueError, RecursionError, UnicodeEncodeError):
        return None
