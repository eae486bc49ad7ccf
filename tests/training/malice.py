"""Files that would run code if anything opened them: real pickles and modules, each leaving a mark where it ran."""

import os
import pickle
from pathlib import Path


class _Marking:
    """A pickle of it makes a folder when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self._mark),))


def pickled(path: Path, mark: Path) -> Path:
    path.write_bytes(pickle.dumps(_Marking(mark)))
    return path


def module(path: Path, mark: Path) -> Path:
    path.write_text(f"import os\nos.mkdir({str(mark)!r})\nclass Model: ...\nclass Tokenizer: ...\n", encoding="utf-8")
    return path
