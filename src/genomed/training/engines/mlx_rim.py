"""The rim to MLX and mlx-lm: loaded on first use, seen through narrow protocols. Also runs on Linux CPUs.

Source: mlx-lm 0.32, tuner/utils.py and tuner/lora.py: which layers it puts in place of which.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from ..engine import Tokenizer

Tree = object
"""Nested dicts and lists of arrays, as MLX keeps parameters and optimizer state."""


class Array(Protocol):
    shape: tuple[int, ...]
    T: "Array"

    def item(self) -> float: ...
    def tolist(self) -> list[int]: ...
    def astype(self, dtype: object) -> "Array": ...
    def sum(self) -> "Array": ...
    def __getitem__(self, key: object) -> "Array": ...
    def __add__(self, other: object) -> "Array": ...
    def __mul__(self, other: object) -> "Array": ...
    def __truediv__(self, other: object) -> "Array": ...


class MlxModel(Protocol):
    layers: Sequence[object]

    def __call__(self, ids: Array, cache: object = None) -> Array: ...
    def freeze(self) -> object: ...
    def unfreeze(self) -> object: ...
    def train(self, mode: bool = True) -> object: ...
    def eval(self) -> object: ...
    def trainable_parameters(self) -> Tree: ...
    def parameters(self) -> Tree: ...
    def update(self, parameters: Tree) -> object: ...
    def load_weights(self, weights: list[tuple[str, Array]], strict: bool = True) -> object: ...


class Optimizer(Protocol):
    state: Tree
    learning_rate: object

    def init(self, parameters: Tree) -> None: ...
    def update(self, model: MlxModel, gradients: Tree) -> object: ...


class Core(Protocol):
    """mlx.core."""

    float32: object
    int32: object
    random: "Randomness"

    def array(self, values: object, dtype: object = None) -> Array: ...
    def eval(self, *trees: object) -> None: ...
    def default_device(self) -> object: ...
    def get_peak_memory(self) -> int: ...
    def save_safetensors(self, path: str, arrays: Mapping[str, Array], metadata: object = None) -> None: ...
    def load(self, path: str) -> dict[str, Array]: ...
    def argmax(self, array: Array, axis: int) -> Array: ...
    def sqrt(self, array: object) -> Array: ...
    def minimum(self, left: object, right: object) -> Array: ...


class Randomness(Protocol):
    def seed(self, seed: int) -> None: ...


def core() -> Core:
    return cast(Core, import_module("mlx.core"))


def flat(tree: Tree) -> dict[str, Array]:
    return dict(import_module("mlx.utils").tree_flatten(tree))


def nested(arrays: Mapping[str, Array]) -> Tree:
    return cast(Tree, import_module("mlx.utils").tree_unflatten(list(arrays.items())))


def load(folder: Path) -> MlxModel:
    """Safetensors and a family that mlx-lm knows; code of the model's own is never run."""
    found, _ = import_module("mlx_lm.utils").load_model(folder, lazy=False, trust_remote_code=False)
    return cast(MlxModel, found)


def put_lora(
    model: MlxModel, *, rank: int, scale: float, dropout: float, keys: Sequence[str] | None, dora: bool
) -> None:
    """On every layer; keys: names within a layer, None for all that are linear."""
    tuner = import_module("mlx_lm.tuner.utils")
    options = {"rank": rank, "scale": scale, "dropout": dropout, **({} if keys is None else {"keys": set(keys)})}
    tuner.linear_to_lora_layers(model, len(model.layers), options, use_dora=dora)


def linear_names(model: MlxModel) -> list[str]:
    """Of the linear modules within one layer, by their places (`self_attn.q_proj`)."""
    linear = import_module("mlx.nn").Linear
    named = cast("Callable[[], list[tuple[str, object]]]", getattr(model.layers[0], "named_modules"))  # noqa: B009
    return sorted(name for name, module in named() if isinstance(module, linear))


def adamw(*, weight_decay: float) -> Optimizer:
    """The rate is set before each step. Bias correction as torch's AdamW has it."""
    made = import_module("mlx.optimizers").AdamW(learning_rate=0.0, weight_decay=weight_decay, bias_correction=True)
    return cast(Optimizer, made)


def value_and_grad(model: MlxModel, loss: Callable[..., object]) -> Callable[..., tuple[tuple[Array, Array], Tree]]:
    made = import_module("mlx.nn").value_and_grad(model, loss)
    return cast("Callable[..., tuple[tuple[Array, Array], Tree]]", made)


def token_losses(logits: Array, targets: Array) -> Array:
    return cast(Array, import_module("mlx.nn").losses.cross_entropy(logits, targets))


def clipped(gradients: Tree, norm: float) -> tuple[Tree, Array]:
    """The gradients scaled to at most `norm`, and their norm before."""
    return cast("tuple[Tree, Array]", import_module("mlx.optimizers").clip_grad_norm(gradients, norm))


def added(left: Tree, right: Tree) -> Tree:
    return cast(Tree, import_module("mlx.utils").tree_map(lambda a, b: a + b, left, right))


def scaled(tree: Tree, factor: float) -> Tree:
    return cast(Tree, import_module("mlx.utils").tree_map(lambda a: a * factor, tree))


def cache(model: MlxModel) -> object:
    return cast(object, import_module("mlx_lm.models.cache").make_prompt_cache(model))


def tokenizer(folder: Path) -> Tokenizer:
    found = import_module("transformers").AutoTokenizer.from_pretrained(
        str(folder), local_files_only=True, trust_remote_code=False
    )
    return cast(Tokenizer, found)
