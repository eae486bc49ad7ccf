"""What nobody foresaw still ends in a `failed` line of the right kind; the interpreter then exits with 1 by itself.

Knows how engines and libraries say that memory or disk ran out. They have no common word for it: they raise their own
errors, with the operating system's text somewhere inside.
"""

import errno
import shutil
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from . import checkpoints
from .failures import FailureKind
from .layer_files import partial
from .protocol import FULL, Progress

MEMORY_NAMES = ("OutOfMemoryError", "MemoryError")
MEMORY_WORDS = (
    "can't allocate memory",
    "annot allocate memory",
    "failed to map segment",
    "bad_alloc",
    "start new thread",
)
"""Of torch's allocator, the C library, its loader (seen when torch was imported under RLIMIT_AS), C++ and Python."""
DISK_WORDS = ("No space left on device", "Disk quota exceeded", "File too large", "file write failed", "unexpected pos")
"""Of the C library, as safetensors and others quote it, and of torch's archive writer."""
SMALLER = "a smaller batchSize or sequenceLength, gradient_checkpointing, or a higher limit of memory; then resume"
ROOM = "free space on the disk of the data folder (or raise largest_file_bytes), then resume: its checkpoints are sound"
LONGEST_MESSAGE = 2000


class Obituary:
    """An excepthook. checkpoints: None where the work has none."""

    def __init__(self, progress: Progress, *, checkpoints: Path | None, result: Path) -> None:
        self._progress, self._checkpoints, self._result = progress, checkpoints, result

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        try:
            self._tell(kind, error)
        finally:
            traceback.print_exception(kind, error, trace)

    def _tell(self, kind: type[BaseException], error: BaseException) -> None:
        if self._progress.ended:
            return
        meant, remedy = failure_of(error)
        message = f"{kind.__name__}: {error}"
        if remedy == ROOM:
            make_room(self._checkpoints, self._result)
            message = f"the disk is full, or the file larger than it may be: {message}"
        self._progress.tell("failed", kind=meant, message=message[:LONGEST_MESSAGE], remedy=remedy)
        self._progress.close()


def failure_of(error: BaseException) -> tuple[FailureKind, str | None]:
    """Its kind, and what to do about it."""
    for one in _chain(error):
        code = one.errno if isinstance(one, OSError) else None
        if code in FULL or any(word in str(one) for word in DISK_WORDS):
            return "capacity", ROOM
        if type(one).__name__ in MEMORY_NAMES or code == errno.ENOMEM or any(w in str(one) for w in MEMORY_WORDS):
            return "capacity", SMALLER
    return "training_failed", None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Itself and what led to it; libraries wrap what they catch."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def make_room(kept: Path | None, result: Path) -> None:
    """Gives back what half a checkpoint or half a result takes: nobody will ever use it."""
    if kept is not None:
        checkpoints.sweep(kept)
    shutil.rmtree(partial(result), ignore_errors=True)
