"""The perceptron itself, and the two files that it is on disk: projection.json and model.safetensors.

Knows its shape and its measure. Knows neither rows nor steps.
"""

import json
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

from ..failures import WorkerFailure
from ..strict import Problems, read

if TYPE_CHECKING:
    from torch import Tensor, nn

SHAPE, WEIGHTS = "projection.json", "model.safetensors"


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """projection.json. widths: of every layer, the first of what goes in. Between layers: LayerNorm, activation,
    dropout; after the last one only `output`. target_loss: 1 - mean cosine, below which it counts as good.
    """

    widths: tuple[int, ...]
    dropout: float
    target_loss: float
    activation: Literal["gelu"] = "gelu"
    output: Literal["tanh"] = "tanh"
    version: int = 1

    @property
    def document(self) -> dict[str, object]:
        return {
            "version": self.version,
            "widths": list(self.widths),
            "dropout": self.dropout,
            "activation": self.activation,
            "output": self.output,
            "targetLoss": self.target_loss,
        }


class _Safetensors(Protocol):
    def save_file(self, tensors: "dict[str, Tensor]", filename: str) -> None: ...
    def load_file(self, filename: str) -> "dict[str, Tensor]": ...


def _safetensors() -> _Safetensors:
    return cast(_Safetensors, import_module("safetensors.torch"))


def build(shape: Shape) -> "nn.Module":
    """With fresh weights, drawn from torch's generator as it stands."""
    from torch import nn

    layers: list[nn.Module] = []
    *inner, last = zip(shape.widths, shape.widths[1:], strict=False)
    for wide, narrow in inner:
        layers += [nn.Linear(wide, narrow), nn.LayerNorm(narrow), nn.GELU(), nn.Dropout(shape.dropout)]
    return nn.Sequential(*layers, nn.Linear(*last), nn.Tanh())


def cosine_loss(projected: "Tensor", target: "Tensor") -> "Tensor":
    """1 - mean cosine, over rows."""
    from torch.nn.functional import cosine_similarity

    return 1 - cosine_similarity(projected.float(), target, dim=-1).mean()


def numbers_of(model: "nn.Module") -> int:
    return sum(weight.numel() for weight in model.parameters())


def weights_of(model: "nn.Module") -> "dict[str, Tensor]":
    """A copy, in main memory."""
    return {name: weight.detach().to("cpu", copy=True).contiguous() for name, weight in model.state_dict().items()}


def write_weights(tensors: "dict[str, Tensor]", path: Path) -> None:
    _safetensors().save_file(tensors, str(path))


def read_weights(path: Path) -> "dict[str, Tensor]":
    return _safetensors().load_file(str(path))


def write(folder: Path, shape: Shape, tensors: "dict[str, Tensor]") -> None:
    write_weights(tensors, folder / WEIGHTS)
    (folder / SHAPE).write_text(json.dumps(shape.document, indent=1) + "\n", encoding="utf-8")


def shape_in(folder: Path) -> Shape:
    """Raises WorkerFailure invalid_request for a folder that is no projection."""
    try:
        shape = read(Shape, json.loads((folder / SHAPE).read_bytes()))
    except (OSError, ValueError, Problems) as wrong:
        raise WorkerFailure("invalid_request", f"{folder} is no projection: {wrong}") from None
    if len(shape.widths) < 2 or min(shape.widths) < 1:
        raise WorkerFailure("invalid_request", f"{folder} is no projection: widths {list(shape.widths)}")
    return shape


def load(folder: Path) -> "tuple[Shape, nn.Module]":
    """A published projection, not training. Raises WorkerFailure invalid_request."""
    shape = shape_in(folder)
    model = build(shape)
    try:
        model.load_state_dict(read_weights(folder / WEIGHTS))
    except (OSError, ValueError, RuntimeError, _format_error()) as wrong:
        raise WorkerFailure("invalid_request", f"{folder} is no projection: {wrong}") from None
    return shape, model.eval()


def _format_error() -> type[Exception]:
    """What safetensors raises for a file that is none."""
    return cast("type[Exception]", import_module("safetensors").SafetensorError)
