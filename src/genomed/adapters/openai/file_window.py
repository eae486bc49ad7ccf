"""A stretch of a file that an HTTP client reads while it sends: bounded memory, and every read in a thread.

The SDK takes open files, and would read them on the event loop, block by block; `in_threads` is what it is given to
iterate instead. Knows nothing of OpenAI.
"""

import io
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from anyio import to_thread


class FileWindow(io.BufferedIOBase):
    """`length` bytes of a file from `offset` on, as a file of their own. Opened by the first read.

    Raises EOFError when the file is shorter than was said: a request must break off rather than send less.
    """

    def __init__(self, source: Path, *, offset: int, length: int) -> None:
        self._source, self._offset, self._length = source, offset, length
        self._at = 0
        self._opened: BinaryIO | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        self._at = min(max(0, start + offset), self._length)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        left = self._length - self._at
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted == 0:
            return b""
        if self._opened is None:
            self._opened = self._source.open("rb")
        self._opened.seek(self._offset + self._at)
        block = self._opened.read(wanted)
        if len(block) < wanted:
            raise EOFError(f"{self._source.name} ends before byte {self._offset + self._length}")
        self._at += wanted
        return block

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
        super().close()


async def in_threads(blocks: Iterable[bytes]) -> AsyncIterator[bytes]:
    """The same blocks; each is made in a thread."""
    waiting = iter(blocks)
    while (block := await to_thread.run_sync(_next, waiting)) is not None:
        yield block


def _next(waiting: Iterator[bytes]) -> bytes | None:
    return next(waiting, None)
