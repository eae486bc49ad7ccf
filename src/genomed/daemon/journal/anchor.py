"""The head of the log, kept outside the database, so that a cut or swapped log is noticed.

Two slots written in turn: a torn write spoils one, the other still tells an earlier head. Not synced: after a
power cut the anchor may be older than the log, which is fine; it must never be newer.
"""

import os
from hashlib import sha256
from pathlib import Path
from typing import Self

from genomed.entities.envelope import Head

MAGIC = b"genomed-anchor-1"
SLOT_BYTES = 256
SLOT_OFFSETS = (0, 4096)
"""Apart by a page, so that no single sector or page holds both."""


def _slot(head: Head) -> bytes:
    text = b"%s %d %s" % (MAGIC, head.position, head.hash.encode())
    line = text + b" " + sha256(text).hexdigest()[:32].encode() + b"\n"
    return line.ljust(SLOT_BYTES, b"\0")


def _head_in(slot: bytes) -> Head | None:
    text, _, checksum = slot.rstrip(b"\0").rstrip(b"\n").rpartition(b" ")
    if not text.startswith(MAGIC + b" ") or sha256(text).hexdigest()[:32].encode() != checksum:
        return None
    _, position, digest = text.split(b" ")
    return Head(position=int(position), hash=digest.decode())


class Anchor:
    """The open anchor file. `record` is cheap enough to follow every commit."""

    def __init__(self, descriptor: int, slots: list[Head | None]) -> None:
        self._descriptor = descriptor
        self._next = 0 if slots[0] is None or (slots[1] is not None and slots[0].position < slots[1].position) else 1

    @classmethod
    def open(cls, path: Path) -> Self:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        return cls(descriptor, [_head_in(os.pread(descriptor, SLOT_BYTES, offset)) for offset in SLOT_OFFSETS])

    def record(self, head: Head) -> None:
        """Overwrites the older slot. Only for a head that is durable."""
        os.pwrite(self._descriptor, _slot(head), SLOT_OFFSETS[self._next])
        self._next = 1 - self._next

    def close(self) -> None:
        os.close(self._descriptor)


def anchored_head(path: Path) -> Head | None:
    """The newest head the file vouches for; None when it is absent or both slots are spoiled."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    heads = [_head_in(content[offset : offset + SLOT_BYTES]) for offset in SLOT_OFFSETS]
    return max((head for head in heads if head), key=lambda head: head.position, default=None)


def replace_anchor(path: Path, head: Head) -> None:
    """A new file that knows `head` alone, whole or not at all."""
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(descriptor, _slot(head), SLOT_OFFSETS[0])
        os.pwrite(descriptor, b"\0" * SLOT_BYTES, SLOT_OFFSETS[1])
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    beside.rename(path)
