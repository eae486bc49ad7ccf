"""Counting tokens with a base model's own tokenizer, where its files lie on this machine. Nothing is downloaded.

`tokenizers` is loaded when it is first needed, in the thread that counts; without it lengths are estimated.
"""

import os
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, cast

from genomed.curation.cleaning.row_steps import ESTIMATED, TokenCounter

FILE = "tokenizer.json"


class _Encoding(Protocol):
    ids: Sequence[int]


class _Tokenizer(Protocol):
    def encode(self, text: str, *, add_special_tokens: bool) -> _Encoding: ...


class _Tokenizers(Protocol):
    def from_file(self, path: str) -> _Tokenizer: ...


def token_counter(model: str | None) -> tuple[TokenCounter | None, str]:
    """How to count for this base model, and in words how that is. Null: there is only an estimate.

    model: a folder, or a name on the hub whose files are in the hub's cache on this machine.
    """
    if model is None:
        return None, ESTIMATED
    file = _file_of(model)
    if file is None:
        return None, f"{ESTIMATED}: there is no {FILE} of {model} on this machine"
    if find_spec("tokenizers") is None:
        return None, f"{ESTIMATED}: the package tokenizers is not installed"
    tokenizer = cast(_Tokenizers, import_module("tokenizers").Tokenizer).from_file(str(file))
    return (
        lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
    ), f"counted by the tokenizer of {model}, without the chat template"


def _file_of(model: str) -> Path | None:
    if model.startswith("/"):
        file = Path(model) / FILE
        return file if file.is_file() else None
    home = os.environ.get("HF_HOME") or str(Path.home() / ".cache" / "huggingface")
    cached = Path(os.environ.get("HF_HUB_CACHE") or f"{home}/hub") / f"models--{model.replace('/', '--')}"
    try:
        revision = (cached / "refs" / "main").read_text(encoding="ascii").strip()
        file = cached / "snapshots" / revision / FILE
        return file if file.is_file() else None
    except (OSError, ValueError):
        return None
