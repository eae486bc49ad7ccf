"""Reading a growing file by whole lines from an offset. Knows bytes; does not know what a line says. Blocking.

The worker writes the file, so it may hold anything: a line without end is passed over as it grows, never held, and a
file that is not the one read so far is noticed.
"""

import os
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from genomed.adapters.local.worker_file import open_plain

LONGEST_LINE_BYTES = 64 << 20
"""A worker that writes more than this in one line is broken; judged samples are the longest that are meant."""


class Line(Struct, frozen=True):
    """offset: where it begins in the file. data: without its newline."""

    offset: int
    data: bytes


class Chunk(Struct, frozen=True):
    """drained: there was no further whole line when it was read.

    inside: next_offset lies within a line that is too long; its rest is passed over. passed: lines that were too long
    and began here. other: the file is shorter than what was read of it, or cut elsewhere; it was read from its start.
    """

    lines: tuple[Line, ...]
    next_offset: int
    drained: bool
    inside: bool = False
    passed: int = 0
    other: bool = False


def read_lines(
    path: Path, *, offset: int, limit_bytes: int, inside: bool = False, longest_bytes: int = LONGEST_LINE_BYTES
) -> Chunk:
    """Whole lines from `offset`, about `limit_bytes` of them, at least one if there is one.

    A torn last line waits for its end. A missing file is an empty one.
    """
    try:
        with open_plain(path) as file:
            other = not _ends_a_line(file, offset, inside=inside)
            if other:
                offset, inside = 0, False
            if inside:
                offset, inside = _past_the_line(file, offset, limit_bytes)
                if inside:
                    return Chunk((), offset, drained=not file.read(1), inside=True, other=other)
            return _chunk(file, offset, limit_bytes, longest_bytes, other=other)
    except FileNotFoundError:
        return Chunk((), offset, drained=True, inside=inside)


def _ends_a_line(file: BinaryIO, offset: int, *, inside: bool) -> bool:
    """Whether this can be the file that was read up to `offset`."""
    if os.fstat(file.fileno()).st_size < offset:
        return False
    if offset == 0 or inside:
        return True
    file.seek(offset - 1)
    return file.read(1) == b"\n"


def _past_the_line(file: BinaryIO, offset: int, limit_bytes: int) -> tuple[int, bool]:
    """Where reading goes on, and whether that is still within the line."""
    file.seek(offset)
    for _ in range(PORTIONS):
        held = file.read(limit_bytes)
        if (end := held.find(b"\n")) >= 0:
            return offset + end + 1, False
        offset += len(held)
        if not held:
            break
    return offset, True


PORTIONS = 64
"""Of a line that is too long, at one look: others wait for the same thread."""


def _chunk(file: BinaryIO, offset: int, limit_bytes: int, longest_bytes: int, *, other: bool) -> Chunk:
    file.seek(offset)
    parts, size = [file.read(limit_bytes)], 0
    while b"\n" not in parts[-1] and (more := file.read(limit_bytes)):
        size += len(parts[-1])
        if size > longest_bytes:
            return Chunk((), offset + size, drained=False, inside=True, passed=1, other=other)
        parts.append(more)
    drained = not file.read(1)
    held = b"".join(parts)
    lines, at = [], offset
    for data in held[: held.rfind(b"\n") + 1].split(b"\n")[:-1]:
        lines.append(Line(at, data))
        at += len(data) + 1
    return Chunk(tuple(lines), at, drained=drained, other=other)
