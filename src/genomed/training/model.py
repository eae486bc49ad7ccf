"""The base model and the layer to train on it: loaded without running anything that came with the weights.

Safetensors only, no remote code, no network for an offline job. Knows how precision and method decide a dtype.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from . import engine, trust
from .engine import Model, Tokenizer
from .failures import WorkerFailure, unsupported
from .hardware import Hardware
from .settings import Settings, module_names
from .specification import Lora, Specification

if TYPE_CHECKING:
    import torch

LAYER_CONFIG = "adapter_config.json"
LAYER_WEIGHTS = "adapter_model.safetensors"
CONTINUED_AS = {"dora": "metadata.useDora", "rsLora": "metadata.useRslora"}
"""Where a job asks for what is no part of the universal LoRA settings."""


def source_of(spec: Specification) -> str:
    """Where the weights to start from lie: full training goes on from a full layer, LoRA sits on top of the base."""
    if spec.method.type == "full" and spec.init_layer is not None:
        if is_lora(Path(spec.init_layer)):
            reason = "full training cannot go on from a LoRA layer"
            raise unsupported("initLayer", spec.init_layer, reason, remedy="use lora, or start from the base model")
        return spec.init_layer
    return spec.base_model


def is_lora(folder: Path) -> bool:
    return (folder / LAYER_CONFIG).exists()


def load_tokenizer(spec: Specification) -> Tokenizer:
    source = source_of(spec)
    try:
        tokenizer = engine.load_tokenizer(source, **_origin(spec, source))
    except (OSError, ValueError, ImportError) as broken:
        raise WorkerFailure("invalid_request", f"the tokenizer of {source} cannot be loaded: {broken}") from broken
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def positions(spec: Specification) -> int | None:
    """How many tokens the base model can tell apart by place; None where its configuration does not say."""
    source = source_of(spec)
    try:
        return engine.positions(source, **_origin(spec, source))
    except (OSError, ValueError) as broken:
        raise WorkerFailure("invalid_request", f"the configuration of {source} cannot be read: {broken}") from broken


def load_base(spec: Specification, settings: Settings, hardware: Hardware) -> Model:
    """Raises WorkerFailure for weights that are missing, pickled, or need code of their own."""
    import torch

    source = source_of(spec)
    dtype = dtype_of(spec, settings.precision)
    options: dict[str, object] = {"dtype": dtype, "attn_implementation": settings.features.attention}
    if spec.method.type == "qlora":
        options |= {"quantization_config": engine.four_bit_config(dtype), "device_map": {"": 0}}
    model = load_weights(source, **options, **_origin(spec, source))
    if spec.method.type == "qlora":
        return engine.prepare_four_bit(model, gradient_checkpointing=settings.features.gradient_checkpointing)
    model.to(torch.device(hardware.device.kind))
    return model


def load_weights(source: str, **options: object) -> Model:
    if Path(source).is_dir():
        refuse_unsafe(Path(source))
    try:
        return engine.load_model(source, use_safetensors=True, **options)
    except (OSError, ValueError, ImportError) as broken:
        raise WorkerFailure("invalid_request", f"the base model {source} cannot be loaded: {broken}") from broken


def refuse_unsafe(folder: Path) -> None:
    """A pickle runs code when it is opened; config.json may name code to import. Neither is ever opened here."""
    if not any(folder.glob("*.safetensors")):
        pickled = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
        held = f"only pickled weights ({', '.join(pickled)})" if pickled else "no weights"
        raise WorkerFailure(
            "unsupported", f"{folder} holds {held}, wanted *.safetensors", remedy="convert them to safetensors"
        )
    if not (folder / "config.json").exists():
        raise WorkerFailure("invalid_request", f"{folder}/config.json is missing")
    trust.check_base(folder)


def check_files(spec: Specification) -> None:
    """Of everything that will be loaded, before an engine sees any of it, the tokenizer included."""
    for layer in {spec.init_layer, spec.judge.baseline_layer if spec.judge else None} - {None}:
        trust.check_layer(Path(str(layer)), base_model=spec.base_model)
    if Path(spec.base_model).is_dir():
        refuse_unsafe(Path(spec.base_model))


def _origin(spec: Specification, source: str) -> dict[str, object]:
    local = Path(source).is_dir()
    if not local and spec.offline and source.startswith(("/", ".")):
        raise WorkerFailure("invalid_request", f"there is no folder {source}")
    return {
        "revision": None if local else spec.revision,
        "local_files_only": spec.offline,
        "trust_remote_code": False,
    }


def dtype_of(spec: Specification, precision: str) -> "torch.dtype":
    """Full training keeps fp32 weights under mixed precision; frozen weights below a LoRA may be small themselves."""
    import torch

    if spec.method.type == "full":
        return torch.float32
    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]


def lora_config(model: Model, lora: Lora) -> object:
    """Raises WorkerFailure unsupported when a named module does not exist: peft minds only if none does."""
    names = module_names(lora.trainable_modules)
    if names != ["all-linear"]:
        present = [name for name, _ in model.named_modules()]
        missing = [name for name in names if not any(m == name or m.endswith(f".{name}") for m in present)]
        if missing or not names:
            raise unsupported(
                "method.loraConfig.trainableModules",
                lora.trainable_modules,
                f"the base model has no module {', '.join(missing) or 'of no name'}",
                remedy="all-linear, or names out of the model's own modules",
            )
    return engine.lora_config(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear" if names == ["all-linear"] else names,
        use_dora=lora.dora,
        use_rslora=lora.rs_lora,
    )


def lora_obstacle(spec: Specification, lora: Lora) -> str | None:
    """Why the LoRA finds no place in the base model; None if it does. Tried on the model without its weights."""
    source = source_of(spec)
    bare = engine.skeleton(source, **_origin(spec, source))
    try:
        layered = engine.put_lora(bare, lora_config(bare, lora))
    except WorkerFailure as refused:
        return str(refused)
    except ValueError as refused:
        return f"the engine cannot put the layer on: {refused}"
    return None if adapted_layers(layered) else "no module of the base model would carry it"


def continue_layer(model: Model, folder: Path, lora: Lora) -> Model:
    """A trained layer as the trainable start. Its shape is fixed, so a wish for another one is refused."""
    if not is_lora(folder) and (folder / "config.json").exists():
        reason = "a LoRA cannot go on from a whole model"
        raise unsupported("initLayer", str(folder), reason, remedy="use full training, or start from the base model")
    config = layer_config(folder)
    for field, held, asked in (
        ("rank", config.get("r"), lora.rank),
        ("alpha", config.get("lora_alpha"), lora.alpha),
        ("dropout", config.get("lora_dropout"), lora.dropout),
        ("dora", config.get("use_dora", False), lora.dora),
        ("rsLora", config.get("use_rslora", False), lora.rs_lora),
    ):
        if held != asked:
            reason = f"the layer to go on from has {held!r}"
            wire = CONTINUED_AS.get(field, f"method.loraConfig.{field}")
            raise unsupported(wire, asked, reason, remedy="ask for the layer's own value")
    return attach_layer(model, folder, trainable=True)


def attach_layer(model: Model, folder: Path, *, trainable: bool) -> engine.LoraModel:
    try:
        return engine.load_lora(model, folder, trainable=trainable)
    except (RuntimeError, ValueError, OSError, KeyError) as broken:
        raise WorkerFailure("invalid_request", f"the layer {folder} does not fit the base model: {broken}") from broken


def layer_config(folder: Path) -> Mapping[str, object]:
    if not (folder / LAYER_WEIGHTS).exists():
        raise WorkerFailure("unsupported", f"{folder} holds no {LAYER_WEIGHTS}: pickled layers are refused")
    try:
        config = json.loads((folder / LAYER_CONFIG).read_bytes())
    except (OSError, ValueError) as broken:
        raise WorkerFailure("invalid_request", f"{folder}/{LAYER_CONFIG} cannot be read: {broken}") from None
    if not isinstance(config, dict):
        raise WorkerFailure("invalid_request", f"{folder}/{LAYER_CONFIG} is not an object")
    return config


def adapted_layers(model: Model) -> int:
    """How many modules carry the trainable layer. A reference copy of a preference run does not count."""
    return sum(name.endswith(".lora_A.default") for name, _ in model.named_modules())


def trainable_parameters(model: Model) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def is_untouched(model: Model) -> bool:
    """Whether every LoRA product is still zero, as it is before the first step."""
    tops = [parameter for name, parameter in model.named_parameters() if ".lora_B.default" in name]
    return not any(bool(parameter.detach().any()) for parameter in tops)


def restore(model: Model, checkpoint: Path, *, lora: bool) -> None:
    """The trained weights of a checkpoint, put into the model that is there. A frozen reference stays as it is."""
    try:
        if lora:
            engine.restore_lora(model, checkpoint / LAYER_WEIGHTS)
        else:
            engine.restore_whole(model, checkpoint)
    except (ValueError, RuntimeError, OSError) as broken:
        raise WorkerFailure("training_failed", f"{checkpoint.name} cannot be put back: {broken}") from broken


def detach(layered: engine.LoraModel) -> None:
    """Takes a layer off again; the base model below is as it was before it."""
    engine.forget_lora(layered.unload())
