"""A specification as torchtune's configuration. Pure: whoever has torchtune can run what this writes.

torchtune has a model of its own for each family and converts the weights; here Llama (1 to 3.2) and Qwen2 (2, 2.5).
The rows come tokenized and masked. Names: torchtune 0.6.1, recipes/lora_finetune_single_device.py.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..failures import WorkerFailure, unsupported
from ..learning_rate import warmup_steps
from ..settings import module_names
from ..specification import Specification

PARTS = "genomed_torchtune_parts"
"""What `torchtune_parts` is called where torchtune imports it."""

ATTENTION = {"q_proj": "q_proj", "k_proj": "k_proj", "v_proj": "v_proj", "o_proj": "output_proj"}
MLP = ("gate_proj", "up_proj", "down_proj")
FAMILIES = {
    "llama": ("torchtune.models.llama3_2.lora_llama3_2", "LLAMA3_2"),
    "qwen2": ("torchtune.models.qwen2.lora_qwen2", "QWEN2"),
}
RATES = ("cosine", "linear", "constant", "constant_with_warmup")
Config = Mapping[str, object]


def refuse(spec: Specification) -> None:
    """Raises WorkerFailure unsupported for what would else be left out without a word."""
    lora, scheduler = spec.method.lora, spec.optimizer.scheduler
    if lora is None or spec.method.type != "lora":
        raise unsupported("method.type", spec.method.type, "torchtune trains a LoRA here", remedy="use the engine trl")
    if lora.rs_lora:
        raise unsupported("metadata.useRslora", True, "torchtune does not scale so", remedy="use the engine trl")
    if lora.dora:
        raise unsupported("metadata.useDora", True, "its DoRA does not come out as PEFT's", remedy="use trl")
    if spec.init_layer is not None:
        raise unsupported("initLayer", spec.init_layer, "torchtune starts from the base model", remedy="use trl")
    if spec.precision == "fp16":
        raise unsupported("model.precision", "fp16", "torchtune trains in bf16 or fp32")
    if scheduler.type not in RATES or scheduler.cycles is not None:
        raise unsupported("optimizer.scheduler.type", scheduler.type, f"torchtune gets {', '.join(RATES)} of us")
    for name in spec.optimizations:
        if name not in ("gradient_checkpointing", "dynamic_padding", "activation_offloading"):
            raise unsupported(
                "optimizations.enabled", name, "not carried over to torchtune", remedy=f"leave out {name}"
            )


class Base(NamedTuple):
    """Of the base model: config.json, the names of its weight files, and what a short row is filled up with."""

    config: Config
    shards: Sequence[str]
    pad_id: int


def configuration(
    spec: Specification, base: Base, *, rows: Path, out: Path, precision: str, steps: int, device: str
) -> dict[str, object]:
    """rows: the tokenized file. steps: of the whole run."""
    schedule, optimizer, wished = spec.schedule, spec.optimizer, set(spec.optimizations)
    return {
        "output_dir": str(out),
        "model": _model(spec, base.config),
        "tokenizer": {"_component_": f"{PARTS}.padding", "pad_id": base.pad_id},
        "checkpointer": {
            "_component_": "torchtune.training.FullModelHFCheckpointer",
            "checkpoint_dir": spec.base_model,
            "checkpoint_files": list(base.shards),
            "recipe_checkpoint": None,
            "output_dir": str(out),
            "model_type": FAMILIES[str(base.config["model_type"])][1],
        },
        "resume_from_checkpoint": False,
        "save_adapter_weights_only": True,
        "dataset": {"_component_": f"{PARTS}.rows", "path": str(rows)},
        "seed": spec.seed,
        "shuffle": True,
        "batch_size": schedule.batch_size,
        "epochs": schedule.epochs,
        "max_steps_per_epoch": None,
        "gradient_accumulation_steps": schedule.gradient_accumulation,
        "clip_grad_norm": optimizer.max_gradient_norm or None,
        "optimizer": {
            "_component_": "torch.optim.AdamW",
            "lr": optimizer.learning_rate,
            "weight_decay": optimizer.weight_decay,
            "fused": True,
        },
        "lr_scheduler": {
            "_component_": f"{PARTS}.rate",
            "kind": optimizer.scheduler.type,
            "warmup": warmup_steps(optimizer.scheduler.warmup_ratio, steps),
            "floor": optimizer.scheduler.min_lr_ratio,
        },
        "loss": {"_component_": "torchtune.modules.loss.CEWithChunkedOutputLoss"},
        "compile": False,
        "device": device,
        "dtype": precision,
        "enable_activation_checkpointing": "gradient_checkpointing" in wished,
        "enable_activation_offloading": "activation_offloading" in wished,
        "metric_logger": {"_component_": "torchtune.training.metric_logging.StdoutLogger"},
        "log_every_n_steps": 1,
        "log_peak_memory_stats": False,
    }


def _model(spec: Specification, base: Config) -> dict[str, object]:
    family, lora = str(base.get("model_type")), spec.method.lora
    if family not in FAMILIES or lora is None:
        known = ", ".join(FAMILIES)
        raise unsupported(
            "model.baseModel", spec.base_model, f"{family} is none of torchtune's {known}", remedy="use trl"
        )
    heads, width = _count(base, "num_attention_heads"), _count(base, "hidden_size")
    if base.get("head_dim") not in (None, width // heads):
        raise unsupported("model.baseModel", spec.base_model, "its heads are not as wide as torchtune takes them")
    attention, mlp = _modules(lora.trainable_modules)
    return {
        "_component_": FAMILIES[family][0],
        "lora_attn_modules": attention,
        "apply_lora_to_mlp": mlp,
        "apply_lora_to_output": False,
        "vocab_size": _count(base, "vocab_size"),
        "num_layers": _count(base, "num_hidden_layers"),
        "num_heads": heads,
        "num_kv_heads": base.get("num_key_value_heads") or heads,
        "embed_dim": width,
        "max_seq_len": _count(base, "max_position_embeddings"),
        "intermediate_dim": _count(base, "intermediate_size"),
        "norm_eps": base.get("rms_norm_eps", 1e-5),
        **_positions(spec, base, family),
        "tie_word_embeddings": bool(base.get("tie_word_embeddings", False)),
        "lora_rank": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
    }


def _positions(spec: Specification, base: Config, family: str) -> dict[str, object]:
    """Transformers 5 keeps them together, older files apart. torchtune takes a base as a whole number."""
    held = base.get("rope_parameters") or base.get("rope_scaling") or {}
    rope: Config = held if isinstance(held, Mapping) else {}
    theta = rope.get("rope_theta", base.get("rope_theta", 10000.0))
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind not in ("default", "llama3") or (kind == "llama3" and family != "llama"):
        raise unsupported("model.baseModel", spec.base_model, f"torchtune does not place tokens by {kind}")
    found: dict[str, object] = {"rope_base": int(theta) if isinstance(theta, int | float) else 10000}
    if family == "llama":
        found["scale_factor"] = rope.get("factor", 1) if kind == "llama3" else 1  # 1 leaves every frequency as it is
    return found


def _modules(trainable: str) -> tuple[list[str], bool]:
    names = module_names(trainable)
    if names == ["all-linear"]:
        return list(ATTENTION.values()), True
    attention, mlp = [ATTENTION[name] for name in names if name in ATTENTION], [name for name in names if name in MLP]
    if len(attention) + len(mlp) != len(names) or (mlp and len(mlp) != len(MLP)):
        reason = f"torchtune adapts any of {', '.join(ATTENTION)}, and {', '.join(MLP)} together"
        raise unsupported("method.loraConfig.trainableModules", trainable, reason)
    return attention, bool(mlp)


def _count(base: Config, name: str) -> int:
    found = base.get(name)
    if not isinstance(found, int):
        raise WorkerFailure("invalid_request", f"config.json of the base model has no whole number {name}")
    return found
