"""A layer trained with MLX as a plain PEFT folder: the same numbers, turned and named as PEFT has them.

MLX keeps lora_a as (in, rank) and lora_b as (rank, out) and multiplies by `scale`; PEFT keeps the transposed ones and
multiplies by alpha/rank. A magnitude `m` is DoRA's. Source: mlx-lm 0.32 tuner/lora.py, tuner/dora.py; peft 0.21
utils/save_and_load.py.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from ..failures import WorkerFailure
from ..model import LAYER_CONFIG, LAYER_WEIGHTS
from ..specification import Lora
from .mlx_rim import Array, Core

PREFIX = "base_model.model."
TURNED = {"lora_a": "lora_A.weight", "lora_b": "lora_B.weight"}


def peft_name(name: str) -> str:
    """`model.layers.0.self_attn.q_proj.lora_a` as PEFT writes it. Raises ValueError for any other weight."""
    module, _, part = name.rpartition(".")
    if part == "m":
        return f"{PREFIX}{module}.lora_magnitude_vector"
    if part not in TURNED:
        raise ValueError(f"{name} is no weight of a LoRA")
    return f"{PREFIX}{module}.{TURNED[part]}"


def mlx_name(name: str) -> str:
    """The way back."""
    inner = name.removeprefix(PREFIX)
    if inner.endswith(".lora_magnitude_vector"):
        return inner.removesuffix("lora_magnitude_vector") + "m"
    for theirs, ours in TURNED.items():
        if inner.endswith(f".{ours}"):
            return inner.removesuffix(ours) + theirs
    raise ValueError(f"{name} is no weight of a LoRA")


def to_peft(arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {peft_name(name): array if name.endswith(".m") else array.T for name, array in arrays.items()}


def from_peft(arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {
        mlx_name(name): array if name.endswith("lora_magnitude_vector") else array.T for name, array in arrays.items()
    }


def write(core: Core, folder: Path, arrays: Mapping[str, Array], *, lora: Lora, base_model: str) -> None:
    found = to_peft(arrays)
    core.save_safetensors(str(folder / LAYER_WEIGHTS), found, {"format": "pt"})
    modules = sorted({name.split(".lora_")[0].rpartition(".")[2] for name in found})
    (folder / LAYER_CONFIG).write_text(json.dumps(config(lora, base_model, modules), indent=2) + "\n", encoding="utf-8")


def config(lora: Lora, base_model: str, modules: list[str]) -> dict[str, object]:
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_model,
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "target_modules": modules,
        "bias": "none",
        "use_dora": lora.dora,
        "use_rslora": lora.rs_lora,
        "inference_mode": True,
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "modules_to_save": None,
    }


def read(core: Core, folder: Path) -> dict[str, Array]:
    """A PEFT layer's weights as MLX has them. Raises WorkerFailure."""
    try:
        return from_peft(core.load(str(folder / LAYER_WEIGHTS)))
    except (ValueError, RuntimeError, OSError) as broken:
        raise WorkerFailure("invalid_request", f"the layer {folder} cannot be read: {broken}") from broken


def scale_of(lora: Lora) -> float:
    """What MLX multiplies the product by."""
    return lora.alpha / (lora.rank**0.5 if lora.rs_lora else lora.rank)
