"""Reading a growing file by whole lines from an offset. Knows bytes; does not know what a line says. Blocking."""

from pathlib import Path

from msgspec import Struct

LONGEST_LINE_BYTES = 64 << 20
"""A worker that writes more than this in one line is broken; judged samples are the longest that are meant."""


class Line(Struct, frozen=True):
    """offset: where it begins in the file. data: without its newline."""

    offset: int
    data: bytes


class Chunk(Struct, frozen=True):
    """drained: there was no further whole line when it was read."""

    lines: tuple[Line, ...]
    next_offset: int
    drained: bool


def read_lines(path: Path, *, offset: int, limit_bytes: int) -> Chunk:
    """Whole lines from `offset`, about `limit_bytes` of them, at least one if there is one.

    A torn last line waits for its end. A missing file is an empty one.
    Raises ValueError for a line longer than LONGEST_LINE_BYTES.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            held = file.read(limit_bytes)
            while b"\n" not in held and (more := file.read(limit_bytes)):
                held += more
                if len(held) > LONGEST_LINE_BYTES:
                    raise ValueError(f"{path}: the line at byte {offset} is longer than {LONGEST_LINE_BYTES} bytes")
            drained = not file.read(1)
    except FileNotFoundError:
        return Chunk((), offset, drained=True)
    whole = held[: held.rfind(b"\n") + 1]
    lines, at = [], offset
    for data in whole.split(b"\n")[:-1]:
        lines.append(Line(at, data))
        at += len(data) + 1
    return Chunk(tuple(lines), at, drained=drained)
