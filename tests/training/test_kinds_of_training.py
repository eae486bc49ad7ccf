"""Labelled and RAFT rows, early stopping and LoRA's variants: whole runs of a real worker on a tiny model.

A resumed run is held against an undisturbed one bit by bit: the tolerance is none.
"""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.patience import PATIENCE_S

from genomed.adapters.local.attempt_folder import AttemptFolder
from genomed.adapters.local.progress_file import Line as Told
from genomed.adapters.local.progress_lines import Finished, read_line
from genomed.adapters.local.progress_report import Cursor, Report
from genomed.adapters.local.publication import artifact_of, objections

from .conftest import (
    Job,
    Json,
    Line,
    make_chat_rows,
    make_labelled_rows,
    make_preference_rows,
    weights,
)

pytestmark = [pytest.mark.training]

JUDGE = {"baselineLayer": None, "maxNewTokens": 16, "samples": 2}
RATED: Json = {
    "judge": JUDGE,
    "schedule": {"epochs": 3, "batchSize": 4, "gradientAccumulation": 1, "checkpoints": 3, "evaluations": 3},
    "method": {"lora": {"dropout": 0.1}},
    "optimizer": {"learningRate": 1e-2},
}
ENOUGH: Json = {
    "judge": JUDGE,
    "schedule": {
        "epochs": 8, "batchSize": 2, "gradientAccumulation": 2, "checkpoints": 0, "evaluations": 16,
        "groupByLength": True, "keepBest": True, "earlyStopping": {"patience": 2, "threshold": 0.0},
    },
    "method": {"lora": {"dropout": 0.1, "dora": True, "rsLora": True}},
    "optimizer": {"learningRate": 2e-2},
}  # fmt: skip
"""The rows held out are answered as the base model answers: what is learned soon makes them less likely."""


class Ran(NamedTuple):
    """A job whose attempt ran to its end, and its lines."""

    job: Job
    lines: list[Line]

    def of(self, kind: str) -> list[Line]:
        return [line for line in self.lines if line["type"] == kind]

    def notices(self) -> dict[str, str]:
        return {str(line["code"]): str(line["message"]) for line in self.of("notice")}

    def curve(self) -> dict[int, object]:
        return {int(str(line["step"])): line["loss"] for line in self.of("step")}


def new_job(factory: pytest.TempPathFactory, model: Path) -> Job:
    return Job(factory.mktemp("job"), model)


def rated(job: Job, **changes: object) -> Json:
    rows = make_labelled_rows(26)
    return job.spec(rows[:20], rows[20:], "labelled", **{**RATED, **changes})


def enough(job: Job, **changes: object) -> Json:
    held = [{"id": row["id"], "messages": [*row["prompt"], *row["rejected"]]} for row in make_preference_rows(36)[32:]]  # type: ignore[misc]
    return job.spec(make_chat_rows(20), held, **{**ENOUGH, **changes})


@pytest.fixture(scope="module")
def thumbs(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Ran:
    job = new_job(tmp_path_factory, tiny_model_dir)
    return Ran(job, job.run(rated(job)))


@pytest.fixture(scope="module")
def stopped_early(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Ran:
    job = new_job(tmp_path_factory, tiny_model_dir)
    return Ran(job, job.run(enough(job)))


@pytest.fixture(scope="module")
def quoting(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Ran:
    """RAFT on a model whose template marks nothing, with a LoRA that finds no place."""
    unmarked = tmp_path_factory.mktemp("models") / "unmarked"
    shutil.copytree(tiny_model_dir, unmarked)
    template = unmarked / "chat_template.jinja"
    text = template.read_text(encoding="utf-8")
    template.write_text(text.replace("{% generation %}", "").replace("{% endgeneration %}", ""), encoding="utf-8")
    job = new_job(tmp_path_factory, unmarked)
    rows = [
        {
            "id": f"row-{at}", "question": f"How urgent is it? {at}", "documents": [f"Number {at}.", "It was urgent."],
            "oracle": 1, "answer": "<quote>urgent</quote> high",
        }
        for at in range(30)
    ]  # fmt: skip
    spec = job.spec(
        rows[:24], rows[24:], "raft", judge=JUDGE,
        method={"allowFull": True, "lora": {"trainableModules": "nowhere"}},
        schedule={"epochs": 20, "batchSize": 8, "evaluations": 0},
        optimizer={"learningRate": 1e-2, "scheduler": {"type": "constant"}},
    )  # fmt: skip
    return Ran(job, job.run(spec))


def test_labelled_answers_are_learned_and_held_out_ones_are_told_apart_which_the_base_model_does_not(
    thumbs: Ran,
) -> None:
    baseline, candidate = thumbs.of("judged")
    assert (baseline["rewardAccuracy"], baseline["rewardMargin"], baseline["loss"]) == (0.5, 0, 0.5)
    assert float(str(candidate["rewardAccuracy"])) >= 0.75
    assert float(str(candidate["rewardMargin"])) > 0.1
    assert float(str(candidate["loss"])) < 0.5
    steps = thumbs.of("step")
    assert steps[0]["rewardMargin"] == 0  # the reference is the model with its LoRA switched off
    assert float(str(steps[-1]["rewardMargin"])) > 0


def test_reward_margins_of_a_run_become_metric_points_of_its_job(thumbs: Ran) -> None:
    data = (thumbs.job.here / "progress.jsonl").read_bytes().splitlines()
    report = Report(Cursor())
    report.take([Told(offset=at, data=line) for at, line in enumerate(data)], next_offset=len(data))
    snapshot = report.snapshot()
    points = [(point.step, point.value) for point in snapshot.points if point.name == "reward_margin"]
    assert points == [(line["step"], line["rewardMargin"]) for line in thumbs.of("step") if "rewardMargin" in line]
    assert snapshot.judgements["candidate"].reward_accuracy == thumbs.of("judged")[1]["rewardAccuracy"]
    assert snapshot.notices == ()


def test_a_killed_run_over_labelled_rows_goes_on_to_the_very_same_weights(thumbs: Ran) -> None:
    job = Job(thumbs.job.folder / "again", thumbs.job.model)
    job.folder.mkdir()
    with job.held(rated(job), "checkpoint", 2) as worker:
        worker.kill()
        worker.wait()
    resumed = Ran(job, job.run(rated(job, resume=True)))
    assert resumed.of("started")[0]["resumedFromStep"] == 10
    curve = resumed.curve()
    assert curve
    assert curve.items() <= thumbs.curve().items()
    assert weights(job.result) == weights(thumbs.job.result)


def test_training_stops_when_held_out_rows_gain_nothing_and_gives_the_best_checkpoint(stopped_early: Ran) -> None:
    evaluations = {line["step"]: float(str(line["evalLoss"])) for line in stopped_early.of("evaluation")}
    best = min(evaluations, key=lambda step: evaluations[step])
    (finished,) = stopped_early.of("finished")
    assert len(evaluations) < 16
    assert finished["step"] == max(evaluations) != best  # type: ignore[type-var]
    assert finished["totalSteps"] == 40
    notices = stopped_early.notices()
    assert list(notices) == ["stopped_early", "best_checkpoint_kept"]
    assert f"that of step {best}," in notices["best_checkpoint_kept"]
    candidate = stopped_early.of("judged")[1]
    assert candidate["loss"] == pytest.approx(evaluations[best], rel=1e-4)


def test_an_early_stop_is_the_same_after_a_kill_before_it(stopped_early: Ran) -> None:
    """Also that rows grouped by length come in the same order again, and that the best checkpoint outlives others."""
    job = Job(stopped_early.job.folder / "again", stopped_early.job.model)
    job.folder.mkdir()
    with job.held(enough(job), "checkpoint") as worker:
        worker.kill()
        worker.wait()
    resumed = Ran(job, job.run(enough(job, resume=True)))
    assert resumed.of("started")[0]["resumedFromStep"] is not None
    assert resumed.curve().items() <= stopped_early.curve().items()
    assert resumed.notices() == stopped_early.notices()
    assert weights(job.result) == weights(stopped_early.job.result)


@pytest.mark.long
def test_a_run_that_was_killed_after_it_had_stopped_early_only_judges_and_saves(job: Job) -> None:
    whole = Ran(job, job.run(enough(job)))
    made = weights(job.result)
    behind = Ran(job, job.run(enough(job, resume=True)))
    assert behind.of("step") == []
    assert behind.of("finished")[0]["step"] == whole.of("finished")[0]["step"]
    assert behind.of("finished")[0]["trainLoss"] == whole.of("finished")[0]["trainLoss"]
    assert weights(job.result) == made


def test_a_weight_decomposed_and_rank_stabilised_layer_loads_in_plain_peft(stopped_early: Ran) -> None:
    import peft
    import transformers

    plain = transformers.AutoModelForCausalLM.from_pretrained(str(stopped_early.job.model))
    layered = peft.PeftModel.from_pretrained(plain, str(stopped_early.job.result))
    config = layered.peft_config["default"]
    assert isinstance(config, peft.LoraConfig)
    assert (config.use_dora, config.use_rslora) == (True, True)
    names = [name for name, _ in layered.named_parameters()]
    assert any("lora_magnitude_vector" in name for name in names)
    assert len(weights(stopped_early.job.result)) == sum("lora_" in name for name in names)


def test_raft_rows_teach_to_quote_from_the_documents(quoting: Ran) -> None:
    baseline, candidate = quoting.of("judged")
    assert baseline["metrics"] == {"quoteFaithfulness": 0, "oracleQuoted": 0}
    assert candidate["metrics"] == {"quoteFaithfulness": 1, "oracleQuoted": 1}
    assert (baseline["exactMatch"], candidate["exactMatch"]) == (0, 1)


def test_a_template_without_markers_is_announced_and_the_last_answer_is_learned(quoting: Ran) -> None:
    assert "only the last answer is learned" in quoting.notices()["template_without_markers"]
    told = {field["field"]: field["sent"] for line in quoting.of("effective") for field in line["fields"]}  # type: ignore[attr-defined]
    assert told["lossMasking"] == "completion"


def test_where_the_operator_allows_it_a_layer_without_a_place_becomes_full_training_and_is_announced(
    quoting: Ran,
) -> None:
    assert "the base model has no module nowhere" in quoting.notices()["lora_not_applied"]
    (finished,) = quoting.of("finished")
    assert (finished["format"], finished["layersAdapted"]) == ("full_model", None)
    assert {"model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"} <= {
        path.name for path in quoting.job.result.iterdir()
    }


def test_such_a_result_is_published_as_the_whole_model_that_it_is(quoting: Ran) -> None:
    line = (quoting.job.here / "progress.jsonl").read_bytes().splitlines()[-1]
    told = read_line(line)
    assert isinstance(told, Finished)
    artifact = artifact_of(told, AttemptFolder(quoting.job.here), full=False)
    assert artifact.format == "full_model"
    assert artifact.layers_adapted is None
    assert objections(artifact, quoting.job.result) == []


@pytest.mark.long
def test_what_became_full_training_goes_on_as_full_training(quoting: Ran) -> None:
    job = Job(quoting.job.folder / "further", quoting.job.model)
    job.folder.mkdir()
    layer = str(quoting.job.result)
    rows = [json.loads(line) for line in (quoting.job.folder / "train.jsonl").read_text().splitlines()]
    wishes: Json = {
        "initLayer": layer,
        "judge": {**JUDGE, "baselineLayer": layer},
        "schedule": {"epochs": 1, "batchSize": 8, "evaluations": 0},
    }
    nowhere = {"allowFull": True, "lora": {"trainableModules": "nowhere"}}
    lines = job.run(job.spec(rows[:16], rows[16:], "raft", method=nowhere, **wishes))
    judged = [line["exactMatch"] for line in lines if line["type"] == "judged"]
    assert judged == [1, 1]
    lora = job.spec(rows[:16], rows[16:], "raft", **wishes)
    job.run(lora, code=1)
    assert "a LoRA cannot go on from a whole model" in str(job.of("failed")[0]["message"])


@pytest.mark.long
def test_a_cancelled_run_over_labelled_rows_stops_within_one_step(job: Job) -> None:
    with job.held(rated(job, schedule={**RATED["schedule"], "epochs": 20}), "step", 2) as worker:  # type: ignore[dict-item]
        step = int(str(job.of("step")[-1]["step"]))
        job.want("cancel")
    assert worker.wait(PATIENCE_S) == 0, job.log()
    (stopped,) = job.of("stopped")
    assert stopped["reason"] == "cancelled"
    assert step <= int(str(stopped["step"])) < 100
    assert not job.result.exists()


@pytest.mark.long
def test_labelled_rows_teach_a_layer_that_there_is_and_survive_a_pause_unchanged(job: Job) -> None:
    """The frozen copy that such a run carries along neither leaks into the layer nor takes its place."""
    first = Job(job.folder / "first", job.model)
    first.folder.mkdir()
    lora = {"lora": {"dropout": 0.1}}
    first.run(first.spec(make_chat_rows(8), method=lora, schedule={"epochs": 1, "checkpoints": 0}))
    whole = Job(job.folder / "whole", job.model)
    whole.folder.mkdir()
    layer = str(first.result)
    whole.run(rated(whole, initLayer=layer))
    with job.held(rated(job, initLayer=layer), "step", 3) as worker:
        job.want("pause")
    assert worker.wait(PATIENCE_S) == 0, job.log()
    job.run(rated(job, initLayer=layer, resume=True))
    assert weights(job.result) == weights(whole.result)
    assert not any("ref" in name for name in weights(job.result))
    assert [path.name for path in job.result.iterdir() if path.is_dir()] == []


@pytest.mark.long
def test_every_weight_can_be_trained_on_labelled_rows_and_the_best_checkpoint_put_back(job: Job) -> None:
    schedule: Json = {"epochs": 2, "batchSize": 4, "evaluations": 4, "keepBest": True}
    job.run(rated(job, method={"type": "full", "lora": None}, schedule=schedule, optimizer={"learningRate": 1e-3}))
    baseline, candidate = job.of("judged")
    assert (baseline["rewardMargin"], candidate["rewardAccuracy"]) == (0, 1)
