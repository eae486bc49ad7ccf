"""On which line of a TOML file each value stands, so that a complaint can say so. tomllib tells values alone.

A guide for people, not a parser: what it does not find has no line.
"""

import re
import tomllib

_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_ASSIGNMENT = re.compile(rf"^\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*=")
_HEADER = re.compile(rf"^\s*\[(\[?)\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*\]")
_LONG_QUOTES = ('"""', "'''")


def lines_of(text: str) -> dict[str, int]:
    """Dotted path -> number of the line, from 1, that names it first. `text` is valid TOML."""
    found: dict[str, int] = {}
    table: list[str] = []
    within: str | None = None  # the quotes that end the long string that this line is in
    for number, line in enumerate(text.splitlines(), start=1):
        if within is not None:
            within = None if within in line else within
            continue
        if header := _HEADER.match(line):
            table = _keys(header.group(2))
            found.setdefault(".".join(table), number)
        elif assignment := _ASSIGNMENT.match(line):
            found.setdefault(".".join([*table, *_keys(assignment.group(1))]), number)
        within = next((quotes for quotes in _LONG_QUOTES if line.count(quotes) == 1), None)
    return found


def _keys(dotted: str) -> list[str]:
    """`a."b.c"` as its keys, by the parser's own rules."""
    keys: list[str] = []
    level: object = tomllib.loads(f"{dotted} = 0")
    while isinstance(level, dict):
        [(key, level)] = level.items()
        keys.append(key)
    return keys
