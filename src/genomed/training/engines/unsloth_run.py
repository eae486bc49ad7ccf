"""One attempt with Unsloth: its loading, its LoRA and its gradient checkpointing, around the same trainers as ever.

Written for Unsloth 2026.10, the first whose TRL takes our names. Unsloth patches torch, transformers, TRL and PEFT as
it is imported, so it comes before them all; and it raises without a GPU, so only a run imports it.
"""

import os
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from .. import language_run, model
from ..attempt import Attempt
from ..engine import Model
from ..failures import WorkerFailure, unsupported
from ..hardware import Hardware
from ..settings import Settings, module_names
from ..specification import Specification

SEVEN = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""What its own kernels are written for, and what `all-linear` means to it."""

ITS_OWN = ("fused_kernels", "flash_attention", "sequence_packing", "activation_offloading")
"""Optimizations that it brings, or leaves out, by itself; they are not to be asked for a second time."""


class FastModel(Protocol):
    """Unsloth's FastLanguageModel, as far as it is used."""

    def from_pretrained(self, **options: object) -> tuple[Model, object]: ...
    def get_peft_model(self, base: Model, **options: object) -> Model: ...
    def patch_peft_model(self, layered: Model, **options: object) -> Model: ...


def attempt(shared: Attempt) -> None:
    """Raises Stopped, WorkerFailure, or whatever an engine raises."""
    refuse(shared.spec)
    fast = _imported()

    def load(spec: Specification, chosen: Settings, hardware: Hardware) -> Model:  # noqa: ARG001 -- it finds the GPU itself
        import torch

        # Its mapping of dtypes knows torch's own alone.
        dtype = getattr(torch, {"bf16": "bfloat16", "fp16": "float16"}[chosen.precision])
        base, _ = fast.from_pretrained(**loading(spec, length=_number(chosen.trainer["max_length"])), dtype=dtype)
        return base

    def begin(spec: Specification, base: Model) -> tuple[Model, object]:
        lora = spec.method.lora
        if spec.init_layer is not None and lora is not None:
            layered = model.continue_layer(base, Path(spec.init_layer), lora)
            return fast.patch_peft_model(layered, use_gradient_checkpointing=_checkpointing(spec)), None
        return fast.get_peft_model(base, **layering(spec)), None

    language_run.attempt(shared, language_run.Craft(load, begin))


def _imported() -> FastModel:
    os.environ["UNSLOTH_DISABLE_STATISTICS"] = "1"
    try:
        return cast(FastModel, import_module("unsloth").FastLanguageModel)
    except (ImportError, NotImplementedError, RuntimeError) as broken:
        raise WorkerFailure("unsupported", f"unsloth cannot be imported here: {broken}") from broken


def refuse(spec: Specification) -> None:
    """Raises WorkerFailure unsupported for what would else be left out or done otherwise without a word. Pure."""
    lora = spec.method.lora
    if lora is None:
        raise unsupported("method.type", spec.method.type, "unsloth trains a LoRA here", remedy="use the engine trl")
    if spec.precision == "fp32":
        raise unsupported("model.precision", "fp32", "unsloth computes in 16 bits", remedy="use bf16 or fp16")
    if lora.dora:
        raise unsupported("metadata.useDora", True, "unsloth's kernels know no DoRA", remedy="use the engine trl")
    for name in spec.optimizations:
        if name in ITS_OWN:
            reason = "unsloth decides that by itself"
            raise unsupported("optimizations.enabled", name, reason, remedy=f"leave out {name}")


def loading(spec: Specification, *, length: int) -> dict[str, object]:
    """The keywords of FastLanguageModel.from_pretrained but for the dtype. Pure."""
    source = model.source_of(spec)
    return {
        "model_name": source,
        "max_seq_length": length,
        "load_in_4bit": spec.method.type == "qlora",
        "load_in_8bit": False,
        "load_in_16bit": spec.method.type == "lora",
        "full_finetuning": False,
        # It would take another model, quantized by its makers, for many names of the hub.
        "use_exact_model_name": True,
        "use_gradient_checkpointing": _checkpointing(spec),
        "revision": None if source.startswith("/") else spec.revision,
        "trust_remote_code": False,
        "local_files_only": spec.offline,
        "use_safetensors": True,
        "random_state": spec.seed,
        "fast_inference": False,
        "disable_log_stats": True,
    }


def layering(spec: Specification) -> dict[str, object]:
    """The keywords of FastLanguageModel.get_peft_model. Pure."""
    lora = spec.method.lora
    if lora is None:
        return {}
    names = module_names(lora.trainable_modules)
    return {
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "target_modules": list(SEVEN) if names == ["all-linear"] else names,
        "bias": "none",
        "use_rslora": lora.rs_lora,
        "use_gradient_checkpointing": _checkpointing(spec),
        "random_state": spec.seed,
    }


def _checkpointing(spec: Specification) -> str | bool:
    """`unsloth`: its own, which keeps activations in the machine's memory."""
    return "unsloth" if "gradient_checkpointing" in spec.optimizations else False


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"a length is a number, not {value!r}")
    return value
