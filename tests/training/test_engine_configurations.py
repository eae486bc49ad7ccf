"""What other engines are told: a specification as their configuration, to the letter, and what they say as numbers.

GENOMED_GOLDEN=write makes the files anew.
"""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from genomed.training.engines import axolotl_config, axolotl_words, torchtune_config, torchtune_parts, torchtune_words
from genomed.training.engines import unsloth_run as unsloth
from genomed.training.engines.spoken import Spoken
from genomed.training.engines.torchtune_config import Base
from genomed.training.engines.yaml_text import yaml_text
from genomed.training.failures import WorkerFailure
from genomed.training.specification import (
    DatasetFiles,
    Lora,
    Method,
    Optimizer,
    Paths,
    Schedule,
    Scheduler,
    Specification,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "engines"
LORA = Lora(rank=16, alpha=32.0, dropout=0.05, trainable_modules="all-linear")
SPEC = Specification(
    protocol=1, job_id="job-1", attempt=1, submission_key="gn-1", base_model="/models/small", revision=None,
    offline=True,
    dataset=DatasetFiles(kind="chat", train="/d/train.jsonl", eval=None, rows=100, eval_rows=0, sha256="0" * 64),
    method=Method(type="lora", lora=LORA),
    schedule=Schedule(
        epochs=3, batch_size=4, sequence_length=2048, gradient_accumulation=2, checkpoints=1, evaluations=1,
        train_on_inputs="auto",
    ),
    optimizer=Optimizer(
        learning_rate=0.0002, weight_decay=0.01, max_gradient_norm=1.0,
        scheduler=Scheduler(type="cosine", min_lr_ratio=0.1, warmup_ratio=0.1, cycles=None),
    ),
    precision=None, optimizations=("gradient_checkpointing",), dpo=None, seed=42, init_layer=None, resume=False,
    judge=None, threads=None,
    paths=Paths(progress="", control="", worker="", heartbeat="", checkpoints="", result=""),
)  # fmt: skip
QLORA = replace(SPEC, method=Method(type="qlora", lora=replace(LORA, trainable_modules="q_proj, v_proj", rs_lora=True)))
LLAMA = {
    "model_type": "llama", "vocab_size": 711, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "hidden_size": 64, "max_position_embeddings": 2048, "intermediate_size": 128,
    "rms_norm_eps": 1e-6, "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
    "tie_word_embeddings": True, "head_dim": 16,
}  # fmt: skip
QWEN = {**LLAMA, "model_type": "qwen2", "rope_theta": 1000000.0, "rope_parameters": None, "tie_word_embeddings": False}
ROWS, OUT = Path("/w/rows.jsonl"), Path("/w/out")


def same(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("GENOMED_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(("spec", "cuda", "name"), [(SPEC, False, "axolotl.yaml"), (QLORA, True, "axolotl_qlora.yaml")])
def test_axolotl_is_told_this(spec: Specification, cuda: bool, name: str) -> None:
    axolotl_config.refuse(spec)
    precision = "bf16" if cuda else "fp32"
    same(
        name,
        yaml_text(
            axolotl_config.configuration(
                spec, rows=ROWS, out=OUT, precision=precision, length=1024, steps=39, cuda=cuda
            )
        ),
    )


@pytest.mark.parametrize(("base", "name"), [(LLAMA, "torchtune.yaml"), (QWEN, "torchtune_qwen2.yaml")])
def test_torchtune_is_told_this(base: dict[str, object], name: str) -> None:
    torchtune_config.refuse(SPEC)
    held = Base(config=base, shards=["model.safetensors"], pad_id=0)
    told = torchtune_config.configuration(SPEC, held, rows=ROWS, out=OUT, precision="fp32", steps=36, device="cpu")
    same(name, yaml_text(told))


@pytest.mark.parametrize(("spec", "name"), [(SPEC, "unsloth.yaml"), (QLORA, "unsloth_qlora.yaml")])
def test_unsloth_is_told_this(spec: Specification, name: str) -> None:
    unsloth.refuse(spec)
    same(name, yaml_text({"from_pretrained": unsloth.loading(spec, length=1024), "layer": unsloth.layering(spec)}))


FULL = replace(SPEC, method=Method(type="full", lora=None))
DORA = replace(SPEC, method=Method(type="lora", lora=replace(LORA, dora=True)))
POLYNOMIAL = replace(
    SPEC,
    optimizer=replace(
        SPEC.optimizer, scheduler=Scheduler(type="polynomial", min_lr_ratio=0.1, warmup_ratio=0, cycles=None)
    ),
)
PACKED = replace(SPEC, optimizations=("sequence_packing",))


@pytest.mark.parametrize(
    ("refuse", "spec", "field"),
    [
        (axolotl_config.refuse, FULL, "method.type"),
        (axolotl_config.refuse, PACKED, "optimizations.enabled"),
        (axolotl_config.refuse, POLYNOMIAL, "minLRRatio"),
        (axolotl_config.refuse, replace(SPEC, init_layer="/l"), "initLayer"),
        (torchtune_config.refuse, QLORA, "method.type"),
        (torchtune_config.refuse, DORA, "metadata.useDora"),
        (torchtune_config.refuse, POLYNOMIAL, "optimizer.scheduler.type"),
        (torchtune_config.refuse, replace(SPEC, precision="fp16"), "model.precision"),
        (unsloth.refuse, FULL, "method.type"),
        (unsloth.refuse, DORA, "metadata.useDora"),
        (unsloth.refuse, PACKED, "optimizations.enabled"),
        (unsloth.refuse, replace(SPEC, precision="fp32"), "model.precision"),
    ],
)
def test_what_an_engine_would_leave_out_is_refused_by_its_field(
    refuse: Callable[[Specification], None], spec: Specification, field: str
) -> None:
    with pytest.raises(WorkerFailure, match=field) as refused:
        refuse(spec)
    assert refused.value.kind == "unsupported"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model_type": "gpt2"}, "model.baseModel"),
        ({"head_dim": 32}, "model.baseModel"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "model.baseModel"),
    ],
)
def test_a_model_that_torchtune_would_build_otherwise_is_refused(change: dict[str, object], field: str) -> None:
    held = Base(config={**LLAMA, **change}, shards=["model.safetensors"], pad_id=0)
    with pytest.raises(WorkerFailure, match=field):
        torchtune_config.configuration(SPEC, held, rows=ROWS, out=OUT, precision="fp32", steps=36, device="cpu")


def test_what_axolotl_says_becomes_numbers_also_where_they_are_text() -> None:
    said = (
        " 12%|#| 1/8 [00:00<00:02]   {'loss': '4.753', 'grad_norm': '0.3', 'learning_rate': '0.005', 'epoch': '0.25'}"
    )
    assert axolotl_words.heard(said) == Spoken(loss=4.753, learning_rate=0.005, gradient_norm=0.3)
    assert axolotl_words.heard("{'loss': 2.5, 'learning_rate': 1e-05}") == Spoken(loss=2.5, learning_rate=1e-05)
    for other in ("", "{'train_loss': '4.7'}", "{'loss': open('x')}", "loss is fine"):
        assert axolotl_words.heard(other) is None


def test_what_torchtune_says_becomes_numbers() -> None:
    said = "  0%| | 0/4Step 12 | loss:4.75 lr:0.0048 tokens_per_second_per_gpu:44.0 grad_norm:0.37 "
    assert torchtune_words.heard(said) == Spoken(step=12, loss=4.75, learning_rate=0.0048, gradient_norm=0.37)
    assert torchtune_words.heard("Step by step") is None


@pytest.mark.parametrize(
    ("kind", "step", "share"),
    [
        ("cosine", 0, 0.0), ("cosine", 5, 0.5), ("cosine", 10, 1.0), ("cosine", 55, 0.55), ("cosine", 100, 0.1),
        ("linear", 55, 0.55), ("linear", 100, 0.1), ("constant_with_warmup", 5, 0.5), ("constant_with_warmup", 99, 1.0),
    ],
)  # fmt: skip
def test_the_rate_that_torchtune_gets_of_us_warms_up_falls_and_keeps_its_floor(
    kind: str, step: int, share: float
) -> None:
    assert torchtune_parts.share(kind, steps=100, warmup=10, floor=0.1)(step) == pytest.approx(share)


def test_the_rows_that_torchtune_reads_are_the_tokens_we_made(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"input_ids": [1, 2, 3], "labels": [-100, 2, 3]}) + "\n")
    read = torchtune_parts.rows(torchtune_parts.padding(0), str(path))
    assert len(read) == 1
    assert read[0] == {"tokens": [1, 2, 3], "labels": [-100, 2, 3]}
