"""What an evaluation is asked to do, as its errand's options say it."""

from dataclasses import dataclass
from typing import Literal

from ..specification import RowKind


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """name: as reports call it. layer: a folder; None for the base model itself."""

    name: str
    layer: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateOptions:
    """rows: a file of `count` held-out rows.

    base_model: a folder, a hub id, or `mlp:...` for projections. beta: preference rows, of the reward. k: ranks that
    count. dimensions: of vectors, judged by their first numbers too. resamples, seed: of the bootstrap. title: of the
    page.
    """

    title: str
    row_kind: RowKind
    rows: str
    count: int
    base_model: str
    revision: str | None
    candidate: Side
    baseline: Side
    precision: Literal["fp32", "bf16", "fp16"]
    batch_size: int
    max_new_tokens: int
    beta: float
    k: int
    resamples: int
    seed: int
    dimensions: tuple[int, ...] = ()
