"""`project-evaluate`: a published projection against rows, said as JSON and as an exit status.

0: the loss is below the target. 1: it is not. 2: there is nothing to measure, and why.
"""

from pathlib import Path

from ..failures import WorkerFailure
from . import measure, perceptron
from .vectors import read_vectors

MET, MISSED, UNUSABLE = 0, 1, 2


def evaluate(layer: Path, data: Path, *, target: float | None) -> tuple[int, dict[str, object]]:
    """target: instead of the one that the layer was trained for."""
    try:
        shape, model = perceptron.load(layer)
        held_out = read_vectors(data, widths=(shape.widths[0], shape.widths[-1]))
    except WorkerFailure as wrong:
        return UNUSABLE, {"error": wrong.message}
    wanted = shape.target_loss if target is None else target
    found = measure.measure(model, held_out, device="cpu")
    met = found.loss < wanted
    return MET if met else MISSED, {
        "rows": found.rows,
        "loss": found.loss,
        "cosine": found.cosine,
        "hitRateAt1": found.hit_rate,
        "target": wanted,
        "targetMet": met,
    }
