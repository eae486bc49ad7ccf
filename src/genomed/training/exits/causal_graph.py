"""A causal language model as one graph that reads prompts and goes on from a cache.

Inputs: input_ids, attention_mask (tokens before and now), position_ids, and keys and values of every layer; outputs:
logits, and keys and values with the new tokens. With a cache of no token it reads a prompt.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from ..engine import Model
from ..failures import WorkerFailure
from ..onnx_models.manifest import Cache
from . import onnx_graph

if TYPE_CHECKING:
    from torch import Tensor, nn

EXAMPLE = (2, 3, 5)
"""Rows, tokens now and tokens before, of what is traced: all different, and none 0 or 1, which the exporter fixes."""


class _Layer(Protocol):
    keys: "Tensor"
    values: "Tensor"


class _Held(Protocol):
    layers: list[_Layer]

    def update(self, keys: "Tensor", values: "Tensor", layer: int) -> object: ...


class _Output(Protocol):
    logits: "Tensor"
    past_key_values: _Held


def wrapped(model: Model) -> "nn.Module":
    """`model` with its cache as plain tensors, in and out."""
    from torch import nn

    empty = import_module("transformers").DynamicCache

    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = cast(nn.Module, model)

        def forward(self, *inputs: "Tensor") -> "tuple[Tensor, ...]":
            ids, mask, positions, *past = inputs
            held = cast(_Held, empty())
            for layer in range(len(past) // 2):
                held.update(past[2 * layer], past[2 * layer + 1], layer)
            said = self.model(
                input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=held, use_cache=True
            )
            return (said.logits, *(part for layer in held.layers for part in (layer.keys, layer.values)))

    return Flat().eval()


def cache_of(model: Model) -> Cache:
    """As the model itself fills one. Raises WorkerFailure unsupported for a cache of another kind."""
    import torch

    with torch.no_grad():
        said = cast(_Output, model(input_ids=torch.zeros((1, 2), dtype=torch.int64), use_cache=True))
    held = getattr(said.past_key_values, "layers", None)
    if not held:
        raise WorkerFailure("unsupported", "the model keeps no cache of keys and values per layer, which export needs")
    shapes = {(tuple(one.keys.shape), tuple(one.values.shape)) for one in cast(list[_Layer], held)}
    keys, values = shapes.pop()
    if shapes or len(keys) != 4 or keys[:3] != values[:3]:
        raise WorkerFailure("unsupported", "the layers of this model keep caches of several shapes")
    return Cache(layers=len(held), heads=keys[1], key_width=keys[3], value_width=values[3])


def names(cache: Cache) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of inputs and outputs."""
    parts = [f"{layer}.{kind}" for layer in range(cache.layers) for kind in ("key", "value")]
    inputs = ("input_ids", "attention_mask", "position_ids", *(f"past.{part}" for part in parts))
    return inputs, ("logits", *(f"present.{part}" for part in parts))


def write(model: Model, cache: Cache, folder: Path, *, opset: int) -> None:
    """Raises WorkerFailure unsupported."""
    import torch

    inputs, outputs = names(cache)
    rows, now, before = EXAMPLE
    example = {
        "input_ids": torch.zeros((rows, now), dtype=torch.int64),
        "attention_mask": torch.ones((rows, before + now), dtype=torch.int64),
        "position_ids": torch.arange(before, before + now).expand(rows, now).contiguous(),
    }
    sizes: dict[str, onnx_graph.Sizes] = {
        "input_ids": {0: "batch", 1: "sequence"},
        "attention_mask": {0: "batch", 1: "auto"},
        "position_ids": {0: "batch", 1: "sequence"},
    }
    for name in inputs[3:]:
        width = cache.key_width if name.endswith(".key") else cache.value_width
        example[name] = torch.zeros((rows, cache.heads, before, width))
        sizes[name] = {0: "batch", 2: "past"}
    onnx_graph.write(wrapped(model), example, outputs=outputs, sizes=sizes, folder=folder, opset=opset)
