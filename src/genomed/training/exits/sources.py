"""What an exit starts from: the base model with its layers, opened safely, in fp32 on the CPU.

A LoRA is looked at on its base before it is merged into it, so that whoever merges can say what the merging changed.
A layer that is a whole model stands alone. Safetensors only, no remote code.
"""

import json
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from .. import engine, model, trust
from ..encoders import library
from ..encoders.library import Modules
from ..engine import Model, Tokenizer
from ..failures import WorkerFailure
from ..layer_files import file_hash
from .options import Source

if TYPE_CHECKING:
    from torch import Tensor

BROKEN = (OSError, ValueError, ImportError, RuntimeError, KeyError)


class Merged(NamedTuple):
    """One layer put on and merged: what the model said with the layer on it, and after it was one with its base."""

    layer: str
    before: "Tensor"
    after: "Tensor"


class Place(NamedTuple):
    """weights: a folder or a hub id. layers: the LoRA folders that go on it."""

    weights: str
    layers: tuple[Path, ...]
    origin: dict[str, object]


def place_of(source: Source, *, offline: bool) -> Place:
    """Every file of it is checked before any library opens one. Raises WorkerFailure."""
    folders = [Path(layer) for layer in source.layers]
    for folder in folders:
        if not folder.is_dir():
            raise WorkerFailure("invalid_request", f"there is no layer at {folder}")
        trust.check_layer(folder, base_model=source.base_model)
    whole = [folder for folder in folders if not model.is_lora(folder)]
    if whole and whole != folders[:1]:
        reason = f"{whole[-1]} is a whole model: it can be the first layer only"
        raise WorkerFailure("invalid_request", reason)
    weights = str(whole[0]) if whole else source.base_model
    local = Path(weights).is_dir()
    if local:
        model.refuse_unsafe(Path(weights))
        trust.check_modules(Path(weights))
    for folder in folders[len(whole) :]:
        model.layer_config(folder)
    revision = None if local else source.revision
    return Place(weights, tuple(folders[len(whole) :]), {"revision": revision, "local_files_only": offline or local})


def fingerprints(source: Source) -> tuple[str, ...]:
    """Of each layer: the sha256 of its manifest, or "" where there is none."""
    manifests = [Path(layer) / trust.MANIFEST for layer in source.layers]
    return tuple(file_hash(path) if path.exists() else "" for path in manifests)


def base_fingerprint(source: Source) -> str | None:
    """As asked, or as the first layer's manifest tells it."""
    if source.fingerprint is not None or not source.layers:
        return source.fingerprint
    path = Path(source.layers[0]) / trust.MANIFEST
    told = json.loads(path.read_bytes()).get("baseModel") if path.exists() else None
    found = told.get("fingerprint") if isinstance(told, dict) else None
    return found if isinstance(found, str) else None


def causal(place: Place) -> tuple[Model, Tokenizer]:
    """The base alone, with the tokenizer of the last layer that has one of its own."""
    import torch

    origin = {**place.origin, "trust_remote_code": False}
    opened = model.load_weights(place.weights, dtype=torch.float32, **origin)
    opened.eval()
    own = [str(folder) for folder in place.layers if (folder / "tokenizer.json").exists()]
    named = own[-1] if own else place.weights
    try:
        tokenizer = engine.load_tokenizer(named, **({"trust_remote_code": False} if own else origin))
    except BROKEN as broken:
        raise WorkerFailure("invalid_request", f"the tokenizer of {named} cannot be loaded: {broken}") from broken
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return opened, tokenizer


def merge_causal(
    opened: Model, layers: Sequence[Path], probe: "Callable[[Model], Tensor]"
) -> tuple[Model, list[Merged]]:
    """The base with every layer in it."""
    told: list[Merged] = []
    for folder in layers:
        layered = model.attach_layer(opened, folder, trainable=False)
        layered.eval()
        before = probe(layered)
        opened = cast(_Mergeable, layered).merge_and_unload(safe_merge=True)
        engine.forget_lora(opened)
        opened.eval()
        told.append(Merged(folder.name, before, probe(opened)))
    return opened, told


class _Mergeable(Protocol):
    def merge_and_unload(self, *, safe_merge: bool) -> Model:
        """safe_merge: peft refuses a sum that is not a number."""
        ...


def encoder(place: Place, kind: library.Kind) -> Modules:
    opened = library.load_encoder if kind == "embedding" else library.load_scorer
    try:
        made: Modules = opened(place.weights, **place.origin, device="cpu")
    except BROKEN as broken:
        raise WorkerFailure("invalid_request", f"the model {place.weights} cannot be loaded: {broken}") from broken
    import torch

    made.to(torch.float32)
    made.train(False)
    return made


def merge_encoder(opened: Modules, layers: Sequence[Path], probe: "Callable[[Modules], Tensor]") -> list[Merged]:
    """In place: the transformer within the modules stays the same object, and its own layers come back changed."""
    told: list[Merged] = []
    for folder in layers:
        inner = cast(Model, opened.transformers_model)
        layered = model.attach_layer(inner, folder, trainable=False)
        opened.train(False)
        before = probe(opened)
        cast(_Mergeable, layered).merge_and_unload(safe_merge=True)
        engine.forget_lora(inner)
        told.append(Merged(folder.name, before, probe(opened)))
    return told


def release() -> None:
    """Gives back the memory of a model that nobody holds any more, before the next one is opened."""
    import_module("gc").collect()
