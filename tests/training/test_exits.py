"""Layers of causal language models merged, exported to ONNX and quantised; what fails its verification is not there."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.patience import PATIENCE_S
from tests.training.conftest import Job, make_chat_rows, weights
from tests.training.exit_bench import Done, carried_out, causal_model, in_a_process, layer, source

from genomed.training.exits import causal_verification, export, sources, verification
from genomed.training.exits.options import Source
from genomed.training.failures import WorkerFailure
from genomed.training.onnx_models.manifest import manifest_in
from genomed.training.onnx_models.onnx_decoder import Choice, OnnxDecoder


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exits")


@pytest.fixture(scope="module")
def base(room: Path, tiny_model_dir: Path) -> Path:
    """Grouped-query attention, and an output that shares no weights with the input."""
    return causal_model(room / "base", tiny_model_dir, "Llama", num_key_value_heads=2, tie_word_embeddings=False)


@pytest.fixture(scope="module")
def first(room: Path, base: Path) -> Path:
    return layer(room / "first", base)


@pytest.fixture(scope="module")
def second(room: Path, base: Path) -> Path:
    return layer(room / "second-one", base, use_dora=True)


@pytest.fixture(scope="module")
def exported(room: Path, base: Path, first: Path) -> Done:
    return carried_out("export", room / "export", {"source": source("causal", base, first), "tokens": 8})


@pytest.fixture(scope="module")
def merged(room: Path, base: Path, first: Path, second: Path) -> Done:
    return carried_out("merge", room / "merge", {"source": source("causal", base, first, second)})


def test_layers_merge_in_order_into_a_model_that_says_what_they_said(merged: Done, base: Path) -> None:
    assert merged.facts["difference"] <= 1e-4  # type: ignore[operator]
    assert len(merged.facts["mergeDifferences"]) == 2  # type: ignore[arg-type]
    assert {"model.safetensors", "tokenizer.json", "chat_template.jinja", "config.json"} <= set(merged.files)
    before, after = weights(base), weights(merged.result)
    changed = {name for name in before if before[name] != after[name]}
    assert before.keys() == after.keys()
    assert all("proj" in name for name in changed)
    assert len(changed) == 14


def test_a_merge_beyond_its_tolerance_publishes_nothing(room: Path, base: Path, first: Path) -> None:
    options = {"source": source("causal", base, first), "precision": "bf16", "tolerance": 1e-7}
    with pytest.raises(WorkerFailure, match="nothing is published") as refused:
        carried_out("merge", room / "strict", options)
    assert refused.value.kind == "training_failed"
    assert list((room / "strict").glob("*result*")) == []


def test_there_is_nothing_to_merge_without_a_layer(room: Path, base: Path) -> None:
    with pytest.raises(WorkerFailure, match="no layer to merge"):
        carried_out("merge", room / "none", {"source": source("causal", base)})


def test_a_layer_that_brings_a_pickle_is_not_opened(room: Path, base: Path, first: Path) -> None:
    poisoned = room / "poisoned"
    shutil.copytree(first, poisoned)
    (poisoned / "adapter_model.bin").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(WorkerFailure, match="pickled layers are refused"):
        carried_out("export", room / "pickle", {"source": source("causal", base, poisoned)})


def test_an_export_gives_torchs_numbers_and_words_and_says_how_it_was_checked(exported: Done) -> None:
    found = exported.verification
    assert found["logitDifference"] <= 1e-4  # type: ignore[operator]
    assert found["cacheDifference"] <= 1e-4  # type: ignore[operator]
    assert (found["batches"], found["decodedPrompts"], found["decodingTies"]) == ([1, 4, 16], 5, 0)
    assert found["decodedTokens"] >= 20  # type: ignore[operator]
    assert {"onnxruntime", "torch"} <= found["speed"].keys()  # type: ignore[attr-defined]
    names = {"model.onnx", "export.json", "config.json", "tokenizer.json", "chat_template.jinja"}
    assert names <= set(exported.files)


def test_an_export_says_what_it_is_of_and_how_it_is_asked(exported: Done, base: Path) -> None:
    held = manifest_in(exported.result)
    assert (held.kind, held.dtype, held.base_model, held.quantization) == ("causal", "float32", str(base), None)
    assert held.cache is not None
    assert (held.cache.layers, held.cache.heads, held.cache.key_width) == (2, 2, 8)
    assert held.inputs[:4] == ("input_ids", "attention_mask", "position_ids", "past.0.key")
    facts = json.loads((exported.result / "export.json").read_text())["facts"]
    assert facts["versions"]["onnxruntime"]
    assert facts["verification"] == exported.verification


def test_a_graph_holds_no_folder_of_the_machine_that_wrote_it(exported: Done) -> None:
    assert b".py" not in (exported.result / "model.onnx").read_bytes()


def test_prompts_of_several_lengths_are_answered_together_as_they_are_alone(exported: Done) -> None:
    decoder = OnnxDecoder(exported.result, threads=1)
    prompts = [decoder.text.encode(text) for text in ("a", "What is the capital of France?", "one two three")]
    together = decoder.generate(prompts, max_new_tokens=12)
    assert together == [decoder.generate([prompt], max_new_tokens=12)[0] for prompt in prompts]


def test_tokens_are_told_as_they_come_and_whoever_hears_enough_ends_it(exported: Done) -> None:
    decoder = OnnxDecoder(exported.result, threads=1)
    heard: list[tuple[int, int]] = []

    def listen(row: int, token: int) -> bool:
        heard.append((row, token))
        return row == 0 or sum(at == 1 for at, _ in heard) < 3

    prompts = [decoder.text.encode("one"), decoder.text.encode("and two")]
    answers = decoder.generate(prompts, max_new_tokens=6, heard=listen)
    assert [len(answer) for answer in answers] == [6, 3]
    assert [token for row, token in heard if row == 0] == answers[0]


def test_a_seed_draws_the_same_words_and_a_small_top_p_the_likeliest(exported: Done) -> None:
    decoder = OnnxDecoder(exported.result, threads=1)
    prompt = [decoder.text.encode("Hello")]
    drawn = [decoder.generate(prompt, max_new_tokens=9, choice=Choice(temperature=1.5, seed=4)) for _ in range(2)]
    assert drawn[0] == drawn[1] != decoder.generate(prompt, max_new_tokens=9)
    narrow = decoder.generate(prompt, max_new_tokens=9, choice=Choice(temperature=1.5, top_p=1e-6))
    assert narrow == decoder.generate(prompt, max_new_tokens=9)


def test_a_prompt_longer_than_what_is_read_at_once_is_answered_the_same(
    exported: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = OnnxDecoder(exported.result, threads=1)
    prompts = [decoder.text.encode("reset my password " * 4), decoder.text.encode("a")]
    whole = decoder.generate(prompts, max_new_tokens=6)
    monkeypatch.setattr("genomed.training.onnx_models.onnx_decoder.CHUNK", 5)
    assert decoder.generate(prompts, max_new_tokens=6) == whole


def test_more_tokens_than_the_model_knows_places_for_are_refused(exported: Done) -> None:
    decoder = OnnxDecoder(exported.result, threads=1)
    with pytest.raises(WorkerFailure, match="more than the 256"):
        decoder.generate([[5] * 250], max_new_tokens=7)


def test_asking_an_exported_model_loads_neither_torch_nor_transformers(exported: Done) -> None:
    code = (
        "import sys; from pathlib import Path; from genomed.training.onnx_models.onnx_decoder import OnnxDecoder\n"
        "decoder = OnnxDecoder(Path(sys.argv[1]), threads=1)\n"
        "decoder.text.apply_chat_template([{'role': 'user', 'content': 'hi'}], add_generation_prompt=True)\n"
        "decoder.generate([[5, 6]], max_new_tokens=2)\n"
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(exported.result)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_graph_of_other_weights_fails_its_verification_by_name(
    room: Path, exported: Done, merged: Done, base: Path
) -> None:
    """The graph is of the first layer; torch is asked for both layers."""
    model, tokenizer = sources.causal(
        sources.place_of(Source(kind="causal", base_model=str(merged.result), layers=()), offline=True)
    )
    asked = causal_verification.Asked([[5, 6, 7]], 4, verification.TOLERANCE)
    with pytest.raises(WorkerFailure, match="logits of 1 rows of up to 3 tokens differ") as refused:
        causal_verification.verify(model, tokenizer, exported.result, asked, lambda: None)
    assert refused.value.kind == "training_failed"


def test_what_fails_while_it_is_written_leaves_nothing(room: Path) -> None:
    def fail() -> None:
        with export.unpublished(room / "half") as folder:
            (folder / "model.onnx").write_bytes(b"half")
            raise verification.refused("a trial")

    with pytest.raises(WorkerFailure):
        fail()
    assert list(room.glob("*half*")) == []


def test_an_int8_graph_is_measured_against_the_one_it_was_made_of(room: Path, exported: Done) -> None:
    done = carried_out("quantize", room / "int8", {"exported": str(exported.result)})
    assert done.verification["agreement"] >= done.verification["leastAgreement"]  # type: ignore[operator]
    assert done.facts["sizeBytes"] < done.facts["sizeBeforeBytes"]  # type: ignore[operator]
    assert manifest_in(done.result).quantization == "int8_dynamic_per_channel"
    assert OnnxDecoder(done.result, threads=1).generate([[5, 6]], max_new_tokens=3)


def test_an_int8_graph_that_lost_too_much_is_not_published(room: Path, exported: Done) -> None:
    options = {"exported": str(exported.result), "agreement": 1.01}
    with pytest.raises(WorkerFailure, match="of the likeliest tokens stay the same"):
        carried_out("quantize", room / "lost", options)
    assert list((room / "lost").glob("*result*")) == []
    with pytest.raises(WorkerFailure, match="exactly one of"):
        carried_out("quantize", room / "neither", {})


@pytest.mark.long
def test_a_layer_trained_by_the_worker_goes_out_as_it_was_trained(job: Job, room: Path) -> None:
    """Each exit as the daemon starts it: a process of its own."""
    job.run(job.spec(make_chat_rows(8)))
    origin = source("causal", job.model, job.result)
    merged = in_a_process("merge", room / "trained-merge", {"source": origin, "precision": "bf16"})
    assert merged.facts["difference"] <= merged.facts["tolerance"]  # type: ignore[operator]
    assert merged.facts["mergeDifferences"][0] <= 1e-4  # type: ignore[index]
    out = in_a_process("export", room / "trained-export", {"source": origin})
    assert out.verification["logitDifference"] <= 1e-4  # type: ignore[operator]
