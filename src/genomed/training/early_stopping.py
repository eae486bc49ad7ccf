"""When more training no longer helps: the loss on held-out rows, evaluation by evaluation.

What was seen so far lies in every checkpoint, so that a run that is resumed stops where an undisturbed one would and
gives the same best checkpoint. Pure but for that file.
"""

import json
from pathlib import Path
from typing import NamedTuple

from .specification import EarlyStopping

STANDING = "standing.json"


class Standing(NamedTuple):
    """best_step, best_loss: of the lowest loss so far. without_gain: evaluations in a row. stopped: it was enough."""

    best_step: int | None = None
    best_loss: float | None = None
    without_gain: int = 0
    stopped: bool = False


def after(standing: Standing, *, step: int, loss: float | None, rule: EarlyStopping | None) -> Standing:
    """A loss that is no number is no gain."""
    best = standing.best_loss
    lower = loss is not None and (best is None or loss < best)
    gain = lower and (best is None or loss is None or best - loss >= (rule.threshold if rule else 0.0))
    without = 0 if gain else standing.without_gain + 1
    return Standing(
        best_step=step if lower else standing.best_step,
        best_loss=loss if lower else best,
        without_gain=without,
        stopped=rule is not None and without >= rule.patience,
    )


def write(folder: Path, standing: Standing) -> None:
    """Beside a checkpoint's other files, before it is committed."""
    (folder / STANDING).write_text(json.dumps(standing._asdict()), encoding="utf-8")


def read(folder: Path | None) -> Standing:
    """Of a checkpoint that was verified; one that has none was written before anything was evaluated."""
    if folder is None or not (folder / STANDING).exists():
        return Standing()
    return Standing(**json.loads((folder / STANDING).read_text(encoding="utf-8")))
