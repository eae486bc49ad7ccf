"""The steps of a projection run, and what is between them: a look at held-out rows, a wish, a checkpoint."""

import math
import random
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .. import checkpoints
from ..attempt import KEPT_CHECKPOINTS, Attempt, Stopped
from ..checkpoints import Checkpoint
from ..failures import WorkerFailure
from ..learning_rate import rate_at
from ..settings import RESCUE_S
from . import measure, perceptron
from .plan import Material, Plan
from .state import State

if TYPE_CHECKING:
    from torch import Tensor, nn


class Training:
    """The steps, and what is between them."""

    def __init__(self, shared: Attempt, plan: Plan, model: "nn.Module", material: Material) -> None:
        from torch import optim

        self._shared, self._plan, self._material = shared, plan, material
        optimizer = shared.spec.optimizer
        self.state = State(
            model=model,
            optimizer=optim.AdamW(model.parameters(), lr=optimizer.learning_rate, weight_decay=optimizer.weight_decay),
        )
        self.checkpoint: Checkpoint | None = shared.resumed
        self._saved_at = self._began = time.monotonic()
        self._first = 0

    def run(self) -> None:
        state = self.state
        if self._shared.resumed is not None:
            state.restore(self._shared.resumed.path, device=self._plan.device)
        self._saved_at = self._began = time.monotonic()
        self._first = state.numbers.step
        state.model.train()
        for chunk in self._chunks(state.numbers.step):
            if self._had_enough():
                message = f"no gain on held-out rows in {state.numbers.worse} looks: training ends early"
                self._shared.notice("stopped_early", message)
                return
            self._step(chunk)
            self._obey()

    def _chunks(self, done: int) -> "Iterator[Tensor]":
        """Rows of each step from the one after `done`: every epoch in an order that the seed and its number decide."""
        import torch

        schedule, rows = self._shared.spec.schedule, len(self._material.train)
        size = schedule.batch_size * schedule.gradient_accumulation
        per_epoch = self._plan.steps_per_epoch(schedule.epochs)
        order: Tensor | None = None
        for step in range(done, self._plan.total):
            epoch, nth = divmod(step, per_epoch)
            if nth == 0 or order is None:
                drawn = random.Random(f"{self._shared.spec.seed}:{epoch}").getrandbits(63)
                order = torch.randperm(rows, generator=torch.Generator().manual_seed(drawn))
            yield order[nth * size : (nth + 1) * size]

    def _step(self, chunk: "Tensor") -> None:
        import torch
        from torch import split

        spec, plan, state = self._shared.spec, self._plan, self.state
        number = state.numbers.step + 1
        rate = rate_at(spec.optimizer, step=number, total=plan.total)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        state.optimizer.zero_grad(set_to_none=True)
        loss = math.fsum(self._learn(part, len(part) / len(chunk)) for part in split(chunk, spec.schedule.batch_size))
        norm = float(torch.nn.utils.clip_grad_norm_(state.model.parameters(), spec.optimizer.max_gradient_norm))
        if not math.isfinite(loss):
            raise WorkerFailure(
                "training_failed", f"the loss of step {number} is {loss!r}, not a number",
                remedy="lower the learning rate, or use fp32",
            )  # fmt: skip
        state.optimizer.step()
        state.numbers.step, state.numbers.loss_sum = number, state.numbers.loss_sum + loss
        self._tell_step(loss, rate, norm)
        if number in plan.evaluate_at:
            self._look()

    def _learn(self, part: "Tensor", share: float) -> float:
        """The gradients of one batch; what it adds to the step's loss."""
        import torch

        plan, train = self._plan, self._material.train
        with torch.autocast(plan.device, dtype=torch.bfloat16, enabled=plan.precision == "bf16"):
            projected = self.state.model(train.inputs[part].to(plan.device))
        loss = perceptron.cosine_loss(projected, train.targets[part].to(plan.device)) * share
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it without annotations
        return float(loss.detach())

    def _tell_step(self, loss: float, rate: float, norm: float) -> None:
        step, total = self.state.numbers.step, self._plan.total
        pace = (time.monotonic() - self._began) / (step - self._first)
        per_epoch = self._plan.steps_per_epoch(self._shared.spec.schedule.epochs)
        self._shared.progress.tell(
            "step", step=step, totalSteps=total, epoch=step / per_epoch, loss=loss, learningRate=rate, gradNorm=norm,
            tokensSeen=None, tokensPerS=None, etaS=pace * (total - step),
        )  # fmt: skip

    def _look(self) -> None:
        """At the held-out rows, and whether this is the best state so far."""
        if self._material.held_out is None:
            return
        numbers, stop = self.state.numbers, self._shared.spec.schedule.early_stopping
        found = measure.measure(self.state.model, self._material.held_out, device=self._plan.device, nearest=False)
        self._shared.progress.tell("evaluation", step=numbers.step, evalLoss=found.loss)
        threshold = 0.0 if stop is None else stop.threshold
        gained = numbers.best_loss is None or found.loss < numbers.best_loss - threshold
        numbers.worse = 0 if gained else numbers.worse + 1
        if numbers.best_loss is None or found.loss < numbers.best_loss:
            numbers.best_loss, numbers.best_step = found.loss, numbers.step
            self.state.best = perceptron.weights_of(self.state.model)

    def _had_enough(self) -> bool:
        stop = self._shared.spec.schedule.early_stopping
        return stop is not None and self.state.numbers.worse >= stop.patience

    def _obey(self) -> None:
        """Between two steps: a wish, and whether it is time for a checkpoint."""
        step = self.state.numbers.step
        self._shared.progress.work()
        wish = self._shared.wishes.now()
        over = step >= self._plan.total
        due = step in self._plan.save_at or time.monotonic() - self._saved_at > RESCUE_S
        if wish != "cancel" and (due or wish == "pause"):
            self._save()
        if wish == "cancel" or (wish == "pause" and not over):
            raise Stopped(wish, step=step, checkpoint=self.checkpoint)

    def _save(self) -> None:
        shared, step = self._shared, self.state.numbers.step
        if not shared.progress.has_home():
            raise WorkerFailure("training_failed", "the folder of the attempt is gone or another: it is not written to")
        folder = shared.checkpoints / f"checkpoint-{step}"
        self.state.write(folder)
        self.checkpoint = checkpoints.commit(folder, step=step, tokens_seen=0, run=shared.run)
        checkpoints.prune(shared.checkpoints, keep=max(KEPT_CHECKPOINTS, shared.spec.schedule.checkpoints))
        self._saved_at = time.monotonic()
        shared.progress.tell("checkpoint", step=step, path=str(folder), sha256=self.checkpoint.sha256, loss=None)

    def chosen(self) -> "nn.Module":
        if self.state.best is not None:
            self.state.model.load_state_dict(self.state.best)
        return self.state.model.eval()
