"""The optional memory and speed features: on where this machine has them, refused by name where it has not. Pure."""

from typing import NamedTuple

from .failures import unsupported
from .hardware import Hardware
from .specification import Specification

NAMES = (
    "flash_attention",
    "gradient_checkpointing",
    "optimizer_8bit",
    "paged_optimizer",
    "fused_kernels",
    "sequence_packing",
    "dynamic_padding",
    "activation_offloading",
)
OPTIMIZERS = {
    (False, False): "adamw_torch_fused",
    (True, False): "adamw_bnb_8bit",
    (False, True): "paged_adamw_32bit",
    (True, True): "paged_adamw_8bit",
}
"""(8 bit, paged) -> the engine's optimizer name; transformers.training_args.OptimizerNames."""


class Features(NamedTuple):
    attention: str
    optimizer: str
    gradient_checkpointing: bool
    fused_kernels: bool
    packing: bool
    activation_offloading: bool


def features(spec: Specification, hardware: Hardware) -> Features:
    """Raises WorkerFailure unsupported for the first wish that cannot be had."""
    wished = set(spec.optimizations)
    for name in spec.optimizations:
        if reason := obstacle(name, spec, hardware):
            raise unsupported("optimizations.enabled", name, reason)
    return Features(
        attention="flash_attention_2" if "flash_attention" in wished else "sdpa",
        optimizer=OPTIMIZERS["optimizer_8bit" in wished, "paged_optimizer" in wished],
        gradient_checkpointing="gradient_checkpointing" in wished,
        fused_kernels="fused_kernels" in wished,
        packing="sequence_packing" in wished,
        activation_offloading="activation_offloading" in wished,
    )


def obstacle(name: str, spec: Specification, hardware: Hardware) -> str | None:
    """Why this machine cannot do it; None if it can."""
    on = hardware.device.kind
    match name:
        case "flash_attention":
            return None if hardware.flash_attention else f"needs a CUDA device and flash-attn (device is {on})"
        case "optimizer_8bit" | "paged_optimizer":
            return None if hardware.bitsandbytes else f"needs a CUDA device and bitsandbytes (device is {on})"
        case "fused_kernels":
            return None if hardware.liger else f"needs a CUDA device and liger-kernel (device is {on})"
        case "activation_offloading":
            return None if on == "cuda" else f"needs a CUDA device to offload from (device is {on})"
        case "sequence_packing":
            return _packing_obstacle(spec, hardware)
        case "gradient_checkpointing" | "dynamic_padding":
            return None
        case _:
            return f"not one of {', '.join(NAMES)}"


def _packing_obstacle(spec: Specification, hardware: Hardware) -> str | None:
    if spec.dataset.kind not in ("chat", "raft"):
        return f"{spec.dataset.kind} rows are compared with a reference one by one, so they cannot be packed"
    if not hardware.flash_attention or "flash_attention" not in spec.optimizations:
        return "without flash_attention packed rows would attend to one another"
    return None
