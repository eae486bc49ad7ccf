"""What happens between two training steps: the step is told, a wish is obeyed, a checkpoint is committed.

Knows the trainer only as `engine.Listener` shows it. Costs one stat() and one write() per step.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from . import checkpoints, early_stopping, ranks
from .attempt import KEPT_CHECKPOINTS
from .checkpoints import Checkpoint, Run
from .engine import Control, State
from .failures import WorkerFailure
from .protocol import Progress, Wish, Wishes
from .settings import RESCUE_S
from .specification import Schedule

WINDOW = 20
"""Steps in the moving averages of speed and remaining time."""


class Moments(Protocol):
    """Steps after which something is due."""

    @property
    def save_at(self) -> frozenset[int]: ...
    @property
    def evaluate_at(self) -> frozenset[int]: ...


class Watch:
    """One training run as seen from between its steps."""

    def __init__(
        self,
        *,
        progress: Progress,
        wishes: Wishes,
        settings: Moments,
        folder: Path,
        run: Run,
        schedule: Schedule,
        resumed: Checkpoint | None,
        restore: Callable[[], None] | None = None,
    ) -> None:
        self._progress, self._wishes, self._settings = progress, wishes, settings
        self._folder, self._run, self._schedule = folder, run, schedule
        self._restore = restore
        self.standing = early_stopping.read(resumed.path if resumed else None)
        self._tokens_before = resumed.tokens_seen if resumed else 0
        self._window: deque[tuple[float, int]] = deque(maxlen=WINDOW)
        self._began = self._saved_at = time.monotonic()
        self.step = resumed.step if resumed else 0
        self.tokens_seen = self._tokens_before
        self.loss: float | None = None
        self.stopped: Wish | None = None
        self.checkpoint: Checkpoint | None = resumed

    def train_begin(self) -> None:
        if self._restore is not None:
            self._restore()
        self._saved_at = time.monotonic()

    def step_begin(self) -> None:
        self._began = time.monotonic()

    def step_end(self, state: State, control: Control) -> None:
        self.step = state.global_step
        due = time.monotonic() - self._saved_at > RESCUE_S
        self.stopped, rescue = ranks.agreed((self._wishes.now(), due))
        if self.stopped is not None:
            control.should_training_stop = True
            control.should_save = self.stopped == "pause"
            # Whoever goes on from here does not come by this step again, and the evaluation draws from chance, too.
            control.should_evaluate = self.stopped == "pause" and self.step in self._settings.evaluate_at
            return
        control.should_save = rescue or self.step in self._settings.save_at
        control.should_evaluate = self.step in self._settings.evaluate_at

    def logged(self, state: State, logs: Mapping[str, object]) -> None:
        if "loss" in logs:
            self._tell_step(state, logs)
        elif "eval_loss" in logs:
            self._progress.tell("evaluation", step=state.global_step, evalLoss=_number(logs, "eval_loss"))

    def evaluated(self, state: State, control: Control, metrics: Mapping[str, object]) -> None:
        step, loss = state.global_step, _number(metrics, "eval_loss")
        self.standing = early_stopping.after(self.standing, step=step, loss=loss, rule=self._schedule.early_stopping)
        if self._schedule.keep_best and self.standing.best_step == step:
            control.should_save = True
        if self.standing.stopped and step < state.max_steps:
            control.should_training_stop = control.should_save = True
            best = f"that of step {self.standing.best_step} was {self.standing.best_loss}"
            message = (
                f"stopped early after step {step} of {state.max_steps}: the held-out loss is {loss}, and {best}; "
                f"{self.standing.without_gain} evaluations in a row brought nothing"
            )
            self._progress.tell("notice", code="stopped_early", message=message)

    def _tell_step(self, state: State, logs: Mapping[str, object]) -> None:
        self.loss = _number(logs, "loss")
        if self.loss is None:
            raise WorkerFailure(
                "training_failed",
                f"the loss of step {state.global_step} is {logs['loss']!r}, not a number",
                remedy="lower the learning rate, or use fp32 or bf16",
            )
        speed, eta = self._pace(state, logs)
        self._progress.tell(
            "step",
            step=state.global_step,
            totalSteps=state.max_steps,
            epoch=state.epoch,
            loss=self.loss,
            learningRate=_number(logs, "learning_rate"),
            gradNorm=_number(logs, "grad_norm"),
            tokensSeen=self.tokens_seen,
            tokensPerS=speed,
            etaS=eta,
            **{name: _number(logs, theirs) for name, theirs in REWARDS.items() if theirs in logs},
        )

    def _pace(self, state: State, logs: Mapping[str, object]) -> tuple[float | None, float]:
        """Tokens per second, or None where the trainer counts none, and seconds to go."""
        seen = _number(logs, "num_tokens")
        before, self.tokens_seen = self.tokens_seen, self._tokens_before + int(seen or 0)
        self._window.append((time.monotonic() - self._began, self.tokens_seen - before))
        spent = sum(seconds for seconds, _ in self._window)
        eta = spent / len(self._window) * (state.max_steps - state.global_step)
        return (sum(tokens for _, tokens in self._window) / spent if seen and spent else None), eta

    def saved(self, state: State) -> None:
        if not self._progress.has_home():
            raise WorkerFailure("training_failed", "the folder of the attempt is gone or another: it is not written to")
        ranks.together()  # each has put its random state there
        if not ranks.leads():
            return
        step = state.global_step
        folder = self._folder / f"checkpoint-{step}"
        early_stopping.write(folder, self.standing)
        self.checkpoint = checkpoints.commit(folder, step=step, tokens_seen=self.tokens_seen, run=self._run)
        best = self.standing.best_step if self._schedule.keep_best else None
        checkpoints.prune(self._folder, keep=max(KEPT_CHECKPOINTS, self._schedule.checkpoints), spare=best)
        self._saved_at = time.monotonic()
        self._progress.tell("checkpoint", step=step, path=str(folder), sha256=self.checkpoint.sha256, loss=self.loss)


REWARDS = {
    "rewardAccuracy": "rewards/accuracies",
    "rewardMargin": "rewards/margins",
    "rewardChosen": "rewards/chosen",
    "rewardRejected": "rewards/rejected",
}
"""Fields of a preference run's step -> the trainer's metric."""


def _number(logs: Mapping[str, object], name: str) -> float | None:
    value = logs.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
