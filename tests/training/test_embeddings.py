"""Embeddings by a real worker: what they learn, what survives a kill, and what comes out."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.patience import PATIENCE_S
from tests.training.conftest import Job, merged
from tests.training.encoder_jobs import (
    FULL,
    LORA,
    build_encoder,
    judged,
    losses,
    new_job,
    triplet_spec,
    triplets,
)

from genomed.recipes.metrics.retrieval import ContextPrecision, HitRate, MeanReciprocalRank, Ndcg
from genomed.training import trust
from genomed.training.encoders.batches import batches
from genomed.training.encoders.encoder_rows import Triplet, columns
from genomed.training.encoders.retrieval_metrics import Ranked, Score, mean, score
from genomed.training.failures import WorkerFailure
from genomed.training.specification import Embedding

TOLERANCE = 1e-5
"""Of losses after a resume. On one thread they are equal to the last bit; other machines may add up otherwise."""


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_encoder(tmp_path_factory.mktemp("encoders") / "encoder", "encoder")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> Job:
    """One whole run, with Matryoshka sizes."""
    job = new_job(tmp_path_factory.mktemp("undisturbed") / "job", encoder)
    job.run(triplet_spec(job, embedding={"matryoshka": [32, 16]}))
    return job


def test_an_encoder_learns_from_triplets_and_beats_its_base_on_held_out_questions(undisturbed: Job) -> None:
    before, after = judged(undisturbed, "baseline"), judged(undisturbed, "candidate")
    assert before["ndcg"] < 0.2, "nothing of the task is known beforehand"
    assert after["ndcg"] > before["ndcg"] + 0.2
    assert after["hitRate"] > before["hitRate"]
    assert after["recall"] >= after["hitRate"] - 1e-9
    assert after["mrr"] > before["mrr"]
    assert after["contextPrecision"] > before["contextPrecision"]
    assert after["loss"] < before["loss"]
    assert before["rows"] == after["queries"] > 5
    assert after["passages"] > 24, "the index holds wrong passages, too"


def test_what_a_shorter_vector_keeps_is_told_for_every_matryoshka_size(undisturbed: Job) -> None:
    after = judged(undisturbed, "candidate")
    for size in (32, 16):
        assert after[f"retention@{size}"] == pytest.approx(after[f"ndcg@{size}"] / after["ndcg"])
        assert after[f"retention@{size}"] > 0.5


def test_every_field_of_an_encoders_run_is_accounted_for(undisturbed: Job) -> None:
    fields = {field["field"]: field for line in undisturbed.of("effective") for field in _objects(line["fields"])}
    assert fields["metadata.matryoshkaDimensions"]["sent"] == [64, 32, 16]
    assert fields["metadata.embeddingLoss"]["sent"] == "multiple_negatives"
    assert fields["metadata.negativesPerRow"]["sent"] == 3
    assert fields["schedule.evaluations"]["sent"] == [18, 36, 54]
    assert fields["rowsTrained"]["sent"] == 144
    assert len(undisturbed.of("evaluation")) == 3
    assert "loss" not in fields


def _texts(value: object) -> list[str]:
    assert isinstance(value, list)
    return value


def _objects(value: object) -> list[dict[str, object]]:
    assert isinstance(value, list)
    return value


def test_a_killed_run_goes_on_in_the_middle_of_an_epoch_with_the_same_losses(
    undisturbed: Job, tmp_path: Path, encoder: Path
) -> None:
    job = new_job(tmp_path / "job", encoder)
    spec = triplet_spec(job, embedding={"matryoshka": [32, 16]})
    with job.held(spec, "checkpoint", 2) as worker:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait(PATIENCE_S)
    first = losses(job)
    job.run(triplet_spec(job, embedding={"matryoshka": [32, 16]}, resume=True))
    (started,) = job.of("started")
    assert started["resumedFromStep"] == 36
    seen = {**first, **losses(job)}
    assert seen.keys() == losses(undisturbed).keys()
    assert seen == pytest.approx(losses(undisturbed), abs=TOLERANCE)
    assert judged(job, "candidate")["ndcg"] == pytest.approx(judged(undisturbed, "candidate")["ndcg"], abs=0.05)


def test_the_layer_of_an_encoder_loads_in_plain_peft_and_ranks_as_it_was_judged(
    undisturbed: Job, encoder: Path
) -> None:
    import torch
    from peft import PeftModel
    from sentence_transformers import SentenceTransformer

    held_out = triplets(24, held_out=True)
    model = SentenceTransformer(str(encoder), device="cpu")
    base = model.encode([str(row["anchor"]) for row in held_out], convert_to_tensor=True)
    inner = model[0].model
    assert isinstance(inner, torch.nn.Module)
    model[0].model = PeftModel.from_pretrained(inner, str(undisturbed.result))
    anchors = model.encode([str(row["anchor"]) for row in held_out], convert_to_tensor=True)
    assert not torch.allclose(base, anchors)
    texts = sorted({text for row in held_out for text in [str(row["positive"]), *_texts(row["negatives"])]})
    found = (model.similarity(anchors, model.encode(texts, convert_to_tensor=True))).argsort(dim=1, descending=True)
    right: dict[str, set[str]] = {}
    for row in held_out:
        right.setdefault(str(row["anchor"]), set()).add(str(row["positive"]))
    hits = {
        str(row["anchor"]): any(texts[at] in right[str(row["anchor"])] for at in places[:10].tolist())
        for row, places in zip(held_out, found, strict=True)
    }
    assert sum(hits.values()) / len(hits) == pytest.approx(judged(undisturbed, "candidate")["hitRate"])
    names = {path.name for path in undisturbed.result.iterdir()}
    assert names == {"adapter_config.json", "adapter_model.safetensors"}


def test_a_cancelled_encoder_stops_within_one_step(tmp_path: Path, encoder: Path) -> None:
    job = new_job(tmp_path / "job", encoder)
    worker = job.start(triplet_spec(job, schedule={"epochs": 200}))
    job.wait_for("step", worker, count=3)
    job.want("cancel")
    seen = len(job.of("step"))
    assert worker.wait(PATIENCE_S) == 0
    (stopped,) = job.of("stopped")
    assert stopped["reason"] == "cancelled"
    assert not job.of("finished")
    # One step may have been under way when the wish was written, and one more have been told while it was.
    assert int(str(stopped["step"])) <= seen + 2


@pytest.mark.long
@pytest.mark.parametrize("distance", ["cosine", "euclidean", "manhattan"])
def test_the_triplet_loss_teaches_too_and_every_weight_can_be_trained(
    tmp_path: Path, encoder: Path, distance: str
) -> None:
    job = new_job(tmp_path / "job", encoder)
    margin = 0.5 if distance == "cosine" else 2.0
    wanted = {"loss": "triplet", "distance": distance, "margin": margin}
    job.run(triplet_spec(job, embedding=wanted, method=FULL, optimizer={"learningRate": 1e-3}))
    assert judged(job, "candidate")["ndcg"] > judged(job, "baseline")["ndcg"] + 0.1
    names = {path.relative_to(job.result).as_posix() for path in job.result.rglob("*") if path.is_file()}
    assert {"modules.json", "model.safetensors", "1_Pooling/config.json", "tokenizer.json"} <= names
    assert not {name for name in names if name.endswith((".bin", ".md"))}
    again = new_job(tmp_path / "again", encoder)
    spec = triplet_spec(
        again, method=FULL, schedule={"epochs": 1}, optimizer={"learningRate": 1e-4},
        initLayer=str(job.result), judge={"baselineLayer": str(job.result)},
    )  # fmt: skip
    again.run(spec)
    assert judged(again, "baseline")["ndcg"] == pytest.approx(judged(job, "candidate")["ndcg"], abs=1e-6)


@pytest.mark.long
def test_an_encoder_stops_early_and_gives_its_best_checkpoint(tmp_path: Path, encoder: Path) -> None:
    job = new_job(tmp_path / "job", encoder)
    schedule = {
        "epochs": 12,
        "evaluations": 12,
        "earlyStopping": {"patience": 2, "threshold": 5.0},
        "keepBest": True,
    }
    job.run(triplet_spec(job, schedule=schedule))
    codes = {line["code"] for line in job.of("notice")}
    assert "stopped_early" in codes
    (finished,) = job.of("finished")
    assert int(str(finished["step"])) < int(str(finished["totalSteps"]))
    assert (job.result / "adapter_model.safetensors").exists()


@pytest.mark.long
def test_dora_and_a_layer_to_go_on_from_work_for_encoders(tmp_path: Path, encoder: Path) -> None:
    job = new_job(tmp_path / "job", encoder)
    method = merged(LORA, {"lora": {"dora": True, "rsLora": True}})
    job.run(triplet_spec(job, method=method))
    assert json.loads((job.result / "adapter_config.json").read_bytes())["use_dora"] is True
    again = new_job(tmp_path / "again", encoder)
    spec = triplet_spec(
        again, method=method, schedule={"epochs": 1}, optimizer={"learningRate": 1e-4},
        initLayer=str(job.result), judge={"baselineLayer": str(job.result)},
    )  # fmt: skip
    again.run(spec)
    assert judged(again, "baseline")["ndcg"] == pytest.approx(judged(job, "candidate")["ndcg"], abs=1e-6)


@pytest.mark.long
def test_lora_that_fits_nowhere_fails_an_encoder_unless_the_operator_lets_every_weight_be_trained(
    tmp_path: Path, encoder: Path
) -> None:
    nowhere = merged(LORA, {"lora": {"trainableModules": "nowhere"}})
    short = {"epochs": 1, "checkpoints": 1, "evaluations": 0}
    refused = new_job(tmp_path / "refused", encoder)
    refused.run(triplet_spec(refused, rows=16, method=nowhere, schedule=short), code=1)
    (failed,) = refused.of("failed")
    assert failed["kind"] == "unsupported"
    job = new_job(tmp_path / "job", encoder)
    job.run(triplet_spec(job, rows=16, method=merged(nowhere, {"allowFull": True}), schedule=short))
    (notice,) = [line for line in job.of("notice") if line["code"] == "lora_not_applied"]
    assert "nowhere" in str(notice["message"])
    (finished,) = job.of("finished")
    assert finished["format"] == "full_model"
    assert (job.result / "model.safetensors").exists()


RANKINGS: list[tuple[dict[str, float], list[str]]] = [
    ({"a": 1.0}, ["a", "b", "c"]),
    ({"c": 1.0, "d": 1.0}, ["a", "c", "b", "d"]),
    ({"x": 1.0}, ["a", "b"]),
    ({"a": 0.5, "b": 1.0, "e": 0.7}, ["e", "a", "q", "b"]),
    ({"a": 1.0}, []),
]


@pytest.mark.parametrize("k", [1, 2, 3, 10])
def test_the_workers_ranking_measures_are_the_recipes_own(k: int) -> None:
    ours = mean([score(Ranked(right, ids), k=k) for right, ids in RANKINGS])
    expected = [json.dumps(right) for right, _ in RANKINGS]
    answered = [json.dumps(ids) for _, ids in RANKINGS]
    theirs = Score(
        hit_rate=_only(HitRate(k=k)(expected, answered)[0].value),
        recall=_only(HitRate(k=k)(expected, answered)[1].value),
        context_precision=_only(ContextPrecision(k=k)(expected, answered)[0].value),
        mrr=_only(MeanReciprocalRank()(expected, answered)[0].value),
        ndcg=_only(Ndcg(k=k)(expected, answered)[0].value),
    )
    assert ours == pytest.approx(theirs)


def _only(value: float | None) -> float:
    assert value is not None
    return value


def test_every_row_comes_once_per_epoch_in_an_order_of_its_own_and_like_texts_keep_apart() -> None:
    texts = [frozenset({f"own {at}", f"shared {at % 10}"}) for at in range(40)]
    epochs = [batches(texts, size=4, seed=1, epoch=epoch) for epoch in (0, 1)]
    for made in epochs:
        assert sorted(row for batch in made for row in batch) == list(range(40))
        assert [len(batch) for batch in made] == [4] * 10
    assert epochs[0] != epochs[1]
    assert epochs[1] == batches(texts, size=4, seed=1, epoch=1)
    apart = sum(len({row % 10 for row in batch}) == 4 for batch in epochs[0])
    assert apart >= 8, "only what is left at the end may have to share"


def _rows(loss: str, negatives: int) -> Iterator[Embedding]:
    yield Embedding(loss=loss, margin=0.5, distance="cosine", matryoshka=(), negatives=negatives, k=10)  # type: ignore[arg-type]


def test_a_row_that_wants_negatives_borrows_those_that_are_not_right_for_it() -> None:
    rows = [
        Triplet("1", "q", "p", ("n",)),
        Triplet("2", "q", "other p", ()),
        Triplet("3", "r", "s", ("t", "u", "v")),
    ]
    (wanted,) = _rows("multiple_negatives", 2)
    made = columns(rows, wanted, seed=1)
    assert [list(row) for row in made.rows] == [["anchor", "positive", "negative_1", "negative_2"]] * 3
    for row in made.rows[:2]:
        assert not {row["negative_1"], row["negative_2"]} & {"p", "other p"}
    assert "3 of them from other rows" in made.notes[0]


def test_the_triplet_loss_gets_a_row_per_negative_and_tells_of_rows_without_one() -> None:
    rows = [Triplet("1", "q", "p", ("n", "m")), Triplet("2", "r", "s", ())]
    (wanted,) = _rows("triplet", 5)
    made = columns(rows, wanted, seed=1)
    assert [row["negative"] for row in made.rows] == ["n", "m"]
    assert made.dropped == 1
    with pytest.raises(WorkerFailure, match="no row has a negative"):
        columns(rows[1:], wanted, seed=1)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "os.system", "path": ""},
        {"type": "my_module.Pooling", "path": "1_Pooling"},
        {"type": "sentence_transformers.models.WKPooling", "path": ""},
        {"type": "sentence_transformers.models.Pooling", "path": "../elsewhere"},
    ],
)
def test_an_encoder_that_names_code_is_refused(tmp_path: Path, part: dict[str, str]) -> None:
    (tmp_path / "modules.json").write_text(json.dumps([part]))
    with pytest.raises(WorkerFailure):
        trust.check_modules(tmp_path)


def test_an_encoder_whose_settings_name_a_function_is_refused_and_torchs_own_is_not(tmp_path: Path) -> None:
    part = {"type": "sentence_transformers.models.Dense", "path": "2_Dense"}
    (tmp_path / "modules.json").write_text(json.dumps([part]))
    (tmp_path / "2_Dense").mkdir()
    config = tmp_path / "2_Dense" / "config.json"
    config.write_text(json.dumps({"activation_function": "torch.nn.modules.activation.Tanh"}))
    trust.check_modules(tmp_path)
    config.write_text(json.dumps({"activation_function": "os.getcwd"}))
    with pytest.raises(WorkerFailure, match=r"os\.getcwd"):
        trust.check_modules(tmp_path)
