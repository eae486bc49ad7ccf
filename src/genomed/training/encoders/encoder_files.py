"""The encoder on disk and the weights in it: what is loaded to start from, what LoRA is put on, what comes out.

A LoRA result is a plain PEFT folder; a full one is a folder of sentence-transformers. Safetensors only, in and out.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from .. import trust
from ..failures import WorkerFailure, unsupported
from ..hardware import Hardware
from ..layer_files import begun, put
from ..model import LAYER_CONFIG, LAYER_WEIGHTS, layer_config, refuse_unsafe
from ..settings import module_names
from ..specification import Lora, Specification
from . import library
from .library import Kind, Modules

if TYPE_CHECKING:
    from torch import Tensor

TRAINED = "trained.safetensors"
"""In a checkpoint: every weight that training changes."""

NAME = "default"
IN_LAYER = "base_model.model."
"""What PEFT writes before the names of a transformer's parts."""

MAGNITUDE = ".lora_magnitude_vector"

SKIPPED = ("pooler", "classifier", "score")
"""Parts of a transformer that LoRA is not put on: the first is not used for vectors, the others are trained whole."""


def check_files(spec: Specification) -> None:
    """Of everything that will be loaded, before the library sees any of it."""
    baseline = spec.judge.baseline_layer if spec.judge else None
    for layer in {spec.init_layer, baseline} - {None}:
        trust.check_layer(Path(str(layer)), base_model=spec.base_model)
    if Path(spec.base_model).is_dir():
        refuse_unsafe(Path(spec.base_model))
        trust.check_modules(Path(spec.base_model))


def load(spec: Specification, kind: Kind, hardware: Hardware, *, layer: str | None = None) -> Modules:
    """The base model, with a layer that is only looked at, or whole as the layer. Raises WorkerFailure."""
    whole = layer is not None and not _is_lora(layer)
    model = _load(str(layer) if whole else spec.base_model, spec, kind, hardware)
    if layer is not None and not whole:
        _attach(model, layer, trainable=False)
    return model


def _is_lora(layer: str) -> bool:
    return (Path(layer) / LAYER_CONFIG).exists()


def _load(source: str, spec: Specification, kind: Kind, hardware: Hardware) -> Modules:
    local = Path(source).is_dir()
    if local:
        trust.check_modules(Path(source))
    options = {
        "revision": None if local else spec.revision,
        "local_files_only": spec.offline or local,
        "device": hardware.device.kind,
    }
    opened = library.load_encoder if kind == "embedding" else library.load_scorer
    try:
        model: Modules = opened(source, **options)
    except (OSError, ValueError, ImportError, RuntimeError) as broken:
        raise WorkerFailure("invalid_request", f"the base model {source} cannot be loaded: {broken}") from broken
    limit, asked = model.max_seq_length, spec.schedule.sequence_length
    model.max_seq_length = asked if limit is None else min(asked, limit)
    return model


def _attach(model: Modules, layer: str, *, trainable: bool) -> None:
    try:
        model.load_adapter(layer, adapter_name=NAME, is_trainable=trainable)
    except (RuntimeError, ValueError, OSError, KeyError) as broken:
        raise WorkerFailure("invalid_request", f"the layer {layer} does not fit the base model: {broken}") from broken
    _put_missed(model, Path(layer))


def _put_missed(model: Modules, layer: Path) -> None:
    """Heads that were trained whole and the magnitudes of DoRA: transformers 5.17 looks for them under names that PEFT
    does not write, and begins them anew without failing. Raises WorkerFailure.
    """
    import torch

    config, into = layer_config(layer), dict(cast(Modules, model.transformers_model).named_parameters())
    tops = tuple(f"{head}." for head in heads(model)) if config.get("modules_to_save") else ()
    found = dict[str, "Tensor"]()
    for written, value in library.load_tensors(layer / LAYER_WEIGHTS).items():
        name = written.removeprefix(IN_LAYER)
        if name.startswith(tops):
            head, _, part = name.partition(".")
            found[f"{head}.modules_to_save.{NAME}.{part}"] = value
        elif name.endswith(MAGNITUDE):
            found[f"{name}.{NAME}.weight"] = value
    if found.keys() != {name for name in into if f".modules_to_save.{NAME}." in name or f"{MAGNITUDE}.{NAME}." in name}:
        raise WorkerFailure("invalid_request", f"the layer {layer} does not fit the base model's heads or directions")
    with torch.no_grad():
        for name, value in found.items():
            into[name].copy_(value)


def start(spec: Specification, kind: Kind, hardware: Hardware) -> Modules:
    """The model to train, the layer to train on it included."""
    lora, layer = spec.method.lora, spec.init_layer
    if lora is None:
        if layer is not None and _is_lora(layer):
            reason = "full training cannot go on from a LoRA layer"
            raise unsupported("initLayer", layer, reason, remedy="use lora, or start from the base model")
        return load(spec, kind, hardware, layer=layer)
    model = load(spec, kind, hardware)
    if layer is not None:
        _demand_same_shape(layer_config(Path(layer)), lora)
        _attach(model, layer, trainable=True)
    else:
        _put_lora(model, kind, lora)
    return model


def _demand_same_shape(config: Mapping[str, object], lora: Lora) -> None:
    for field, held, asked in (
        ("rank", config.get("r"), lora.rank),
        ("alpha", config.get("lora_alpha"), lora.alpha),
        ("dropout", config.get("lora_dropout"), lora.dropout),
    ):
        if held != asked:
            reason = f"the layer to go on from has {held!r}"
            raise unsupported(f"method.loraConfig.{field}", asked, reason, remedy="ask for the layer's own value")


def _put_lora(model: Modules, kind: Kind, lora: Lora) -> None:
    wanted = module_names(lora.trainable_modules)
    there = [name for name in library.linear_names(model) if not set(name.split(".")) & {*SKIPPED}]
    chosen = there if wanted == ["all-linear"] else _named(there, wanted)
    config = library.lora_config(
        kind,
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        use_dora=lora.dora,
        use_rslora=lora.rs_lora,
        target_modules=chosen,
        modules_to_save=None if kind == "embedding" else heads(model),
    )
    try:
        model.add_adapter(config, adapter_name=NAME)
    except (ValueError, TypeError) as refused:
        raise WorkerFailure("unsupported", f"LoRA cannot be put on the base model: {refused}") from refused


def _named(there: list[str], wanted: list[str]) -> list[str]:
    missing = [one for one in wanted if not any(name == one or name.endswith(f".{one}") for name in there)]
    if missing or not wanted:
        ends = ", ".join(sorted({name.rpartition(".")[2] for name in there}))
        reason = f"the base model has no module {', '.join(missing) or 'of no name'}; it has {ends}"
        raise unsupported("method.loraConfig.trainableModules", ",".join(wanted), reason, remedy="all-linear")
    return [name for name in there if any(name == one or name.endswith(f".{one}") for one in wanted)]


def heads(model: Modules) -> list[str]:
    """The part of a reranker that makes a score of what the transformer says, by its name in the transformer."""
    inner = cast(Modules, model.transformers_model)
    tops = {name.partition(".")[0] for name, _ in inner.named_modules()}
    found = sorted(tops & {"classifier", "score"})
    if not found:
        raise WorkerFailure("unsupported", "the base model has no head that LoRA training could know by its name")
    return found


def save_trained(model: Modules, folder: Path) -> None:
    held = {name: value.detach().contiguous() for name, value in model.named_parameters() if value.requires_grad}
    library.save_tensors(held, folder / TRAINED)


def restore_trained(model: Modules, folder: Path) -> None:
    """Raises WorkerFailure for weights of another model."""
    import torch

    held = library.load_tensors(folder / TRAINED)
    into = {name: value for name, value in model.named_parameters() if value.requires_grad}
    if held.keys() != into.keys():
        raise WorkerFailure("invalid_request", f"{folder} holds the weights of another model")
    with torch.no_grad():
        for name, value in into.items():
            value.copy_(held[name])


def publish(model: Modules, result: Path, *, lora: bool) -> dict[str, str]:
    """Name -> sha256 of the result's files."""
    beside = begun(result)
    if lora:
        model.transformers_model.save_pretrained(str(beside))
    else:
        model.save_pretrained(str(beside), create_model_card=False, safe_serialization=True)
    (beside / "README.md").unlink(missing_ok=True)
    return put(beside, result)


def layers_adapted(model: Modules) -> int:
    return sum(name.endswith(f".lora_A.{NAME}") for name, _ in model.named_modules())


def trainable_parameters(model: Modules) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def is_untouched(model: Modules) -> bool:
    """Whether every LoRA product is still zero, as it is before the first step."""
    tops = [parameter for name, parameter in model.named_parameters() if f".lora_B.{NAME}" in name]
    return not any(bool(parameter.detach().any()) for parameter in tops)
