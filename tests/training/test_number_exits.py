"""Encoders, rerankers and projections exported and merged; language models of other families, and large ones."""

from importlib import import_module
from pathlib import Path
from typing import cast

import pytest
from tests.training.exit_bench import Done, Json, bert, carried_out, causal_model, layer, source

from genomed.training.exits import onnx_graph
from genomed.training.failures import WorkerFailure
from genomed.training.onnx_models.manifest import manifest_in
from genomed.training.onnx_models.onnx_numbers import OnnxEmbedder, OnnxProjection, OnnxReranker
from genomed.training.projection import perceptron


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("number-exits")


@pytest.fixture(scope="module")
def encoder(room: Path) -> Path:
    return bert(room / "encoder", scores=False)


@pytest.fixture(scope="module")
def encoder_layer(room: Path, encoder: Path) -> Path:
    return layer(room / "encoder-layer", encoder, "FEATURE_EXTRACTION", target_modules=["query", "value"])


@pytest.fixture(scope="module")
def embedding(room: Path, encoder: Path, encoder_layer: Path) -> Done:
    options: Json = {"source": source("encoder", encoder, encoder_layer), "dimensions": [8]}
    return carried_out("export", room / "embedding", options)


def test_an_exported_encoder_embeds_as_sentence_transformers_does(embedding: Done) -> None:
    assert embedding.verification["difference"] <= 1e-4  # type: ignore[operator]
    assert embedding.verification["batches"] == [1, 4, 16]
    held = manifest_in(embedding.result)
    assert (held.kind, held.width, held.dimensions, held.longest) == ("encoder", 32, (8,), 64)


def test_an_embedding_cut_to_fewer_dimensions_has_length_one_again(embedding: Done) -> None:
    ours = OnnxEmbedder(embedding.result, threads=1)
    whole, cut = ours.embed(["reset the server", "rain"]), ours.embed(["reset the server", "rain"], dimensions=8)
    assert (whole.shape, cut.shape) == ((2, 32), (2, 8))
    assert (cut**2).sum(axis=1) == pytest.approx(1, abs=1e-5)
    with pytest.raises(WorkerFailure, match="dimensions=33"):
        ours.embed(["rain"], dimensions=33)


def test_texts_come_back_in_their_order_however_they_are_batched(embedding: Done) -> None:
    ours = OnnxEmbedder(embedding.result, threads=1)
    texts = ["a", "reset the account of the server", "rain", "why the database timeout", "yes"]
    assert abs(ours.embed(texts, batch=2) - ours.embed(texts)).max() < 1e-5
    assert ours.embed([]).shape == (0, 32)


def test_an_exported_folder_of_one_kind_is_not_taken_for_another(embedding: Done) -> None:
    with pytest.raises(WorkerFailure, match="is an exported encoder, wanted a reranker"):
        OnnxReranker(embedding.result)


def test_an_int8_encoder_points_where_it_pointed(room: Path, embedding: Done) -> None:
    done = carried_out("quantize", room / "int8-embedding", {"exported": str(embedding.result), "perChannel": False})
    assert done.verification["cosine"] >= done.verification["leastCosine"]  # type: ignore[operator]
    assert manifest_in(done.result).dimensions == (8,)


def test_an_encoder_is_merged_to_a_folder_that_sentence_transformers_opens(
    room: Path, encoder: Path, encoder_layer: Path
) -> None:
    done = carried_out("merge", room / "merged", {"source": source("encoder", encoder, encoder_layer)})
    assert done.facts["difference"] <= 1e-4  # type: ignore[operator]
    opened = import_module("sentence_transformers").SentenceTransformer
    texts = ["reset the account"]
    merged, plain = (opened(str(one), device="cpu").encode(texts) for one in (done.result, encoder))
    assert abs(merged - plain).max() > 1e-3


def test_an_exported_projection_gives_torchs_numbers_and_points_there_in_int8(room: Path) -> None:
    shape = perceptron.Shape(widths=(12, 24, 12, 8), dropout=0.1, target_loss=0.15)
    folder = room / "projection"
    folder.mkdir()
    perceptron.write(folder, shape, perceptron.weights_of(perceptron.build(shape)))
    done = carried_out("export", room / "projected", {"source": source("projection", "mlp:12-24-12-8", folder)})
    assert done.verification["difference"] <= 1e-4  # type: ignore[operator]
    ours = OnnxProjection(done.result, threads=1)
    assert ours.project([[0.5] * 12] * 3).shape == (3, 8)
    int8 = carried_out("quantize", room / "int8-projection", {"exported": str(done.result)})
    assert int8.verification["cosine"] >= int8.verification["leastCosine"]  # type: ignore[operator]
    with pytest.raises(WorkerFailure, match="vectors of 3 numbers, wanted 12"):
        ours.project([[1.0, 2.0, 3.0]])
    with pytest.raises(WorkerFailure, match="no base that it could be merged into"):
        carried_out("merge", room / "no-merge", {"source": source("projection", "mlp:12-24-12-8", folder)})


def test_an_exported_reranker_scores_as_predict_does_and_nearly_so_in_int8(room: Path) -> None:
    base = bert(room / "scorer", scores=True)
    options = {"target_modules": ["query", "value"], "modules_to_save": ["classifier"]}
    upon = layer(room / "scorer-layer", base, "SEQ_CLS", **options)
    done = carried_out("export", room / "scores", {"source": source("reranker", base, upon)})
    assert done.verification["difference"] <= 1e-4  # type: ignore[operator]
    ours = OnnxReranker(done.result, threads=1)
    scores = ours.score([("reset", "the account"), ("rain", "why of a database timeout")])
    assert scores.shape == (2,)
    assert 0 < scores.min() < scores.max() < 1
    int8 = carried_out("quantize", room / "int8-scores", {"exported": str(done.result), "scoreError": 0.5})
    assert 0 < int8.verification["scoreError"] <= int8.verification["mostScoreError"]  # type: ignore[operator]
    with pytest.raises(WorkerFailure, match="a score moves by"):
        carried_out("quantize", room / "exact-scores", {"exported": str(done.result), "scoreError": 0.0})
    assert not (room / "exact-scores" / "result").exists()


FAMILIES: dict[str, dict[str, object]] = {
    "Llama": {"tie_word_embeddings": True},
    "Qwen2": {"num_key_value_heads": 2},
    "Qwen3": {"num_key_value_heads": 2, "head_dim": 16},
    "Mistral": {"num_key_value_heads": 2, "sliding_window": 8},
    "Gemma2": {"num_key_value_heads": 2, "head_dim": 8, "sliding_window": 8},
    "GPT2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256},
    "OPT": {"ffn_dim": 64, "word_embed_proj_dim": 32},
}


@pytest.mark.long
@pytest.mark.parametrize("family", FAMILIES)
def test_families_of_models_go_out_with_their_cache(family: str, room: Path, tiny_model_dir: Path) -> None:
    base = causal_model(room / family, tiny_model_dir, family, **FAMILIES[family])
    done = carried_out("quantize", room / f"{family}-int8", {"source": source("causal", base), "tokens": 4})
    assert cast(float, done.verification["agreement"]) >= 0.8


@pytest.mark.long
def test_weights_beyond_a_graphs_limit_stand_beside_it(
    room: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_graph, "BESIDE_FROM", 1)
    done = carried_out("export", room / "large", {"source": source("causal", tiny_model_dir), "tokens": 4})
    assert {"model.onnx", "model.onnx.data"} <= set(done.files)
    small = carried_out("quantize", room / "large-int8", {"exported": str(done.result)})
    assert {"model.onnx", "model.onnx.data"} <= set(small.files)
