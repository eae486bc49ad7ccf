"""The rim to torch's exporter: a module and one example of its inputs, as a file that onnxruntime runs.

Knows how sizes that vary are told to it, and that weights beyond a protobuf's limit stand beside the graph.
"""

import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from ..failures import WorkerFailure
from ..onnx_models.manifest import GRAPH

if TYPE_CHECKING:
    from torch import Tensor, nn

OPSET = 20
"""The newest that this exporter translates without converting versions afterwards; tried with onnxruntime 1.30."""

BESIDE_FROM = 1 << 30
"""Bytes of weights from which they stand in a file of their own. A protobuf holds 2 GiB at most (protobuf.dev,
"Total Size of the Message"), and a graph is read whole.
"""

Sizes = Mapping[int, str]
"""Axis -> name of the size that varies."""


class _Described(Protocol):
    metadata_props: dict[str, str]


class _Graph(_Described, Protocol):
    def all_nodes(self) -> Iterable[_Described]: ...


class _Model(_Described, Protocol):
    graph: _Graph


class _Program(Protocol):
    model: _Model

    def save(self, destination: str, *, external_data: bool) -> None: ...


def write(
    module: "nn.Module",
    example: "Mapping[str, Tensor]",
    *,
    outputs: Sequence[str],
    sizes: Mapping[str, Sizes],
    folder: Path,
    opset: int,
) -> None:
    """Raises WorkerFailure unsupported for a model that cannot be traced.

    example: input name -> tensor, in the order of the module's `forward`. Its sizes are what varies: 2 or more each.
    """
    import torch

    dims = {name: {axis: _size(called) for axis, called in axes.items()} for name, axes in sizes.items()}
    shapes = tuple(dims[name] for name in example)
    try:
        with torch.no_grad(), _quiet():
            program = torch.onnx.export(
                module.eval(),
                tuple(example.values()),
                dynamo=True,
                dynamic_shapes={"inputs": shapes},
                input_names=list(example),
                output_names=list(outputs),
                opset_version=opset,
                verbose=False,
            )
    except (import_module("torch.onnx").errors.OnnxExporterError, RuntimeError, TypeError, ValueError) as broken:
        reason = " ".join(str(broken).split())[:600]
        raise WorkerFailure("unsupported", f"this model cannot be written as ONNX: {reason}") from broken
    weights = sum(one.numel() * one.element_size() for one in module.parameters())
    made = cast(_Program, program)
    _forget_origin(made.model)
    made.save(str(folder / GRAPH), external_data=weights >= BESIDE_FROM)


def _forget_origin(model: _Model) -> None:
    """The exporter writes to each node which line of which file it is from: folders of this machine."""
    for part in (model, model.graph, *model.graph.all_nodes()):
        part.metadata_props.clear()


def _size(called: str) -> object:
    """`auto`: the exporter works it out of the others."""
    import torch

    return torch.export.Dim.DYNAMIC if called == "auto" else torch.export.Dim(called)


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of every part that it could also translate, and of each name that it uses twice."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    log.setLevel(level)
