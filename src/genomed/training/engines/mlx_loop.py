"""Training steps with MLX: batches in an order that a seed fixes, one optimizer step at a time, gone on from exactly.

Knows arrays and steps; does not know what a row is nor where a layer is kept. The loss of a step is the mean over its
answer tokens, however they are spread over batches and accumulation, as the other engine has it.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..checkpoints import Checkpoint
from ..learning_rate import rate_at
from ..rows import IGNORED, Encoded
from ..specification import Specification
from . import mlx_rim
from .mlx_rim import Array, MlxModel, Optimizer

WEIGHTS, MOMENTS = "trained.safetensors", "optimizer.safetensors"

SEEDS_APART = 10_000_019
"""More than any run has steps."""


@dataclass
class State:
    """As `callbacks` reads it."""

    global_step: int
    max_steps: int
    epoch: float | None
    log_history: list[dict[str, float]]


@dataclass
class Control:
    should_save: bool = False
    should_evaluate: bool = False
    should_training_stop: bool = False


class Step(NamedTuple):
    """What one step did. tokens: that had a part in the loss."""

    loss: float
    learning_rate: float
    grad_norm: float
    tokens: int


class Trainee:
    """A model, what of it is trained, and the optimizer that moves it."""

    def __init__(self, model: MlxModel, spec: Specification, *, total_steps: int) -> None:
        self.model, self._spec, self._total = model, spec, total_steps
        self._core = mlx_rim.core()
        self._optimizer: Optimizer = mlx_rim.adamw(weight_decay=spec.optimizer.weight_decay)
        self._optimizer.init(model.trainable_parameters())
        self._sums = mlx_rim.value_and_grad(model, _sum_of_losses)

    def step(self, number: int, batches: Sequence[Sequence[Encoded]]) -> Step:
        """number: from 1. batches: one per accumulation."""
        core, optimizer = self._core, self._spec.optimizer
        # Each step draws its dropout from a seed of its own: a run that is gone on with draws as it would have.
        core.random.seed(self._spec.seed * SEEDS_APART + number)
        total, tokens, gradients = 0.0, 0, None
        for batch in batches:
            (lost, counted), given = self._sums(self.model, *padded(batch))
            core.eval(lost, counted, given)
            total, tokens = total + lost.item(), tokens + int(counted.item())
            gradients = given if gradients is None else mlx_rim.added(gradients, given)
        gradients = mlx_rim.scaled(gradients, 1 / max(1, tokens))
        gradients, norm = mlx_rim.clipped(gradients, optimizer.max_gradient_norm or math.inf)
        rate = rate_at(optimizer, step=number, total=self._total)
        self._optimizer.learning_rate = rate
        self._optimizer.update(self.model, gradients)
        core.eval(self.model.parameters(), self._optimizer.state)
        return Step(total / max(1, tokens), rate, norm.item(), tokens)

    def trained(self) -> dict[str, Array]:
        return mlx_rim.flat(self.model.trainable_parameters())

    def save(self, folder: Path) -> None:
        """Everything that the next step depends on."""
        folder.mkdir(parents=True, exist_ok=True)
        self._core.save_safetensors(str(folder / WEIGHTS), self.trained())
        self._core.save_safetensors(str(folder / MOMENTS), mlx_rim.flat(self._optimizer.state))

    def restore(self, checkpoint: Checkpoint) -> None:
        core = self._core
        self.model.load_weights(list(core.load(str(checkpoint.path / WEIGHTS)).items()), strict=False)
        self._optimizer.state = mlx_rim.nested(core.load(str(checkpoint.path / MOMENTS)))


def _sum_of_losses(model: MlxModel, ids: Array, targets: Array, counted: Array) -> tuple[Array, Array]:
    core = mlx_rim.core()
    losses = mlx_rim.token_losses(model(ids), targets).astype(core.float32) * counted
    return losses.sum(), counted.sum()


def padded(batch: Sequence[Encoded]) -> tuple[Array, Array, Array]:
    """Ids, the token after each, and whether that one is learned. Filled up on the right, where causality hides it."""
    core, width = mlx_rim.core(), max(len(row.input_ids) for row in batch)
    ids = [[*row.input_ids, *[0] * (width - len(row.input_ids))][:-1] for row in batch]
    after = [[*row.labels, *[IGNORED] * (width - len(row.labels))][1:] for row in batch]
    targets = [[max(0, label) for label in labels] for labels in after]
    counted = [[float(label != IGNORED) for label in labels] for labels in after]
    return core.array(ids), core.array(targets), core.array(counted)


def steps(
    rows: Sequence[Encoded], spec: Specification, *, after: int
) -> Iterator[tuple[int, float, list[list[Encoded]]]]:
    """Number, epoch and batches of every step after `after`. The same rows, seed and sizes give the same order."""
    schedule, number = spec.schedule, 0
    for epoch in range(schedule.epochs):
        order = list(range(len(rows)))
        random.Random(f"{spec.seed}:{epoch}").shuffle(order)
        batches = [order[at : at + schedule.batch_size] for at in range(0, len(order), schedule.batch_size)]
        groups = [
            batches[at : at + schedule.gradient_accumulation]
            for at in range(0, len(batches), schedule.gradient_accumulation)
        ]
        for nth, group in enumerate(groups, 1):
            number += 1
            if number > after:
                yield number, epoch + nth / len(groups), [[rows[at] for at in batch] for batch in group]


def mean_loss(model: MlxModel, rows: Sequence[Encoded], *, batch_size: int) -> float:
    core, lost, counted = mlx_rim.core(), 0.0, 0.0
    for at in range(0, len(rows), batch_size):
        loss, count = _sum_of_losses(model, *padded(rows[at : at + batch_size]))
        core.eval(loss, count)
        lost, counted = lost + loss.item(), counted + count.item()
    return lost / max(1.0, counted)
