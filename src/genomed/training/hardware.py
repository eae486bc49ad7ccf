"""What this machine and this interpreter can train with. Asks the metadata first, and torch only if it is there."""

import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Literal

LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")
OPTIONAL = (
    "sentence-transformers", "onnx", "onnxruntime", "onnxscript", "bitsandbytes", "flash-attn", "liger-kernel",
    "unsloth", "mlx", "mlx-lm", "axolotl", "torchtune", "wandb", "tensorboard",
)  # fmt: skip
"""Told by the probe where they are: some kinds of training, engines and exits need them."""
NEEDED = (*LIBRARIES, "tokenizers", "safetensors")


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    kind: Literal["cpu", "cuda", "mps"]
    name: str
    memoryBytes: int | None  # noqa: N815 (written to the wire as it stands)
    count: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Hardware:
    """A device and the features that only some devices or extra libraries give."""

    device: Device
    bf16: bool
    fp16: bool
    bitsandbytes: bool
    flash_attention: bool
    liger: bool
    threads: int


def versions() -> dict[str, str | None]:
    """Of what training needs, installed or not, and of what else is there."""
    others = {name: _version(name) for name in OPTIONAL}
    return {name: _version(name) for name in LIBRARIES} | {name: there for name, there in others.items() if there}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _installed(module: str) -> bool:
    return find_spec(module) is not None


def memory_bytes() -> int | None:
    """Physical memory of this machine; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _cpu() -> Device:
    return Device(kind="cpu", name=platform.processor() or platform.machine(), memoryBytes=memory_bytes())


def look() -> Hardware:
    """The hardware as torch sees it. Imports torch."""
    import torch

    cuda = torch.cuda.is_available()
    if cuda:
        properties = torch.cuda.get_device_properties(0)
        device = Device(
            kind="cuda",
            name=properties.name,
            memoryBytes=properties.total_memory,
            count=torch.cuda.device_count(),
        )
    elif torch.backends.mps.is_available():
        device = Device(kind="mps", name=platform.processor() or "Apple GPU", memoryBytes=memory_bytes())
    else:
        device = _cpu()
    return Hardware(
        device=device,
        # On a CPU bf16 is emulated where the chip lacks it: correct and slow, so possible but never chosen unasked.
        bf16=device.kind == "cpu" or (cuda and torch.cuda.is_bf16_supported(including_emulation=False)),
        fp16=cuda,
        bitsandbytes=cuda and _installed("bitsandbytes"),
        flash_attention=cuda and _installed("flash_attn"),
        liger=cuda and _installed("liger_kernel"),
        threads=torch.get_num_threads(),
    )


def probe() -> dict[str, object]:
    """What the daemon asks of an interpreter before it offers local training with it."""
    missing = [name for name in NEEDED if not _installed(name)]
    problems = [f"{name} is not installed in this interpreter" for name in missing]
    found: Hardware | None = None
    if "torch" not in missing:
        try:
            found = look()
        except (ImportError, OSError, RuntimeError) as broken:
            problems.append(f"torch does not work here: {broken}")
    return {
        "python": platform.python_version(),
        "versions": versions(),
        "device": asdict(found.device if found else _cpu()),
        "bf16": bool(found and found.bf16),
        "fp16": bool(found and found.fp16),
        "qlora": bool(found and found.bitsandbytes),
        "flashAttention": bool(found and found.flash_attention),
        "liger": bool(found and found.liger),
        "problems": problems,
    }
