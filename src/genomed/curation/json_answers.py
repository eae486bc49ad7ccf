"""JSON in what a language model answered: the whole text, a fenced block, or the first value that stands in the prose.

Knows how models wrap their answers; knows no schema. Whoever asked checks what came.
"""

import json
import re
from collections.abc import Iterator

import msgspec

from genomed.entities.json_value import JsonObject

MOST_BEGINNINGS = 64
"""Places at which a value is looked for; an answer of opening brackets alone would cost the square of its length."""

_FENCE = re.compile(r"```[a-zA-Z0-9_-]*[ \t]*\r?\n(.*?)```", re.DOTALL)
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
"""What reasoning models say to themselves first, where their server leaves it in the answer."""

_OPENING = re.compile(r"[\[{]")


def json_object(text: str) -> JsonObject:
    """The first object in the answer. Raises ValueError where there is none."""
    for value in _values(text):
        if isinstance(value, dict):
            return value
    raise ValueError("the answer holds no JSON object")


def json_array(text: str) -> list[object]:
    """The first array in the answer. Raises ValueError where there is none."""
    for value in _values(text):
        if isinstance(value, list):
            return value
    raise ValueError("the answer holds no JSON array")


def json_value(text: str) -> JsonObject | list[object]:
    """The first object or array in the answer. Raises ValueError where there is neither."""
    for value in _values(text):
        if isinstance(value, dict | list):
            return value
    raise ValueError("the answer holds neither a JSON object nor a JSON array")


def _values(text: str) -> Iterator[object]:
    """Whole text, then fenced blocks, then what stands in the prose; never a part of a larger value."""
    text = _THOUGHT.sub("", text, count=1).strip().removeprefix("\ufeff")
    for candidate in (text, *_FENCE.findall(text)):
        value = _read(candidate)
        if value is not None:
            yield value
    yield from _in_prose(text)


def _in_prose(text: str) -> Iterator[object]:
    decoder = json.JSONDecoder()
    at = 0
    for _ in range(MOST_BEGINNINGS):
        opening = _OPENING.search(text, at)
        if opening is None:
            return
        at = opening.end()
        try:
            _, end = decoder.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            continue
        value = _read(text[opening.start() : end])
        if value is not None:
            yield value
            at = end


def _read(text: str) -> object | None:
    """Strictly: no NaN, no half of a surrogate pair, nothing after the value."""
    try:
        value: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return value
