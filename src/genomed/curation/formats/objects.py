"""Objects out of a stream of bytes, one at a time: JSON Lines, one JSON array, or a text per line.

Memory holds one object, never the file: one that is longer than MAX_OBJECT_BYTES is told and passed over. Knows where
each one stood; knows nothing of rows.
"""

import re
from collections.abc import Iterator
from typing import IO, NamedTuple

import msgspec

from genomed.entities.json_value import JsonObject

MAX_OBJECT_BYTES = 16 * 1024 * 1024
CHUNK_BYTES = 1 << 16
BOM = b"\xef\xbb\xbf"


class BadObject(NamedTuple):
    """What stands there instead of an object. listed: what it holds, where it is a list."""

    message: str
    remedy: str | None = None
    listed: list[object] | None = None


Numbered = tuple[int, JsonObject | BadObject]
"""The number of the line in which it begins (of the entry, in a JSON array), counted from 1."""

TOO_LONG = BadObject(f"is longer than {MAX_OBJECT_BYTES} bytes")


def opens_an_array(source: IO[bytes]) -> bool:
    """By its first sign; the source is at its start afterwards."""
    opening = source.read(CHUNK_BYTES).removeprefix(BOM).lstrip()
    source.seek(0)
    return opening.startswith(b"[")


def json_objects(source: IO[bytes]) -> Iterator[Numbered]:
    """JSON Lines; empty lines are passed over."""
    for number, line in _lines(source):
        if isinstance(line, BadObject):
            yield number, line
        elif line.strip():
            yield number, decoded(line)


def text_objects(source: IO[bytes]) -> Iterator[Numbered]:
    """One text per line, as the field `text`."""
    for number, line in _lines(source):
        if isinstance(line, BadObject):
            yield number, line
            continue
        try:
            text = line.rstrip(b"\r\n").decode()
        except UnicodeDecodeError as error:
            yield number, BadObject(f"is not UTF-8: {error.reason} at byte {error.start + 1}")
            continue
        if text.strip():
            yield number, {"text": text}


def decoded(raw: bytes) -> JsonObject | BadObject:
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        return BadObject(f"is not JSON: {error}")
    if isinstance(value, dict):
        return value
    return BadObject("is no JSON object", listed=value if isinstance(value, list) else None)


def _lines(source: IO[bytes]) -> Iterator[tuple[int, bytes | BadObject]]:
    number = 0
    while line := source.readline(MAX_OBJECT_BYTES + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(BOM)
        if len(line) <= MAX_OBJECT_BYTES:
            yield number, line
            continue
        while line and not line.endswith(b"\n"):
            line = source.readline(CHUNK_BYTES)
        yield number, TOO_LONG


def json_array_objects(source: IO[bytes]) -> Iterator[Numbered]:
    """The entries of one JSON array."""
    scanner = _ArrayScanner()
    while not scanner.broken and (chunk := source.read(CHUNK_BYTES)):
        yield from scanner.feed(chunk)
    if not scanner.broken and not scanner.closed:
        yield scanner.number + 1, BadObject("is not closed: the file ends inside the array")


_IN_STRING = re.compile(rb'["\\]')
_DEEP = re.compile(rb'["{}\[\]]')
_BETWEEN = re.compile(rb'["{}\[\],]')


class _ArrayScanner:
    """Cuts an array into its entries. depth: 0 outside the array, 1 between entries, more inside one."""

    def __init__(self) -> None:
        self.number = 0
        self.closed = False
        self.broken = False
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._entry = bytearray()
        self._too_long = False

    def feed(self, chunk: bytes) -> Iterator[Numbered]:
        at = start = 0
        while not self.broken and at < len(chunk):
            if self._escaped:
                self._escaped = False
                at += 1
                continue
            if self._depth == 0:
                if not self._opens(chunk[at:]):
                    yield from self._stray(chunk[at:])
                    return
                at = start = chunk.index(b"[", at) + 1
                continue
            pattern = _IN_STRING if self._in_string else _BETWEEN if self._depth == 1 else _DEEP
            if (found := pattern.search(chunk, at)) is None:
                break
            at = found.end()
            if self._ends_entry(found.group()):
                self._keep(chunk[start : at - 1])
                start = at
                yield from self._finished()
        if self._depth:
            self._keep(chunk[start:])

    def _opens(self, rest: bytes) -> bool:
        opening = rest.removeprefix(BOM).lstrip()
        if self.closed or not opening.startswith(b"["):
            return False
        self._depth = 1
        return True

    def _stray(self, rest: bytes) -> Iterator[Numbered]:
        """White space may stand outside the array; anything else ends the reading."""
        if rest.removeprefix(BOM).strip():
            self.broken = True
            self.number += 1
            yield self.number, BadObject("stands outside the array")

    def _ends_entry(self, sign: bytes) -> bool:
        if self._in_string:
            self._escaped = sign == b"\\"
            self._in_string = self._escaped
            return False
        if sign == b'"':
            self._in_string = True
        elif sign in (b"{", b"["):
            self._depth += 1
        elif sign == b",":
            return True
        else:
            self._depth -= 1
            self.closed = self._depth == 0
        return self.closed

    def _keep(self, part: bytes) -> None:
        if len(self._entry) + len(part) > MAX_OBJECT_BYTES:
            self._too_long = True
            self._entry.clear()
        if not self._too_long:
            self._entry += part

    def _finished(self) -> Iterator[Numbered]:
        raw, too_long = bytes(self._entry), self._too_long
        self._entry.clear()
        self._too_long = False
        if self.closed and not self.number and not raw.strip() and not too_long:
            return  # an array of nothing
        self.number += 1
        yield self.number, TOO_LONG if too_long else decoded(raw)
