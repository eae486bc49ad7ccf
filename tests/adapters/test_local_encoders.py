"""What local training says of encoders before anything runs: what it refuses, and how much memory it reckons with."""

import json
from pathlib import Path

import msgspec
import pytest
from tests.adapters.local_bench import Bench

from genomed.adapters.local import memory
from genomed.adapters.local.availability import Probe
from genomed.adapters.local.base_model import read_model
from genomed.adapters.local.encoder_objections import encoder_objections, folder_objections
from genomed.adapters.local.settings import LocalSettings
from genomed.adapters.local.translation import translation
from genomed.entities.types import ModelPrecision, RowKind

LIBRARIES = ("torch", "transformers", "trl", "peft")
WITHOUT = Probe(versions=dict.fromkeys(LIBRARIES, "1"))
WITH = Probe(versions=dict.fromkeys((*LIBRARIES, "sentence-transformers"), "1"))


def test_an_interpreter_without_the_library_is_told_what_to_install(bench: Bench) -> None:
    triplet = bench.dataset(rowKind="triplet")
    (problem,) = encoder_objections(bench.configuration(), triplet, WITHOUT)
    assert "sentence-transformers" in problem.message
    assert problem.remedy is not None
    assert "pip install" in problem.remedy
    assert encoder_objections(bench.configuration(), triplet, WITH) == []
    assert encoder_objections(bench.configuration(), bench.dataset(rowKind="chat"), WITHOUT) == []


def test_what_only_language_models_know_is_refused_by_name(bench: Bench) -> None:
    configuration = bench.configuration(
        method={"type": "qlora"},
        schedule={"trainOnInputs": "enabled"},
        optimizations={"enabled": ["gradient_checkpointing", "dynamic_padding"]},
        metadata={"embeddingLoss": "triplet", "negativesPerRow": 0},
    )
    found = encoder_objections(configuration, bench.dataset(rowKind="triplet"), WITH)
    assert [problem.field for problem in found] == [
        "method.type",
        "optimizations.enabled",
        "schedule.trainOnInputs",
        "metadata.negativesPerRow",
    ]


def test_a_language_model_is_no_encoder_unless_its_folder_says_how(bench: Bench) -> None:
    folder = bench.model
    (folder / "tokenizer.json").write_text("{}")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["LlamaForCausalLM"]}))
    configuration = bench.configuration()
    (problem,) = folder_objections(configuration, read_model(folder), RowKind.TRIPLET)
    assert "language model" in problem.message
    part = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}
    (folder / "modules.json").write_text(json.dumps([part]))
    assert folder_objections(configuration, read_model(folder), RowKind.TRIPLET) == []
    (folder / "modules.json").write_text(json.dumps([{**part, "type": "custom.Transformer"}]))
    (problem,) = folder_objections(configuration, read_model(folder), RowKind.TRIPLET)
    assert "custom.Transformer" in problem.message
    assert folder_objections(configuration, read_model(folder), RowKind.CHAT) == []


def test_a_size_that_is_no_part_of_the_vector_is_refused(bench: Bench) -> None:
    model = read_model(bench.model)
    (bench.model / "tokenizer.json").write_text("{}")
    wide = bench.configuration(metadata={"matryoshkaDimensions": f"1,{model.config.hidden_size}"})
    found = folder_objections(wide, model, RowKind.TRIPLET)
    assert [problem.field for problem in found] == ["metadata.matryoshkaDimensions"]


@pytest.mark.parametrize("kind", [RowKind.TRIPLET, RowKind.RANKING])
def test_an_encoder_needs_memory_for_every_text_of_a_row_and_none_for_logits(bench: Bench, kind: RowKind) -> None:
    model = read_model(bench.model)
    configuration = bench.configuration()
    work = memory.workload(configuration, model, row_kind=kind, longest_row_bytes=400, precision=ModelPrecision.FP32)
    assert work.texts == (7 if kind is RowKind.TRIPLET else 1)
    wider = msgspec.structs.replace(work, vocabulary=work.vocabulary * 100)
    assert memory.estimate(work).activations == memory.estimate(wider).activations > 0
    assert memory.estimate(msgspec.structs.replace(work, texts=work.texts * 2)).activations == (
        2 * memory.estimate(work).activations
    )


def test_nothing_of_an_encoders_configuration_is_dropped_in_silence(bench: Bench) -> None:
    sent = translation(bench.configuration(), bench.dataset(rowKind="triplet"), asked=(), settings=LocalSettings())
    fields = {field.field: field for field in sent.fields}
    assert fields["schedule.trainOnInputs"].disposition == "not_applicable"
    assert fields["metadata.dpoBeta"].disposition == "not_applicable"
    assert fields["metadata.maxNewTokens"].disposition == "not_applicable"
    assert isinstance(sent.payload["embedding"], dict)
    assert Path(str(sent.payload["baseModel"])) == bench.model
