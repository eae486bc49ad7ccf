"""A specification as Axolotl's configuration. Pure: whoever has Axolotl can run what this writes.

The rows come tokenized and masked, as every engine of ours learns them, so nothing of Axolotl's templates is used.
Names: Axolotl 0.19, `axolotl config-schema`.
"""

from pathlib import Path

from ..failures import unsupported
from ..learning_rate import warmup_steps
from ..settings import module_names
from ..specification import Specification

NO_KERNELS = dict.fromkeys(("lora_mlp_kernel", "lora_qkv_kernel", "lora_o_kernel", "lora_embedding_kernel"), False)
"""Its own, which it takes unasked and which are written for CUDA."""


def refuse(spec: Specification) -> None:
    """Raises WorkerFailure unsupported for what would else be left out without a word."""
    if spec.method.lora is None:
        raise unsupported("method.type", spec.method.type, "axolotl trains a LoRA here", remedy="use the engine trl")
    if spec.init_layer is not None:
        raise unsupported("initLayer", spec.init_layer, "axolotl starts from the base model", remedy="use trl")
    scheduler = spec.optimizer.scheduler
    if scheduler.min_lr_ratio not in (0, 1) and scheduler.type != "cosine":
        reason = "axolotl has a floor for the cosine rate alone"
        raise unsupported("optimizer.scheduler.minLRRatio", scheduler.min_lr_ratio, reason)
    if scheduler.cycles is not None:
        raise unsupported("optimizer.scheduler.cycles", scheduler.cycles, "axolotl's cosine rate is half a wave")
    for name in spec.optimizations:
        if name not in ("gradient_checkpointing", "dynamic_padding", "flash_attention", "optimizer_8bit"):
            raise unsupported("optimizations.enabled", name, "not carried over to axolotl", remedy=f"leave out {name}")


def configuration(
    spec: Specification, *, rows: Path, out: Path, precision: str, length: int, steps: int, cuda: bool
) -> dict[str, object]:
    """rows: the tokenized file. steps: of the whole run."""
    lora, schedule, optimizer = spec.method.lora, spec.schedule, spec.optimizer
    if lora is None:
        raise unsupported("method.type", spec.method.type, "axolotl trains a LoRA here")
    names = module_names(lora.trainable_modules)
    target: dict[str, object] = (
        {"lora_target_linear": True} if names == ["all-linear"] else {"lora_target_modules": names}
    )
    kernels: dict[str, object] = {} if cuda else {**NO_KERNELS}
    wished = set(spec.optimizations)
    cosine_floor = optimizer.scheduler.type == "cosine" and optimizer.scheduler.min_lr_ratio > 0
    return {
        "base_model": spec.base_model,
        **({} if spec.revision is None else {"revision_of_model": spec.revision}),
        "trust_remote_code": False,
        "adapter": "qlora" if spec.method.type == "qlora" else "lora",
        "load_in_4bit": spec.method.type == "qlora",
        "lora_r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        **target,
        "peft_use_dora": lora.dora,
        "peft_use_rslora": lora.rs_lora,
        # No type: the file holds input_ids, attention_mask and labels.
        "datasets": [{"path": str(rows), "ds_type": "json", "type": None}],
        "dataset_prepared_path": str(out.with_name("prepared")),
        "val_set_size": 0,
        "sequence_len": length,
        "sample_packing": False,
        "pad_to_sequence_len": False,
        "train_on_inputs": False,
        "output_dir": str(out),
        "num_epochs": schedule.epochs,
        "micro_batch_size": schedule.batch_size,
        "gradient_accumulation_steps": schedule.gradient_accumulation,
        "learning_rate": optimizer.learning_rate,
        "weight_decay": optimizer.weight_decay,
        "max_grad_norm": optimizer.max_gradient_norm,
        "lr_scheduler": optimizer.scheduler.type,
        **({"cosine_min_lr_ratio": optimizer.scheduler.min_lr_ratio} if cosine_floor else {}),
        "warmup_steps": warmup_steps(optimizer.scheduler.warmup_ratio, steps),
        "optimizer": "adamw_bnb_8bit" if "optimizer_8bit" in wished else "adamw_torch_fused",
        "bf16": precision == "bf16",
        "fp16": precision == "fp16",
        "tf32": False,
        "gradient_checkpointing": "gradient_checkpointing" in wished,
        "attn_implementation": "flash_attention_2" if "flash_attention" in wished else "sdpa",
        **kernels,
        "logging_steps": 1,
        "save_strategy": "no",
        "seed": spec.seed,
        "strict": False,
    }
