"""What happens between two training steps: the step is told, a wish is obeyed, a checkpoint is committed.

Knows the trainer only as `engine.Listener` shows it. Costs one stat() and one write() per step.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from . import checkpoints
from .checkpoints import Checkpoint, Run
from .engine import Control, State
from .failures import WorkerFailure
from .protocol import Progress, Wish, Wishes
from .settings import RESCUE_S, Settings

WINDOW = 20
"""Steps in the moving averages of speed and remaining time."""


class Watch:
    """One training run as seen from between its steps."""

    def __init__(
        self,
        *,
        progress: Progress,
        wishes: Wishes,
        settings: Settings,
        folder: Path,
        run: Run,
        keep: int,
        resumed: Checkpoint | None,
        restore: Callable[[], None] | None = None,
    ) -> None:
        self._progress, self._wishes, self._settings = progress, wishes, settings
        self._folder, self._run, self._keep = folder, run, keep
        self._restore = restore
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
        self.stopped = self._wishes.now()
        if self.stopped is not None:
            control.should_training_stop = True
            control.should_save = self.stopped == "pause"
            return
        rescue = time.monotonic() - self._saved_at > RESCUE_S
        control.should_save = rescue or self.step in self._settings.save_at
        control.should_evaluate = self.step in self._settings.evaluate_at

    def logged(self, state: State, logs: Mapping[str, object]) -> None:
        if "loss" in logs:
            self._tell_step(state, logs)
        elif "eval_loss" in logs:
            self._progress.tell("evaluation", step=state.global_step, evalLoss=_number(logs, "eval_loss"))

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
        step = state.global_step
        folder = self._folder / f"checkpoint-{step}"
        self.checkpoint = checkpoints.commit(folder, step=step, tokens_seen=self.tokens_seen, run=self._run)
        checkpoints.prune(self._folder, keep=self._keep)
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
