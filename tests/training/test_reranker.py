"""Rerankers by a real worker: what they learn from labelled pairs, and what comes out."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.training.conftest import PATIENCE_S, Job
from tests.training.encoder_jobs import FULL, LORA, build_encoder, encoder_spec, judged, losses, new_job, pairs

from genomed.training.encoders.encoder_rows import Pair
from genomed.training.encoders.judging import Bench, judge_pairs
from genomed.training.encoders.library import Scorer

TOLERANCE = 1e-5
"""As for embeddings."""


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_encoder(tmp_path_factory.mktemp("encoders") / "cross-encoder", "cross-encoder")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory, cross_encoder: Path) -> Job:
    """A few steps with LoRA, on the very rows it is judged by: whether it learns at all."""
    job = new_job(tmp_path_factory.mktemp("short") / "job", cross_encoder)
    rows = pairs(16)
    job.run(encoder_spec(job, rows, rows, "ranking", method=LORA, schedule={"epochs": 25, "batchSize": 16}))
    return job


@pytest.mark.timeout(int(PATIENCE_S))
def test_a_reranker_learns_its_rows_with_lora_and_says_how_it_ranks(short: Job) -> None:
    before, after = judged(short, "baseline"), judged(short, "candidate")
    assert after["ndcg"] > before["ndcg"]
    assert after["pairAccuracy"] > before["pairAccuracy"]
    assert after["loss"] < before["loss"]
    assert after["queries"] > 5
    assert 0 <= after["accuracy"] <= 1
    taken = losses(short)
    assert sum(taken[step] for step in range(len(taken) - 8, len(taken) + 1)) < sum(
        taken[step] for step in range(1, 10)
    )


@pytest.mark.timeout(int(PATIENCE_S))
def test_the_layer_of_a_reranker_loads_in_plain_peft_head_included(short: Job, cross_encoder: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(cross_encoder))
    plain = AutoModelForSequenceClassification.from_pretrained(str(cross_encoder))
    rows = pairs(16)
    texts = [str(row["query"]) for row in rows], [str(row["document"]) for row in rows]
    inputs = tokenizer(*texts, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        before = plain(**inputs).logits.flatten()
        after = PeftModel.from_pretrained(plain, str(short.result)).eval()(**inputs).logits.flatten()
    assert not torch.allclose(before, after)
    labels = torch.tensor([float(str(row["label"])) for row in rows])
    loss = torch.nn.functional.binary_cross_entropy_with_logits(after.double(), labels.double())
    assert float(loss) == pytest.approx(judged(short, "candidate")["loss"], abs=1e-4)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_reranker_beats_its_base_on_queries_it_never_saw(tmp_path: Path, cross_encoder: Path) -> None:
    job = new_job(tmp_path / "job", cross_encoder)
    spec = encoder_spec(
        job, pairs(720), pairs(24, held_out=True), "ranking",
        method=FULL, schedule={"epochs": 20, "batchSize": 32}, optimizer={"learningRate": 1e-3},
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
