"""What torchtune is given of ours: rows that are tokenized already, and the learning rate as every engine has it.

Copied beside a run's configuration and imported by torchtune in its own process, so it stands alone.
"""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LambdaLR

RowOf = Mapping[str, list[int]]


class Padding:
    """All that torchtune's loop asks of a tokenizer when the rows are tokenized."""

    def __init__(self, pad_id: int) -> None:
        self.pad_id = pad_id


class Rows:
    """A file of `input_ids` and `labels`, one row a line, under torchtune's names."""

    def __init__(self, path: str) -> None:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        self._rows = [json.loads(line) for line in lines]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> RowOf:
        row = self._rows[index]
        return {"tokens": row["input_ids"], "labels": row["labels"]}


def padding(pad_id: int) -> Padding:
    return Padding(pad_id)


def rows(_tokenizer: Padding, path: str) -> Rows:
    return Rows(path)


def rate(
    optimizer: "Optimizer", *, num_training_steps: int, last_epoch: int, kind: str, warmup: int, floor: float
) -> "LambdaLR":
    """The share of the learning rate at every step."""
    from torch.optim.lr_scheduler import LambdaLR

    return LambdaLR(optimizer, share(kind, steps=num_training_steps, warmup=warmup, floor=floor), last_epoch)


def share(kind: str, *, steps: int, warmup: int, floor: float) -> Callable[[int], float]:
    """Pure. kind: cosine, linear, constant or constant_with_warmup."""

    def at(step: int) -> float:
        if step < warmup:
            return step / max(1, warmup)
        if kind.startswith("constant"):
            return 1.0
        done = min(1.0, (step - warmup) / max(1, steps - warmup))
        left = 1.0 - done if kind == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
        return floor + (1.0 - floor) * left

    return at
