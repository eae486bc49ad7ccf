"""Whole runs of the projection: it learns, goes on where it stood, obeys, and says whether it reached its target."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.patience import PATIENCE_S

from .conftest import WORKER, Job, Json, Line, merged, weights
from .vector_task import BASE_MODEL, make_vector_rows

pytestmark = pytest.mark.training

ROWS = make_vector_rows(600)
JUDGE: Json = {"baselineLayer": None, "maxNewTokens": 4, "samples": 2}
WISHES: Json = {
    "baseModel": BASE_MODEL,
    "projection": {"widths": [12, 48, 24, 6], "dropout": 0.1, "targetLoss": 0.15},
    "method": {"type": "full", "lora": None},
    "judge": JUDGE,
    "schedule": {"epochs": 10, "batchSize": 16, "gradientAccumulation": 2, "checkpoints": 10, "evaluations": 10},
}


def new_job(folder: Path) -> Job:
    folder.mkdir()
    return Job(folder, Path("/nowhere"))


def specify(job: Job, train: int = 500, /, **changes: object) -> Json:
    """Rows up to `train` are learned, the last hundred are held out."""
    spec = job.spec(ROWS[:train], ROWS[500:], "vector_pair")
    spec["projection"] = {}
    for key, value in {**WISHES, **{name: merged(WISHES.get(name), wish) for name, wish in changes.items()}}.items():
        spec[key] = merged(spec[key], value)
    return spec


def number(line: Line, name: str) -> float:
    return float(str(line[name]))


def losses(job: Job) -> list[tuple[object, object]]:
    return [(step["step"], step["loss"]) for step in job.of("step")]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A run that nobody disturbed."""
    job = new_job(tmp_path_factory.mktemp("projection") / "job")
    job.run(specify(job))
    return job


def test_it_beats_an_untrained_one_on_rows_that_it_never_saw(learned: Job) -> None:
    baseline, candidate = learned.of("judged")
    before, after = baseline["metrics"], candidate["metrics"]
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert before["cosine"] < 0.5
    assert after["cosine"] > 0.85
    assert (before["targetMet"], after["targetMet"]) == (0.0, 1.0)
    assert before["hitRateAt1"] < 0.1
    assert after["hitRateAt1"] > 0.5
    assert candidate["loss"] == pytest.approx(1 - after["cosine"])
    assert candidate["loss"] == pytest.approx(min(number(line, "evalLoss") for line in learned.of("evaluation")))


def test_the_result_is_a_shape_and_its_weights(learned: Job) -> None:
    (finished,) = learned.of("finished")
    assert finished["format"] == "projection"
    assert sorted(path.name for path in learned.result.iterdir()) == ["model.safetensors", "projection.json"]
    shape = json.loads((learned.result / "projection.json").read_text())
    assert shape["widths"] == [12, 48, 24, 6]
    assert shape["targetLoss"] == 0.15
    assert finished["trainableParameters"] == sum(len(held) // 4 for held in weights(learned.result).values())


def test_a_killed_run_goes_on_to_the_same_curve_and_the_very_same_weights(learned: Job, tmp_path: Path) -> None:
    job = new_job(tmp_path / "job")
    worker = job.start(specify(job))
    second = job.wait_for("checkpoint", worker, 2)
    worker.kill()
    worker.wait()

    job.run(specify(job, resume=True))

    undisturbed = dict(losses(learned))
    assert number(job.of("started")[0], "resumedFromStep") >= number(second, "step")
    assert all(undisturbed[step] == loss for step, loss in losses(job))
    assert weights(job.result) == weights(learned.result)


def test_a_cancelled_run_stops_within_one_step_and_leaves_no_result(tmp_path: Path) -> None:
    job = new_job(tmp_path / "job")
    worker = job.start(specify(job, schedule={"epochs": 5000, "checkpoints": 0, "evaluations": 0}))
    job.wait_for("step", worker, 2)
    job.want("cancel")
    asked = time.time()
    assert worker.wait(PATIENCE_S) == 0
    (stopped,) = job.of("stopped")
    assert (stopped["reason"], stopped["checkpoint"]) == ("cancelled", None)
    assert len([step for step in job.of("step") if number(step, "at") > asked]) <= 2
    assert not job.result.exists()


def evaluate(layer: Path, data: Path, *more: str) -> tuple[int, Json]:
    command = [sys.executable, str(WORKER), "project-evaluate", "--layer", str(layer), "--data", str(data), *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    return done.returncode, json.loads(done.stdout)


def test_the_exit_status_says_whether_the_target_is_met(learned: Job, tmp_path: Path) -> None:
    data = learned.folder / "eval.jsonl"
    code, told = evaluate(learned.result, data)
    assert (code, told["targetMet"], told["rows"]) == (0, True, 100)
    code, told = evaluate(learned.result, data, "--target", "0.0001")
    assert (code, told["targetMet"]) == (1, False)
    narrow = tmp_path / "narrow.jsonl"
    narrow.write_text('{"id": "a", "input": [1.0, 2.0], "target": [1.0]}\n')
    code, told = evaluate(learned.result, narrow)
    assert code == 2
    assert "line 1: input has 2 numbers, the perceptron takes 12" in str(told["error"])


def test_it_ends_early_and_gives_its_best_state_though_it_missed_its_target(tmp_path: Path) -> None:
    job = new_job(tmp_path / "job")
    schedule = {"epochs": 200, "evaluations": 200, "checkpoints": 0, "earlyStopping": {"patience": 3, "threshold": 0.0}}
    wishes: Json = {"optimizer": {"learningRate": 0.05}, "projection": {"targetLoss": 0.001}}
    job.run(specify(job, 60, schedule=schedule, **wishes))

    evaluations = [number(line, "evalLoss") for line in job.of("evaluation")]
    assert len(evaluations) < 200
    assert evaluations.index(min(evaluations)) == len(evaluations) - 4
    assert job.of("judged")[1]["loss"] == pytest.approx(min(evaluations))
    assert [line["code"] for line in job.of("notice")] == ["stopped_early", "target_missed"]
    assert number(job.of("finished")[0], "step") < number(job.of("finished")[0], "totalSteps")


def test_rows_of_other_widths_are_refused_by_file_and_line(tmp_path: Path) -> None:
    job = new_job(tmp_path / "job")
    job.run(specify(job, projection={"widths": [13, 8, 6]}), code=1)
    (failed,) = job.of("failed")
    assert failed["kind"] == "invalid_request"
    assert "eval.jsonl, line 1: input has 12 numbers, the perceptron takes 13" in str(failed["message"])
