"""The engine `peft` for layers that give numbers: encoders, rerankers and projections, each loaded whole.

An encoder is small, and its layers may have changed its head: each layer gets a model of its own instead of being
switched on in a shared one, as long as there is room among those that are kept.
"""

from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, cast

from .. import model, trust
from ..encoders import library
from ..encoders.library import Encoder as TextEncoder
from ..encoders.library import Modules, Scorer
from ..engine import Model
from ..failures import WorkerFailure
from ..hardware import look
from ..projection import perceptron
from .answering import Answers
from .asked import Asked, ServeSpec
from .engines import Encoder

if TYPE_CHECKING:
    from torch import Tensor

BROKEN = (RuntimeError, ValueError, OSError, KeyError, ImportError)


def made(spec: ServeSpec) -> Answers:
    """Raises WorkerFailure for a base model that cannot be loaded; it is loaded at once."""
    import torch

    if spec.threads is not None:
        torch.set_num_threads(spec.threads)
    kept = _Kept(spec)
    kept.of(None)
    return Answers(None, kept.of)


class _Kept:
    """Models by layer, the one asked last at the end."""

    def __init__(self, spec: ServeSpec) -> None:
        self._spec = spec
        self._models: OrderedDict[Path | None, Encoder] = OrderedDict()

    def of(self, layer: Path | None) -> Encoder:
        """Raises WorkerFailure."""
        if layer not in self._models:
            self._models[layer] = loaded(self._spec, layer)
        self._models.move_to_end(layer)
        while len(self._models) > self._spec.layers_at_most:
            self._models.popitem(last=False)
        return self._models[layer]


def loaded(spec: ServeSpec, layer: Path | None) -> Encoder:
    """Raises WorkerFailure."""
    folder = Path(spec.base_model)
    if spec.kind == "project":
        trust.check_layer(folder, base_model=spec.base_model)
        return Projection(folder)
    if folder.is_dir():
        model.refuse_unsafe(folder)
        trust.check_modules(folder)
    if layer is not None:
        if not layer.is_dir():
            raise WorkerFailure("invalid_request", f"there is no layer at {layer}")
        trust.check_layer(layer, base_model=spec.base_model)
        model.layer_config(layer)
    opened = library.load_encoder if spec.kind == "embed" else library.load_scorer
    local = folder.is_dir()
    options: dict[str, object] = {
        "revision": None if local else spec.revision,
        "local_files_only": spec.offline or local,
        "device": look().device.kind,
    }
    try:
        found: Modules = opened(spec.base_model, **options)
        if layer is not None:
            model.attach_layer(cast(Model, found.transformers_model), layer, trainable=False)
    except BROKEN as broken:
        what = f"the layer {layer}" if layer else f"the base model {spec.base_model}"
        raise WorkerFailure("invalid_request", f"{what} cannot be loaded: {broken}") from broken
    found.train(False)
    return Embedder(cast(TextEncoder, found)) if spec.kind == "embed" else Reranker(cast(Scorer, found))


class Embedder:
    """As the library encodes: prompts, pooling and normalisation are the model's own."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder

    def numbers(self, asked: Asked) -> dict[str, object]:
        found = self._encoder.encode(list(asked.texts), convert_to_tensor=True, show_progress_bar=False)
        return {"vectors": found.float().tolist()}


class Reranker:
    """As the library predicts: with one output, from 0 to 1."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    def numbers(self, asked: Asked) -> dict[str, object]:
        found = self._scorer.predict(list(asked.pairs), convert_to_tensor=True, show_progress_bar=False)
        return {"scores": found.float().flatten().tolist()}


class Projection:
    """A published projection, which is a model of its own."""

    def __init__(self, folder: Path) -> None:
        """Raises WorkerFailure."""
        shape, self._model = perceptron.load(folder)
        self._width = shape.widths[0]

    def numbers(self, asked: Asked) -> dict[str, object]:
        """Raises WorkerFailure for vectors of another width."""
        import torch

        wrong = sorted({len(one) for one in asked.vectors} - {self._width})
        if wrong:
            raise WorkerFailure("invalid_request", f"vectors have {wrong[0]} numbers, wanted {self._width}")
        with torch.inference_mode():
            found: Tensor = self._model(torch.tensor([list(one) for one in asked.vectors]))
        return {"vectors": found.tolist()}
