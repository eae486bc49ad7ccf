"""Whether a PEFT folder is a LoRA that is safe to open and fits its base model, by its configuration and headers alone.

No weight is read and no code is run: a folder that would need either is refused. Blocking. Source of the names of
tensors and of what the configuration may ask for: peft 0.21, tuners/lora/config.py and utils/save_and_load.py.
"""

import re
from pathlib import Path

import msgspec
from msgspec import Struct

from genomed.adapters.local.base_model import ModelFolder, Tensor, UnfitModel, read_header, tensors_in
from genomed.adapters.local.worker_file import read_plain

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
_PART = re.compile(r"^(?P<module>.+)\.(?P<part>lora_A|lora_B|lora_magnitude_vector)(\.weight)?$")


class LoraConfig(Struct, frozen=True, kw_only=True):
    """What of peft's file decides. The names are peft's own."""

    peft_type: str
    r: int
    base_model_name_or_path: str | None = None
    task_type: str | None = None
    bias: str = "none"
    fan_in_fan_out: bool = False
    rank_pattern: dict[str, int] | None = None
    auto_mapping: object = None
    layer_replication: object = None
    megatron_config: object = None
    target_parameters: object = None
    trainable_token_indices: object = None


def config_in(folder: Path) -> LoraConfig | str:
    """The configuration, or what is wrong with it."""
    try:
        return msgspec.json.decode(read_plain(folder / CONFIG), type=LoraConfig)
    except FileNotFoundError:
        return f"{CONFIG} is missing: this is no PEFT folder"
    except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError) as broken:
        return f"{CONFIG} cannot be read: {broken}"


def objections(folder: Path, config: LoraConfig, base: ModelFolder) -> list[str]:
    """Everything wrong with it, in sentences."""
    found = _of_config(config)
    try:
        tensors = tensors_in(read_header(folder / WEIGHTS), folder / WEIGHTS)
    except FileNotFoundError:
        return [*found, f"{WEIGHTS} is missing; pickled weights (.bin) can hold code and are not loaded"]
    except (UnfitModel, OSError) as broken:
        return [*found, str(broken)]
    if not tensors:
        return [*found, f"{WEIGHTS} holds no weights"]
    return found + _of_tensors(tensors, config, base)


def _of_config(config: LoraConfig) -> list[str]:
    found = []
    if config.peft_type != "LORA":
        found.append(f"{CONFIG} is of kind {config.peft_type}; only LORA is known here")
    asks = {
        "auto_mapping": "classes by name",
        "layer_replication": "layers that the base model has not",
        "megatron_config": "a library of its own",
        "target_parameters": "parameters that are no modules",
        "trainable_token_indices": "tokens of its own",
    }
    found += [f"{CONFIG} asks for {what} ({name})" for name, what in asks.items() if getattr(config, name)]
    return found


def _of_tensors(tensors: dict[str, Tensor], config: LoraConfig, base: ModelFolder) -> list[str]:
    found: list[str] = []
    pairs: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        parted = _PART.match(name.removeprefix(PREFIX))
        if parted is not None:
            pairs.setdefault(parted["module"], {})[parted["part"]] = tensor
        elif (whole := _weight_of(base, name.removeprefix(PREFIX))) is None:
            found.append(f"{name} is no LoRA weight, and the base model has none of that name")
        elif whole.shape != tensor.shape:
            found.append(f"{name} has shape {tensor.shape}, in the base model {whole.shape}")
    for module, parts in sorted(pairs.items()):
        found += _of_pair(module, parts, config, base)
    return found if pairs else [*found, f"{WEIGHTS} holds no LoRA weights"]


def _weight_of(base: ModelFolder, name: str) -> Tensor | None:
    """By its name, or by the one under the model's own prefix: folders of bare models leave that out."""
    names = (name, name.removeprefix("model."), f"model.{name}", f"transformer.{name}")
    return next((base.tensors[one] for one in names if one in base.tensors), None)


def _of_pair(module: str, parts: dict[str, Tensor], config: LoraConfig, base: ModelFolder) -> list[str]:
    if not {"lora_A", "lora_B"} <= parts.keys():
        return [f"{module} has no pair of lora_A and lora_B"]
    weight = _weight_of(base, f"{module}.weight")
    if weight is None:
        return [f"the base model has no module {module}"]
    inward, outward = parts["lora_A"].shape, parts["lora_B"].shape
    if len(inward) != 2 or len(outward) != 2 or len(weight.shape) != 2:
        return [f"{module} is of a kind that is not known here: its weights have shapes {inward}, {outward}"]
    wide = weight.shape[::-1] if config.fan_in_fan_out else weight.shape
    if (outward[0], inward[1]) != wide:
        return [f"{module} is for weights of shape {(outward[0], inward[1])}, the base model's are {wide}"]
    if inward[0] != outward[1]:
        return [f"{module} has ranks {inward[0]} and {outward[1]}"]
    if not config.rank_pattern and inward[0] != config.r:
        return [f"{module} has rank {inward[0]}, {CONFIG} says {config.r}"]
    return []
