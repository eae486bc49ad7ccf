"""A projection, exported: the perceptron alone."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

from .. import trust
from ..errand import Errand
from ..failures import WorkerFailure
from ..onnx_models import manifest
from ..onnx_models.manifest import ExportManifest
from ..projection import perceptron
from . import number_verification, onnx_graph, sources, verification
from .export import Exported, opset_of
from .options import ExportOptions

if TYPE_CHECKING:
    from torch import Tensor, nn


def export(errand: Errand, options: ExportOptions, folder: Path) -> Exported:
    """Raises WorkerFailure."""
    import torch

    errand.phase("loading")
    if len(options.source.layers) != 1:
        raise WorkerFailure("invalid_request", f"a projection is one layer, not {len(options.source.layers)}")
    layer = Path(options.source.layers[0])
    trust.check_layer(layer, base_model=options.source.base_model)
    shape, model = perceptron.load(layer)
    described = ExportManifest(
        format=manifest.FORMAT,
        kind="projection",
        opset=opset_of(options),
        inputs=("vectors",),
        outputs=("projected",),
        dtype="float32",
        base_model=options.source.base_model,
        fingerprint=sources.base_fingerprint(options.source),
        layers=sources.fingerprints(options.source),
        width=shape.widths[-1],
    )
    errand.phase("exporting")
    example = {"vectors": torch.zeros((2, shape.widths[0]))}
    onnx_graph.write(
        _wrapped(model), example, outputs=described.outputs, sizes={"vectors": {0: "batch"}}, folder=folder,
        opset=described.opset,
    )  # fmt: skip
    (folder / perceptron.SHAPE).write_bytes((layer / perceptron.SHAPE).read_bytes())
    manifest.write(folder, described, {})
    errand.phase("verifying")
    tolerance = options.tolerance or verification.TOLERANCE
    found = number_verification.verify_projection(model, shape.widths[0], folder, tolerance, errand.pause)
    return Exported(described, found, perceptron.numbers_of(model))


def _wrapped(model: "nn.Module") -> "nn.Module":
    from torch import nn

    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.held = model

        def forward(self, *inputs: "Tensor") -> "Tensor":
            (vectors,) = inputs
            return cast("Tensor", self.held(vectors))

    return Flat().eval()
