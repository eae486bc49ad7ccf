"""Rows of vector pairs as tensors: read once, checked number by number, refused by file and line."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..failures import WorkerFailure

if TYPE_CHECKING:
    from torch import Tensor


class Vectors(NamedTuple):
    """One row each: what goes in (rows, width) and what should come out (rows, width)."""

    inputs: "Tensor"
    targets: "Tensor"

    def __len__(self) -> int:
        return len(self.inputs)


def read_vectors(path: Path, *, widths: tuple[int, int], wanted: int | None = None) -> Vectors:
    """Raises WorkerFailure invalid_request. widths: of input and of target. wanted: how many rows there must be."""
    import torch

    inputs: list[list[float]] = []
    targets: list[list[float]] = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    before, after = _pair(line, widths, f"{path}, line {number}")
                    inputs.append(before)
                    targets.append(after)
    except (OSError, UnicodeDecodeError) as broken:
        raise WorkerFailure("invalid_request", f"{path} cannot be read: {broken}") from None
    if wanted is not None and len(inputs) != wanted:
        raise WorkerFailure("invalid_request", f"{path} holds {len(inputs)} rows, the specification says {wanted}")
    if not inputs:
        raise WorkerFailure("invalid_request", f"{path} holds no rows")
    return Vectors(torch.tensor(inputs, dtype=torch.float32), torch.tensor(targets, dtype=torch.float32))


def _pair(line: str, widths: tuple[int, int], place: str) -> tuple[list[float], list[float]]:
    try:
        row = json.loads(line)
    except ValueError as broken:
        raise WorkerFailure("invalid_request", f"{place} is not JSON: {broken}") from None
    if not isinstance(row, dict):
        raise WorkerFailure("invalid_request", f"{place} is no object")
    return _vector(row.get("input"), widths[0], "input", place), _vector(row.get("target"), widths[1], "target", place)


def _vector(given: object, width: int, name: str, place: str) -> list[float]:
    if not isinstance(given, list) or not all(_is_number(value) for value in given):
        raise WorkerFailure("invalid_request", f"{place}: {name} is no list of finite numbers")
    if len(given) != width:
        raise WorkerFailure(
            "invalid_request",
            f"{place}: {name} has {len(given)} numbers, the perceptron takes {width}",
            remedy="name a base model of the rows' widths, as mlp:512-1024-512-384",
        )
    vector = [float(value) for value in given]
    if not any(vector):
        raise WorkerFailure("invalid_request", f"{place}: {name} is all zeros and points nowhere")
    return vector


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def widths_of(path: Path) -> Sequence[int]:
    """Of input and target in the first row, wherever that is; nothing where there is none to read."""
    try:
        with path.open(encoding="utf-8") as lines:
            row = json.loads(next(lines, "null"))
    except (OSError, ValueError):
        return ()
    held = (row.get("input"), row.get("target")) if isinstance(row, dict) else ()
    return [len(one) for one in held if isinstance(one, list)]
