"""From a specification, the hardware and the row counts to the trainer's keywords, with an account of every field.

Pure. Library defaults that would change a result or a machine unasked are set on purpose and listed, too
(TRL 1.13: bf16 and gradient checkpointing on, a log every 10 steps, pinned memory, progress bars, remote reporting).
"""

import math
from typing import NamedTuple

from .choices import note
from .effective import Effective, account
from .failures import unsupported
from .hardware import Hardware
from .learning_rate import curve, warmup_steps
from .optimizations import Features, features
from .specification import Kto, Specification

Precision = str
RESCUE_S = 600.0
"""Seconds of training after which a checkpoint is written though none is due: what a crash may cost at most."""


class Settings(NamedTuple):
    trainer: dict[str, object]
    features: Features
    precision: Precision
    total_steps: int
    save_at: frozenset[int]
    evaluate_at: frozenset[int]
    effective: list[Effective]


def total_steps(rows: int, *, batch_size: int, accumulation: int, epochs: int) -> int:
    """Optimizer steps of the whole run: a short last batch and a short last accumulation both count, in each epoch."""
    return math.ceil(math.ceil(rows / batch_size) / accumulation) * epochs


def spread(count: int, steps: int) -> frozenset[int]:
    """`count` steps evenly over 1..steps, the last one included; fewer where there are not that many steps."""
    return frozenset(max(1, round(steps * nth / count)) for nth in range(1, count + 1)) if steps else frozenset()


def precision(spec: Specification, hardware: Hardware) -> Precision:
    """What was asked for, or the best the device does natively. Raises WorkerFailure unsupported."""
    if spec.precision == "fp16" and not hardware.fp16:
        raise unsupported("model.precision", "fp16", f"needs a CUDA device (device is {hardware.device.kind})")
    if spec.precision == "bf16" and not hardware.bf16:
        raise unsupported("model.precision", "bf16", f"{hardware.device.name} cannot compute in bf16")
    if spec.precision is not None:
        return spec.precision
    return "bf16" if hardware.device.kind == "cuda" and hardware.bf16 else "fp32"


def derive(
    spec: Specification, hardware: Hardware, *, rows: int, eval_rows: int, masking: str, length: int
) -> Settings:
    """Raises WorkerFailure unsupported.

    rows: training rows as the trainer will see them, after packing. length: tokens per row that the base model allows.
    """
    if spec.method.type == "qlora" and not hardware.bitsandbytes:
        reason = f"4-bit training needs a CUDA device and bitsandbytes (device is {hardware.device.kind})"
        raise unsupported("method.type", "qlora", reason, remedy="use lora")
    schedule = spec.schedule
    grouped(spec)
    wanted = features(spec, hardware)
    number = precision(spec, hardware)
    steps = total_steps(
        rows,
        batch_size=schedule.batch_size,
        accumulation=schedule.gradient_accumulation,
        epochs=schedule.epochs,
    )
    evaluations = schedule.evaluations if eval_rows else 0
    save_at, evaluate_at = spread(schedule.checkpoints, steps), spread(evaluations, steps)
    trainer = {**_asked(spec, wanted, number, steps), **on_purpose(hardware), **OF_LANGUAGE, **_kind(spec, wanted)}
    trainer["max_length"] = length
    on = hardware.device.kind
    told = account(spec, trainer, steps=steps, save_at=save_at, evaluate_at=evaluate_at, device=on)
    if spec.engine == "trl":  # the others bring their own
        told.append(Effective("attention", None, wanted.attention, note("attn_implementation", wanted.attention, on)))
    told.append(Effective("lossMasking", schedule.train_on_inputs, masking))
    told.append(Effective("rescueCheckpointS", None, RESCUE_S, "a checkpoint also after so many seconds without one"))
    told.append(Effective("model.precision", spec.precision, number))
    return Settings(trainer, wanted, number, steps, save_at, evaluate_at, told)


def _asked(spec: Specification, wanted: Features, number: Precision, steps: int) -> dict[str, object]:
    schedule, optimizer = spec.schedule, spec.optimizer
    rate = curve(optimizer)
    return {
        "num_train_epochs": schedule.epochs,
        "per_device_train_batch_size": max(1, schedule.batch_size // spec.processes),
        "per_device_eval_batch_size": schedule.batch_size,
        "gradient_accumulation_steps": schedule.gradient_accumulation,
        "learning_rate": optimizer.learning_rate,
        "weight_decay": optimizer.weight_decay,
        "max_grad_norm": optimizer.max_gradient_norm,
        "lr_scheduler_type": rate.type,
        "lr_scheduler_kwargs": rate.kwargs,
        "warmup_steps": warmup_steps(optimizer.scheduler.warmup_ratio, steps),
        "optim": wanted.optimizer,
        "seed": spec.seed,
        "data_seed": spec.seed,
        "bf16": number == "bf16",
        "fp16": number == "fp16",
        "gradient_checkpointing": wanted.gradient_checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False} if wanted.gradient_checkpointing else None,
        "use_liger_kernel": wanted.fused_kernels,
        "activation_offloading": wanted.activation_offloading,
    }


OF_LANGUAGE = {"train_sampling_strategy": "random", "trust_remote_code": False}
"""Defaults of TRL's trainers that we do not leave to them."""


def on_purpose(hardware: Hardware) -> dict[str, object]:
    """Defaults of the libraries that we do not leave to them, whatever is trained with them."""
    return {
        "use_cpu": hardware.device.kind == "cpu",
        "dataloader_pin_memory": hardware.device.kind == "cuda",
        "dataloader_num_workers": 0,
        "report_to": [],
        "disable_tqdm": True,
        "logging_strategy": "steps",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "eval_strategy": "no",
        "save_strategy": "no",
        "save_total_limit": None,
        "ignore_data_skip": False,
        "push_to_hub": False,
    }


def _kind(spec: Specification, wanted: Features) -> dict[str, object]:
    match spec.dataset.kind:
        case "chat" | "raft":
            return {
                "truncation_mode": "keep_start",
                "packing": wanted.packing,
                "packing_strategy": "bfd",
                "eval_packing": False,
                # The chunked loss reads the head's own weight, so it would not see LoRA on the head.
                "loss_type": "nll" if wanted.fused_kernels or _adapts_head(spec) else "chunked_nll",
            }
        case "preference" if spec.dpo is not None:
            return _compared(spec) | {
                "truncation_mode": "keep_start",
                "beta": spec.dpo.beta,
                "loss_type": [spec.dpo.loss_type],
            }
        case "labelled" if spec.kto is not None:
            return _compared(spec) | _labelled(spec, spec.kto)
        case _:
            return {}


def _compared(spec: Specification) -> dict[str, object]:
    dropout = spec.method.lora.dropout if spec.method.lora else 0.0
    return {
        # Dropout is noise in what is compared, so the engine turns it off; an asked-for LoRA dropout stays on.
        "disable_dropout": dropout == 0,
        # A full run has no untouched copy to compare with: the reference is computed before the first step instead.
        "precompute_ref_log_probs": spec.method.type == "full",
    }


def _labelled(spec: Specification, kto: Kto) -> dict[str, object]:
    if spec.schedule.batch_size < 2:
        reason = "labelled rows are trained beside their neighbours, from two in a batch"
        raise unsupported("schedule.batchSize", spec.schedule.batch_size, reason, remedy="use a batchSize of 2 or more")
    return {
        "loss_type": "kto",
        "beta": kto.beta,
        "desirable_weight": kto.desirable_weight,
        "undesirable_weight": kto.undesirable_weight,
        # Each prompt's neighbour is fixed before the first step (trl.trainer.kto_trainer, 1.13), so is their order.
        "train_sampling_strategy": "sequential",
    }


def _adapts_head(spec: Specification) -> bool:
    return spec.method.lora is not None and "lm_head" in module_names(spec.method.lora.trainable_modules)


def module_names(trainable_modules: str) -> list[str]:
    return [name.strip() for name in trainable_modules.split(",") if name.strip()]


def grouped(spec: Specification) -> int | None:
    """How many rows of like length come together: those between two optimizer steps. Raises WorkerFailure unsupported.

    The engine's own way is left alone, as a run could not be resumed exactly with it.
    """
    if not spec.schedule.group_by_length:
        return None
    if spec.dataset.kind == "labelled":
        reason = "labelled rows are trained beside fixed neighbours"
        raise unsupported("metadata.groupByLength", True, reason, remedy="leave it out")
    if "sequence_packing" in spec.optimizations:
        reason = "packed rows have one length already"
        raise unsupported("metadata.groupByLength", True, reason, remedy="leave out either")
    return spec.schedule.batch_size * spec.schedule.gradient_accumulation
