"""A LoRA layer as a provider packs it: real, tiny safetensors weights, in the archives that providers send.

Knows file formats only. No torch: numpy writes the tensors.
"""

import io
import json
import tarfile
from collections.abc import Mapping

import numpy as np
from safetensors.numpy import save

RANK = 2
WIDTH = 8


def lora_files(base_model: str) -> dict[str, bytes]:
    """One adapted projection, as PEFT names it."""
    maker = np.random.default_rng(7)
    name = "base_model.model.model.layers.0.self_attn.q_proj"
    weights = {
        f"{name}.lora_A.weight": maker.standard_normal((RANK, WIDTH), dtype=np.float32),
        f"{name}.lora_B.weight": np.zeros((WIDTH, RANK), dtype=np.float32),
    }
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": base_model,
        "r": RANK,
        "lora_alpha": 4,
        "target_modules": ["q_proj"],
    }
    return {"adapter_config.json": json.dumps(config).encode(), "adapter_model.safetensors": save(weights)}


def full_files() -> dict[str, bytes]:
    """A whole model, as far as files go."""
    weights = {"model.embed_tokens.weight": np.ones((4, WIDTH), dtype=np.float32)}
    return {"config.json": b'{"model_type": "llama"}', "model.safetensors": save(weights)}


def tar_gz(files: Mapping[str, bytes], *, folder: str = "output/") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, body in files.items():
            entry = tarfile.TarInfo(f"{folder}{name}")
            entry.size = len(body)
            tar.addfile(entry, io.BytesIO(body))
    return made.getvalue()
