"""The MLX engine, really at work: on Apple silicon, and on a Linux CPU where its wheels run."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from tests.patience import PATIENCE_S
from tests.training.conftest import Job, Json, make_chat_rows, weights
from tests.training.engine_interpreters import interpreter

from genomed.training.engines.mlx_layer import mlx_name, peft_name

pytestmark = pytest.mark.training

RUN: dict[str, object] = {
    "engine": "mlx",
    "dpo": None,
    "schedule": {"checkpoints": 4, "evaluations": 2, "epochs": 8},
    "optimizer": {"learningRate": 3e-2},
}
JUDGED: dict[str, object] = {"judge": {"baselineLayer": None, "maxNewTokens": 4, "samples": 0}}


@pytest.fixture
def mlx_job(job: Job) -> Job:
    job.python = interpreter("mlx")
    return job


@pytest.mark.parametrize("dora", [False, pytest.param(True, marks=pytest.mark.long)])
def test_what_mlx_learned_is_a_plain_peft_layer_that_beats_its_base(mlx_job: Job, dora: bool) -> None:
    rows = make_chat_rows(30)
    lines = mlx_job.run(mlx_job.spec(rows[:24], rows[24:], **RUN, **JUDGED, method={"lora": {"dora": dora}}))
    judged = {line["side"]: line for line in lines if line["type"] == "judged"}
    assert float(str(judged["candidate"]["loss"])) < 0.97 * float(str(judged["baseline"]["loss"]))
    losses = [line["loss"] for line in lines if line["type"] == "step"]
    assert len(losses) == 48
    assert held_out_loss(mlx_job, rows[24:]) == pytest.approx(judged["candidate"]["loss"], rel=1e-3)


def held_out_loss(job: Job, rows: list[dict[str, object]]) -> float:
    """Of the layer in plain transformers and PEFT, by the same template."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from genomed.training import engine
    from genomed.training.rows import encode_answer, read_chat, to_learn

    tokenizer = engine.load_tokenizer(str(job.model))
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(job.model), str(job.result)).eval()
    lost, counted = 0.0, 0
    for row in read_chat(job.rows("again.jsonl", rows)):
        asked, answer = to_learn(row)
        encoded = encode_answer(tokenizer, asked, [answer])
        labels = torch.tensor([encoded.labels])
        with torch.no_grad():
            loss = model(input_ids=torch.tensor([encoded.input_ids]), labels=labels).loss
        tokens = int((labels[:, 1:] != -100).sum())
        lost, counted = lost + float(loss) * tokens, counted + tokens
    return lost / counted


def test_a_killed_mlx_run_goes_on_with_the_loss_curve_of_an_undisturbed_one(mlx_job: Job, tmp_path: Path) -> None:
    rows = make_chat_rows(24)
    lora = {"method": {"lora": {"dropout": 0.1}}}
    with mlx_job.held(mlx_job.spec(rows, **RUN, **lora), "checkpoint", 2) as worker:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    resumed = mlx_job.run(mlx_job.spec(rows, **RUN, **lora, resume=True))
    (tmp_path / "other").mkdir()
    whole = Job(tmp_path / "other", mlx_job.model)
    whole.python = mlx_job.python
    undisturbed = whole.run(whole.spec(rows, **RUN, **lora))
    curve = {line["step"]: line["loss"] for line in undisturbed if line["type"] == "step"}
    again = {line["step"]: line["loss"] for line in resumed if line["type"] == "step"}
    assert 0 < len(again) < len(curve)
    for step, loss in again.items():
        assert loss == pytest.approx(curve[step], rel=1e-6)


def test_a_cancelled_mlx_run_stops_within_one_step(mlx_job: Job) -> None:
    long: Json = {"schedule": {"checkpoints": 4, "evaluations": 2, "epochs": 200}}
    with mlx_job.held(mlx_job.spec(make_chat_rows(24), **RUN | long), "step", 3) as worker:
        mlx_job.want("cancel")
        seen = len(mlx_job.of("step"))
    assert worker.wait(PATIENCE_S) == 0
    (stopped,) = mlx_job.of("stopped")
    assert stopped["reason"] == "cancelled"
    assert not mlx_job.of("finished")
    # One step may have been under way when the wish was written, and one more have been told while it was.
    assert int(str(stopped["step"])) <= seen + 2


@pytest.mark.long
def test_mlx_stops_early_gives_its_best_state_and_takes_no_step_more_where_it_was_lost_then(mlx_job: Job) -> None:
    rows = make_chat_rows(24)
    schedule = {
        "epochs": 8, "checkpoints": 0, "evaluations": 8, "keepBest": True,
        "earlyStopping": {"patience": 1, "threshold": 10.0},
    }  # fmt: skip
    asked = {**RUN, "schedule": schedule}
    lines = mlx_job.run(mlx_job.spec(rows[:16], rows[16:], **asked))
    notices = [line["code"] for line in lines if line["type"] == "notice"]
    assert "stopped_early" in notices
    ended = max(int(str(line["step"])) for line in lines if line["type"] == "step")
    (finished,) = mlx_job.of("finished")
    assert ended == int(str(finished["step"])) < int(str(finished["totalSteps"]))
    layer = weights(mlx_job.result)
    shutil.rmtree(mlx_job.result)
    again = mlx_job.run(mlx_job.spec(rows[:16], rows[16:], **asked, resume=True))
    assert not [line for line in again if line["type"] == "step"]
    assert weights(mlx_job.result) == layer


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"method": {"type": "full", "lora": None}}, "method.type"),
        ({"precision": "fp16"}, "model.precision"),
        ({"optimizations": ["gradient_checkpointing"]}, "optimizations.enabled"),
    ],
    ids=["full", "precision", "optimizations"],
)
@pytest.mark.long
def test_what_mlx_cannot_do_is_refused_by_name(mlx_job: Job, changes: dict[str, object], field: str) -> None:
    lines = mlx_job.run(mlx_job.spec(make_chat_rows(4), **{**RUN, **changes}), code=1)
    assert lines[-1]["kind"] == "unsupported"
    assert field in str(lines[-1]["message"])


@pytest.mark.parametrize(
    "name",
    ["model.layers.0.self_attn.q_proj.lora_a", "model.layers.3.mlp.up_proj.lora_b", "model.layers.1.mlp.up_proj.m"],
)
def test_names_go_to_peft_and_back(name: str) -> None:
    assert mlx_name(peft_name(name)) == name
