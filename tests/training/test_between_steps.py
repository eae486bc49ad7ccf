"""What is decided between two steps: when to evaluate, save and stop. Real files; the trainer is played."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from genomed.training.callbacks import Watch
from genomed.training.checkpoints import Checkpoint, Run, of_step
from genomed.training.protocol import Progress, Wishes
from genomed.training.settings import Settings
from genomed.training.specification import EarlyStopping, Schedule

from .test_settings import SPEC, derived

RUN = Run("data", "configuration")
OFTEN = derived(replace(SPEC, schedule=replace(SPEC.schedule, evaluations=30, checkpoints=0)))


class State:
    """As the engine tells where it is."""

    def __init__(self, step: int) -> None:
        self.global_step, self.max_steps = step, 30
        self.epoch: float | None = None
        self.log_history: list[dict[str, float]] = []


class Control:
    should_save = should_evaluate = should_training_stop = False


class Played:
    """One attempt, played step by step."""

    def __init__(
        self, root: Path, schedule: Schedule, *, resumed: Checkpoint | None = None, chosen: Settings = OFTEN
    ) -> None:
        self.root = root
        self.progress = root / "progress.jsonl"
        self.watch = Watch(
            progress=Progress(self.progress),
            wishes=Wishes(root / "control.json"),
            settings=chosen,
            folder=root,
            run=RUN,
            schedule=schedule,
            resumed=resumed,
        )

    def step(self, step: int, loss: float) -> Control:
        control = Control()
        self.watch.step_end(State(step), control)
        if control.should_evaluate:
            self.watch.evaluated(State(step), control, {"eval_loss": loss})
        if control.should_save:
            (self.root / f"checkpoint-{step}").mkdir()
            self.watch.saved(State(step))
        return control

    def notices(self) -> list[str]:
        lines = [json.loads(line) for line in self.progress.read_text().splitlines()]
        return [line["code"] for line in lines if line["type"] == "notice"]


def schedule(patience: int | None, *, keep_best: bool = False) -> Schedule:
    rule = None if patience is None else EarlyStopping(patience=patience, threshold=0.0)
    return replace(SPEC.schedule, early_stopping=rule, keep_best=keep_best, checkpoints=0)


def test_a_pause_at_an_evaluation_evaluates_first_so_that_going_on_misses_nothing(tmp_path: Path) -> None:
    run = Played(tmp_path, schedule(None, keep_best=True))
    (tmp_path / "control.json").write_text(json.dumps({"want": "pause"}))
    control = run.step(3, 1.0)
    assert (control.should_training_stop, control.should_save) == (True, True)
    assert run.watch.standing.best_step == 3


def test_a_cancel_neither_evaluates_nor_saves(tmp_path: Path) -> None:
    run = Played(tmp_path, schedule(1, keep_best=True))
    (tmp_path / "control.json").write_text(json.dumps({"want": "cancel"}))
    control = run.step(3, 1.0)
    assert (control.should_training_stop, control.should_save, control.should_evaluate) == (True, False, False)


def test_the_best_checkpoint_is_written_at_its_evaluation_and_outlives_later_ones(tmp_path: Path) -> None:
    run = Played(tmp_path, schedule(None, keep_best=True))
    for step, loss in enumerate((3.0, 1.0, 2.0, 2.0), 1):
        run.step(step, loss)
    assert of_step(tmp_path, 2, RUN) is not None
    assert [path.name for path in sorted(tmp_path.glob("checkpoint-*"))] == ["checkpoint-1", "checkpoint-2"]
    for step in (5, 6, 7):
        (tmp_path / f"checkpoint-{step}").mkdir()
        run.watch.saved(State(step))
    assert [path.name for path in sorted(tmp_path.glob("checkpoint-*"))] == [
        "checkpoint-2", "checkpoint-6", "checkpoint-7",
    ]  # fmt: skip


@pytest.mark.parametrize("broken_off", [2, 3, 4])
def test_patience_is_counted_on_after_a_checkpoint(tmp_path: Path, broken_off: int) -> None:
    losses = (3.0, 1.0, 2.0, 2.0, 2.0)
    run = Played(tmp_path, schedule(3))
    for step in range(1, broken_off + 1):
        assert not run.step(step, losses[step - 1]).should_training_stop
    (tmp_path / f"checkpoint-{broken_off}").mkdir()
    run.watch.saved(State(broken_off))
    again = Played(tmp_path, schedule(3), resumed=of_step(tmp_path, broken_off, RUN))
    stopped = [step for step in range(broken_off + 1, 6) if again.step(step, losses[step - 1]).should_training_stop]
    assert stopped == [5]
    assert again.notices() == ["stopped_early"]
