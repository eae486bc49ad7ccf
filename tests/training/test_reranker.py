"""Rerankers by a real worker: what they learn from labelled pairs, and what comes out."""

import math
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.patience import PATIENCE_S
from tests.training.conftest import Job, Json, merged
from tests.training.encoder_jobs import (
    FULL,
    LORA,
    build_encoder,
    encoder_spec,
    judged,
    losses,
    new_job,
    pairs,
    thing_pairs,
)

from genomed.training.encoders.encoder_rows import Pair
from genomed.training.encoders.judging import Bench, judge_pairs
from genomed.training.encoders.library import Scorer
from genomed.training.inference.asked import Asked, Decoding, ServeSpec
from genomed.training.inference.encoder_answering import loaded

TOLERANCE = 1e-5
"""As for embeddings."""

HELD_OUT = thing_pairs(24, held_out=True, seed=2)
"""About pairs of thing and doing that are not trained on."""


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_encoder(tmp_path_factory.mktemp("encoders") / "cross-encoder", "cross-encoder")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cross_encoder: Path) -> Job:
    """One whole run with LoRA, judged on rows that it does not learn from."""
    job = new_job(tmp_path_factory.mktemp("undisturbed") / "job", cross_encoder)
    job.run(thing_spec(job))
    return job


def thing_spec(job: Job, **changes: object) -> Json:
    """Some hundred steps: a transformer this small finds out what to compare with what only after fifty."""
    return encoder_spec(
        job,
        *(thing_pairs(288), HELD_OUT, "ranking"),
        **{
            "method": LORA,
            "optimizer": {"learningRate": 5e-3},
            **changes,
            "schedule": merged({"epochs": 12, "batchSize": 32}, changes.get("schedule", {})),
        },
    )


def test_a_reranker_learns_with_lora_and_beats_its_base_on_queries_it_never_saw(undisturbed: Job) -> None:
    before, after = judged(undisturbed, "baseline"), judged(undisturbed, "candidate")
    assert after["pairAccuracy"] > max(0.9, before["pairAccuracy"] + 0.2)
    assert after["ndcg"] > max(0.95, before["ndcg"])
    assert after["loss"] < before["loss"] - 0.2
    assert after["queries"] > 5
    assert 0 <= after["accuracy"] <= 1
    asked = {str(row["query"]) for row in thing_pairs(288)}
    assert not asked & {str(row["query"]) for row in HELD_OUT}
    taken = losses(undisturbed)
    assert sum(taken[step] for step in range(len(taken) - 8, len(taken) + 1)) < sum(
        taken[step] for step in range(1, 10)
    )


@pytest.mark.long  # embeddings, which are trained by the same loop, show it every day
def test_a_cancelled_reranker_stops_within_one_step(tmp_path: Path, cross_encoder: Path) -> None:
    job = new_job(tmp_path / "job", cross_encoder)
    worker = job.start(thing_spec(job, schedule={"epochs": 200}))
    job.wait_for("step", worker, count=3)
    job.want("cancel")
    seen = len(job.of("step"))
    assert worker.wait(PATIENCE_S) == 0
    (stopped,) = job.of("stopped")
    assert stopped["reason"] == "cancelled"
    assert not job.of("finished")
    # As for embeddings: one may have been under way, and one more have been told while the wish was written.
    assert int(str(stopped["step"])) <= seen + 2


@pytest.mark.long
def test_a_killed_reranker_goes_on_with_the_same_losses(undisturbed: Job, tmp_path: Path, cross_encoder: Path) -> None:
    job = new_job(tmp_path / "job", cross_encoder)
    with job.held(thing_spec(job), "checkpoint", 2) as worker:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait(PATIENCE_S)
    first = losses(job)
    job.run(thing_spec(job, resume=True))
    (started,) = job.of("started")
    assert int(str(started["resumedFromStep"])) > 0
    seen = {**first, **losses(job)}
    assert seen.keys() == losses(undisturbed).keys()
    assert seen == pytest.approx(losses(undisturbed), abs=TOLERANCE)


def test_the_layer_of_a_reranker_loads_in_plain_peft_head_included(undisturbed: Job, cross_encoder: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(cross_encoder))
    plain = AutoModelForSequenceClassification.from_pretrained(str(cross_encoder))
    rows = HELD_OUT
    texts = [str(row["query"]) for row in rows], [str(row["document"]) for row in rows]
    inputs = tokenizer(*texts, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        before = plain(**inputs).logits.flatten()
        after = PeftModel.from_pretrained(plain, str(undisturbed.result)).eval()(**inputs).logits.flatten()
    assert not torch.allclose(before, after)
    labels = torch.tensor([float(str(row["label"])) for row in rows])
    loss = torch.nn.functional.binary_cross_entropy_with_logits(after.double(), labels.double())
    assert float(loss) == pytest.approx(judged(undisturbed, "candidate")["loss"], abs=1e-4)


@pytest.mark.long
def test_a_reranker_learns_hard_negatives_too_with_every_weight(tmp_path: Path, cross_encoder: Path) -> None:
    job = new_job(tmp_path / "job", cross_encoder)
    spec = encoder_spec(
        job, pairs(720), pairs(24, held_out=True), "ranking",
        method=FULL, schedule={"epochs": 40, "batchSize": 32}, optimizer={"learningRate": 1e-3},
    )  # fmt: skip
    job.run(spec)
    before, after = judged(job, "baseline"), judged(job, "candidate")
    assert after["ndcg"] > before["ndcg"] + 0.1
    assert after["pairAccuracy"] > before["pairAccuracy"] + 0.1


class Fixed:
    """Scores that are known: of each pair, by its document."""

    def __init__(self, scores: dict[str, float]) -> None:
        self._scores = scores

    def predict(self, inputs: Sequence[tuple[str, str]], **_: object) -> object:
        import torch

        return torch.tensor([self._scores[document] for _, document in inputs])


def scorer(scores: dict[str, float]) -> Scorer:
    from typing import cast

    return cast(Scorer, Fixed(scores))


def test_documents_are_ranked_within_their_query_and_lone_ones_are_left_out_of_it() -> None:
    rows = [
        Pair("1", "q", "good", 1.0), Pair("2", "q", "bad", 0.0), Pair("3", "q", "worse", 0.2),
        Pair("4", "lone", "good too", 1.0),
    ]  # fmt: skip
    scores = {"good": 1.0, "bad": 3.0, "worse": -1.0, "good too": 2.0}
    found = judge_pairs(scorer(scores), rows, Bench(k=10, batch=2, pause=lambda: None))
    metrics = found.facts["metrics"]
    assert isinstance(metrics, dict)
    assert found.facts["rows"] == metrics["queries"] == 1
    assert metrics["mrr"] == 0.5
    assert metrics["accuracy"] == pytest.approx(3 / 4)
    assert metrics["pairAccuracy"] == pytest.approx(2 / 4)


def test_where_no_query_has_both_sides_nothing_is_said_of_ranking() -> None:
    rows = [Pair("1", "a", "good", 1.0), Pair("2", "b", "bad", 0.0)]
    found = judge_pairs(scorer({"good": 1.0, "bad": -1.0}), rows, Bench(k=10, batch=2, pause=lambda: None))
    metrics = found.facts["metrics"]
    assert isinstance(metrics, dict)
    assert metrics == {"accuracy": 1.0, "pairAccuracy": 1.0}
    assert found.facts["rows"] == 2


@pytest.mark.long
def test_what_goes_on_from_a_layer_begins_with_its_head(undisturbed: Job, cross_encoder: Path, tmp_path: Path) -> None:
    job = new_job(tmp_path / "on", cross_encoder)
    before, layer = judged(undisturbed, "candidate"), str(undisturbed.result)
    still = {"schedule": {"epochs": 1}, "optimizer": {"learningRate": 1e-12}}
    judge = {"baselineLayer": layer}
    job.run(thing_spec(job, initLayer=layer, judge=judge, **still))
    for side in ("baseline", "candidate"):
        assert judged(job, side)["loss"] == pytest.approx(before["loss"], abs=1e-4)


@pytest.mark.long
def test_a_reranker_that_is_asked_answers_with_the_head_of_its_layer(undisturbed: Job, cross_encoder: Path) -> None:
    spec = ServeSpec(protocol=1, engine="peft", base_model=str(cross_encoder), kind="score")
    asked = Asked(
        id="one", kind="score", layer=undisturbed.result, messages=None, tools=(), prompt=None, texts=(),
        pairs=tuple((str(row["query"]), str(row["document"])) for row in HELD_OUT), vectors=(), stream=False,
        decoding=Decoding(max_new_tokens=1, temperature=0.0, top_p=1.0, seed=None, stop=()),
    )  # fmt: skip
    scores = loaded(spec, undisturbed.result).numbers(asked)["scores"]
    assert isinstance(scores, list)
    told = zip(HELD_OUT, scores, strict=True)
    chances = [score if float(str(row["label"])) == 1 else 1 - score for row, score in told]
    loss = -sum(map(math.log, chances)) / len(chances)
    assert loss == pytest.approx(judged(undisturbed, "candidate")["loss"], abs=1e-3)
