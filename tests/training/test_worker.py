"""Whole runs of a real worker process on a real, if tiny, model."""

import json
import signal
import time
from pathlib import Path

import pytest
from tests.patience import PATIENCE_S

from genomed.adapters.local.progress_file import Line as Told
from genomed.adapters.local.progress_report import Cursor, Report

from .conftest import Job, Json, make_chat_rows, make_preference_rows, weights

pytestmark = pytest.mark.training

JUDGE = {"baselineLayer": None, "maxNewTokens": 4, "samples": 2}
STEADY: Json = {
    "schedule": {"epochs": 3, "batchSize": 2, "gradientAccumulation": 2, "checkpoints": 3, "evaluations": 0},
    "method": {"lora": {"dropout": 0.1}},
}
"""Fifteen optimizer steps that use every source of chance: shuffling, accumulation and dropout."""


def copied(job: Job, name: str) -> Job:
    folder = job.folder.parent / name
    folder.mkdir()
    return Job(folder, job.model)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Path:
    """The layer that the STEADY run makes when nobody disturbs it."""
    job = Job(tmp_path_factory.mktemp("undisturbed"), tiny_model_dir)
    job.run(job.spec(make_chat_rows(20), **STEADY))
    return job.result


def test_a_lora_run_lowers_the_loss_and_tells_everything_in_order(job: Job) -> None:
    rows = make_chat_rows(30)
    lines = job.run(job.spec(rows[:24], rows[24:], judge=JUDGE, schedule={"epochs": 3, "evaluations": 2}))

    kinds = [line["type"] for line in lines]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert (kinds[0], kinds[-1]) == ("started", "finished")
    assert [line["phase"] for line in job.of("phase")] == [
        "loading", "judging_baseline", "training", "judging_candidate", "saving",
    ]  # fmt: skip
    steps = job.of("step")
    assert [step["step"] for step in steps] == list(range(1, 19))
    assert all(step["totalSteps"] == 18 for step in steps)
    assert steps[-1]["etaS"] == 0
    assert [line["step"] for line in job.of("evaluation")] == [9, 18]
    assert [line["step"] for line in job.of("checkpoint")] == [18]

    baseline, candidate = job.of("judged")
    assert (baseline["side"], candidate["side"]) == ("baseline", "candidate")
    assert float(str(candidate["loss"])) < float(str(baseline["loss"])) - 0.1
    assert candidate["loss"] == pytest.approx(job.of("evaluation")[-1]["evalLoss"], rel=1e-4)
    assert len(baseline["samples"]) == 2  # type: ignore[arg-type]

    (finished,) = job.of("finished")
    assert finished["layersAdapted"] == 14
    assert sorted(path.name for path in job.result.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    identity = json.loads((job.here / "worker.json").read_text())
    assert identity["submissionKey"] == "gn-test"
    assert identity["pid"] == lines[0]["pid"]
    assert (job.here / "heartbeat").exists()


def test_every_wish_of_the_specification_is_accounted_for(job: Job) -> None:
    job.run(job.spec(make_chat_rows(4), optimizations=["gradient_checkpointing", "dynamic_padding"]))
    (engine, effective) = job.of("effective")
    assert [field["field"] for field in engine["fields"]] == ["engine"]  # type: ignore[attr-defined]
    told = {field["field"]: field for field in effective["fields"]}  # type: ignore[attr-defined]
    wished = {
        "method.type", "method.loraConfig.rank", "method.loraConfig.alpha", "method.loraConfig.dropout",
        "method.loraConfig.trainableModules", "model.precision", "schedule.epochs", "schedule.batchSize",
        "schedule.sequenceLength", "schedule.gradientAccumulation", "schedule.checkpoints", "schedule.evaluations",
        "optimizer.learningRate", "optimizer.weightDecay", "optimizer.maxGradientNorm", "optimizer.scheduler.type",
        "optimizer.scheduler.minLRRatio", "optimizer.scheduler.warmupRatio", "optimizer.scheduler.cycles",
        "optimizations.enabled", "totalSteps", "warmupSteps", "evalSteps", "saveSteps", "lossMasking",
    }  # fmt: skip
    assert wished <= told.keys()
    assert told["engine.gradient_checkpointing"]["sent"] is True
    assert told["engine.trust_remote_code"]["sent"] is False
    assert told["lossMasking"]["sent"] == "assistant_tokens"
    assert told["endTokenTrained"]["sent"] is True
    assert told["schedule.evaluations"]["note"] == "no held-out rows"


def test_a_killed_run_goes_on_from_its_newest_sound_checkpoint_to_the_very_same_weights(
    job: Job, undisturbed: Path
) -> None:
    rows = make_chat_rows(20)
    with job.held(job.spec(rows, **STEADY), "step", 11) as worker:
        worker.kill()
        worker.wait()
    second = job.of("checkpoint")[1]
    damaged = Path(str(second["path"])) / "adapter_model.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\x7f")

    job.run(job.spec(rows, resume=True, **STEADY))

    (rejected,) = [line for line in job.of("checkpoint_rejected") if line["path"] == second["path"]]
    assert rejected["reason"] == "adapter_model.safetensors does not match its hash"
    assert job.of("started")[0]["resumedFromStep"] == 5
    assert job.of("step")[0]["step"] == 6
    assert weights(job.result) == weights(undisturbed)


def test_a_paused_run_writes_a_checkpoint_and_goes_on_from_it_to_the_very_same_weights(
    job: Job, undisturbed: Path
) -> None:
    rows = make_chat_rows(20)
    with job.held(job.spec(rows, **STEADY), "step", 2) as worker:
        worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE_S) == 0, job.log()
    (stopped,) = job.of("stopped")
    assert stopped["reason"] == "paused"
    assert stopped["step"] == job.of("step")[-1]["step"] == job.of("checkpoint")[-1]["step"]
    assert stopped["checkpoint"] == job.of("checkpoint")[-1]["path"]
    tokens = job.of("step")[-1]["tokensSeen"]

    job.run(job.spec(rows, resume=True, **STEADY))

    assert job.of("started")[0]["resumedFromStep"] == stopped["step"]
    assert int(str(job.of("step")[0]["tokensSeen"])) > int(str(tokens))
    assert weights(job.result) == weights(undisturbed)


def test_a_cancelled_run_stops_within_one_step_and_leaves_no_result(job: Job) -> None:
    with job.held(job.spec(make_chat_rows(30), schedule={"epochs": 20, "batchSize": 1}), "step", 2) as worker:
        job.want("cancel")
        asked = time.time()
    assert worker.wait(PATIENCE_S) == 0
    (stopped,) = job.of("stopped")
    assert (stopped["reason"], stopped["checkpoint"]) == ("cancelled", None)
    later = [step for step in job.of("step") if float(str(step["at"])) > asked]
    assert len(later) <= 2  # the one that had looked for a wish just before, told a moment later, and one more
    assert not job.result.exists()


def test_a_run_is_not_resumed_with_other_data_or_another_configuration(job: Job) -> None:
    job.run(job.spec(make_chat_rows(8), schedule={"epochs": 1}))
    changed = job.spec(make_chat_rows(8, seed=2), schedule={"epochs": 1}, optimizer={"learningRate": 1e-3}, resume=True)
    job.run(changed, code=1)
    (failed,) = job.of("failed")
    assert failed["kind"] == "invalid_request"
    assert "another dataDigest and configDigest" in str(failed["message"])


def test_full_training_leaves_a_whole_model(job: Job) -> None:
    rows = make_chat_rows(16)
    schedule = {"trainOnInputs": "enabled"}
    job.run(job.spec(rows[:12], rows[12:], judge=JUDGE, method={"type": "full", "lora": None}, schedule=schedule))
    steps = [float(str(step["loss"])) for step in job.of("step")]
    assert steps[-1] < steps[0]
    assert (job.result / "model.safetensors").exists()
    assert (job.result / "tokenizer.json").exists()
    assert not list(job.result.rglob("*.bin"))
    assert job.of("finished")[0]["layersAdapted"] is None


def test_a_preference_run_goes_on_from_a_layer_and_survives_a_pause_unchanged(job: Job) -> None:
    """Also that the frozen reference, which such a run carries along, neither leaks nor takes the layer's place."""
    rows = make_preference_rows(14)
    first = copied(job, "first")
    first.run(first.spec(make_chat_rows(8), schedule={"epochs": 1, "checkpoints": 0}))
    wishes: Json = {
        "initLayer": str(first.result),
        "judge": {**JUDGE, "baselineLayer": str(first.result)},
        "schedule": {"epochs": 3, "batchSize": 2, "evaluations": 1, "groupByLength": True},
    }
    whole = copied(job, "whole")
    whole.run(whole.spec(rows[:10], rows[10:], "preference", **wishes))
    baseline, candidate = whole.of("judged")
    assert float(str(candidate["rewardMargin"])) > float(str(baseline["rewardMargin"]))
    assert {"rewardAccuracy", "rewardMargin"} <= whole.of("step")[0].keys()

    with job.held(job.spec(rows[:10], rows[10:], "preference", **wishes), "step", 3) as worker:
        job.want("pause")
    assert worker.wait(PATIENCE_S) == 0, job.log()
    job.run(job.spec(rows[:10], rows[10:], "preference", resume=True, **wishes))
    assert job.of("started")[0]["resumedFromStep"] not in (None, 0)
    assert weights(job.result) == weights(whole.result)
    assert not any("ref" in name for name in weights(job.result))
    assert [path for path in job.result.iterdir() if path.is_dir()] == []


def test_a_new_layer_learns_preferences_against_the_plain_model(job: Job) -> None:
    rows = make_preference_rows(14)
    job.run(job.spec(rows[:10], rows[10:], "preference", judge=JUDGE))
    baseline, candidate = job.of("judged")
    assert baseline["rewardMargin"] == 0
    assert candidate["rewardAccuracy"] == 1
    assert candidate["loss"] == pytest.approx(job.of("evaluation")[-1]["evalLoss"], rel=1e-3)
    first, *_, last = job.of("step")
    assert first["rewardMargin"] == 0  # no copy of the model: the reference is the model with its layer switched off
    assert float(str(last["rewardMargin"])) > 0
    assert float(str(last["rewardAccuracy"])) == 1
    report = Report(Cursor())
    told = (job.here / "progress.jsonl").read_bytes().splitlines()
    report.take([Told(offset=at, data=line) for at, line in enumerate(told)], next_offset=len(told))
    points = {(point.name, point.step): point.value for point in report.snapshot().points}
    ended = int(str(last["step"]))
    assert points["reward_accuracy", ended] == last["rewardAccuracy"]
    assert points["reward_margin", ended] == last["rewardMargin"]


def test_a_layer_that_cannot_be_applied_fails_the_run(job: Job) -> None:
    job.run(job.spec(make_chat_rows(4), method={"lora": {"trainableModules": "q_proj,nowhere"}}), code=1)
    (failed,) = job.of("failed")
    assert failed["kind"] == "unsupported"
    assert "nowhere" in str(failed["message"])
    assert "q_proj" in str(failed["message"])
    assert not job.of("finished")
    assert not job.result.exists()


def test_what_this_hardware_cannot_do_is_refused_by_name(job: Job) -> None:
    job.run(job.spec(make_chat_rows(4), optimizations=["flash_attention"]), code=1)
    (failed,) = job.of("failed")
    assert failed["kind"] == "unsupported"
    assert str(failed["message"]).startswith("optimizations.enabled='flash_attention' is not possible here")


def test_a_wrong_specification_fails_with_every_wrong_field_named(job: Job) -> None:
    spec = job.spec(make_chat_rows(4), schedule={"epochs": "many"})
    spec["surprise"] = True
    del spec["seed"]
    job.run(spec, code=1)
    (failed,) = job.of("failed")
    assert failed["kind"] == "invalid_request"
    assert all(name in str(failed["message"]) for name in ("schedule.epochs", "surprise", "seed"))


def test_a_run_killed_after_its_last_step_only_judges_and_saves(job: Job) -> None:
    """With a layer judged as the baseline, which must be off again before the new one is trained."""
    rows = make_chat_rows(10)
    first = copied(job, "first")
    first.run(first.spec(rows[:8], schedule={"epochs": 1}))
    wishes: Json = {"judge": {**JUDGE, "baselineLayer": str(first.result)}, "schedule": {"epochs": 2, "checkpoints": 2}}
    worker = job.start(job.spec(rows[:8], rows[8:], **wishes))
    job.wait_for("checkpoint", worker, 2)
    worker.kill()
    worker.wait()
    job.run(job.spec(rows[:8], rows[8:], resume=True, **wishes))
    assert job.of("started")[0]["resumedFromStep"] == 4
    assert job.of("step") == []
    (finished,) = job.of("finished")
    assert (finished["step"], finished["totalSteps"]) == (4, 4)
    assert isinstance(finished["trainLoss"], float)
    whole = copied(job, "whole")
    whole.run(whole.spec(rows[:8], rows[8:], **wishes))
    assert weights(job.result) == weights(whole.result)
    assert finished["tokensSeen"] == whole.of("finished")[0]["tokensSeen"]


def test_a_full_preference_run_is_measured_against_where_it_began(job: Job) -> None:
    rows = make_preference_rows(10)
    wishes: Json = {"method": {"type": "full", "lora": None}, "optimizer": {"learningRate": 1e-3}}
    job.run(job.spec(rows[:6], rows[6:], "preference", judge=JUDGE, **wishes))
    baseline, candidate = job.of("judged")
    assert (baseline["rewardMargin"], candidate["rewardAccuracy"]) == (0, 1)
    assert candidate["loss"] == pytest.approx(job.of("evaluation")[-1]["evalLoss"], rel=1e-3)


def test_rows_that_are_not_there_are_refused(job: Job) -> None:
    spec = job.spec(make_chat_rows(2))
    (job.folder / "train.jsonl").unlink()
    job.run(spec, code=1)
    (failed,) = job.of("failed")
    assert failed["kind"] == "invalid_request"
