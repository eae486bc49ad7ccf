"""Projections as the sides of an evaluation, row by row. The base is the perceptron as training would begin with it."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from .. import rows, trust
from ..attempt import peak_memory
from ..judge import Judgement, Outcome
from ..projection import measure, perceptron
from ..projection.perceptron import Shape
from ..projection.vectors import Vectors, read_vectors
from .options import EvaluateOptions, Side
from .sides import Judged, Pair, Pause

if TYPE_CHECKING:
    from torch import nn


def judged(options: EvaluateOptions, *, offline: bool, pause: Pause) -> Pair:  # noqa: ARG001 -- it is always
    """Raises WorkerFailure, or what `pause` raises."""
    return Pair(candidate=_side(options, options.candidate, pause), baseline=_side(options, options.baseline, pause))


def _side(options: EvaluateOptions, side: Side, pause: Pause) -> Judged:
    pause()
    shape, model = _model(options, side)
    path = Path(options.rows)
    held_out = read_vectors(path, widths=(shape.widths[0], shape.widths[-1]))
    began = time.monotonic()
    facts = measure.measure(model, held_out, device="cpu").facts(shape)
    outcomes = _outcomes(path, held_out, model)
    return Judged(Judgement(facts, outcomes), time.monotonic() - began, peak_memory())


def _model(options: EvaluateOptions, side: Side) -> "tuple[Shape, nn.Module]":
    import torch

    if side.layer is not None:
        trust.check_layer(Path(side.layer), base_model=options.base_model)
        return perceptron.load(Path(side.layer))
    widths = tuple(int(width) for width in options.base_model.removeprefix("mlp:").split("-"))
    shape = Shape(widths=widths, dropout=0.0, target_loss=1.0)
    torch.manual_seed(options.seed)
    return shape, perceptron.build(shape).eval()


def _outcomes(path: Path, held_out: Vectors, model: "nn.Module") -> list[Outcome]:
    import torch

    names = [rows.identity(row, where) for where, row in rows.lines(path)]
    with torch.no_grad():
        likeness = torch.nn.functional.cosine_similarity(model(held_out.inputs), held_out.targets, dim=-1)
    cosines: list[float] = likeness.tolist()
    return [Outcome(name, cosine, 1 - cosine) for name, cosine in zip(names, cosines, strict=True)]
