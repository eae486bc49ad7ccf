"""How good a projection is on rows that it did not learn from."""

from typing import TYPE_CHECKING, NamedTuple

from .perceptron import Shape
from .vectors import Vectors

if TYPE_CHECKING:
    from torch import Tensor, nn

MEASURED_ROWS = 512
"""Projected at a time."""
HIT_RATE_ROWS = 20_000
"""With more held-out rows than this the nearest target of each is not looked for: it costs their number squared."""


class Measured(NamedTuple):
    """cosine: the mean. hit_rate: share of rows whose own target is the nearest of all; None with too many rows."""

    rows: int
    cosine: float
    hit_rate: float | None

    @property
    def loss(self) -> float:
        return 1 - self.cosine

    def facts(self, shape: Shape) -> dict[str, object]:
        """As a `judged` line tells it."""
        metrics = {"cosine": self.cosine, "targetMet": float(self.loss < shape.target_loss)}
        if self.hit_rate is not None:
            metrics["hitRateAt1"] = self.hit_rate
        return {"rows": self.rows, "loss": self.loss, "metrics": metrics, "samples": []}


def measure(model: "nn.Module", held_out: Vectors, *, device: str, nearest: bool = True) -> Measured:
    """Leaves the model in the mode it was in."""
    import torch
    from torch.nn.functional import cosine_similarity

    was_training = model.training
    model.eval()
    with torch.no_grad():
        parts = [model(batch.to(device)).float().cpu() for batch in torch.split(held_out.inputs, MEASURED_ROWS)]
        projected = torch.cat(parts)
        cosine = float(cosine_similarity(projected.double(), held_out.targets.double(), dim=-1).mean())
        hits = _hit_rate(projected, held_out.targets) if nearest and len(held_out) <= HIT_RATE_ROWS else None
    model.train(was_training)
    return Measured(len(held_out), cosine, hits)


def _hit_rate(projected: "Tensor", targets: "Tensor") -> float:
    """A target that stands there twice counts for both of its rows."""
    import torch
    from torch.nn.functional import normalize

    ours, theirs = normalize(projected, dim=-1), normalize(targets, dim=-1)
    hits = 0
    for at in range(0, len(ours), MEASURED_ROWS):
        likeness = ours[at : at + MEASURED_ROWS] @ theirs.T
        rows = torch.arange(len(likeness))
        hits += int((likeness[rows, at + rows] >= likeness.max(dim=1).values).sum())
    return hits / len(ours)
