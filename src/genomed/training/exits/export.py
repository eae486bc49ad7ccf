"""The errand `export`: a layer, merged into its base, as an ONNX graph with everything that asking it needs.

It is verified where it was written, and only then given its name: a folder that failed is removed, and nothing stands.
"""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple, Protocol, cast

from .. import layer_files
from ..attempt import peak_memory
from ..errand import Errand
from ..onnx_models import manifest
from ..onnx_models.manifest import ExportManifest
from . import onnx_graph
from .options import ExportOptions

OF_KIND = {
    "causal": "causal_export",
    "encoder": "encoder_export",
    "reranker": "encoder_export",
    "projection": "projection_export",
}
"""Kind -> module with `export(errand, options, folder)`."""

LIBRARIES = ("torch", "transformers", "peft", "sentence-transformers", "onnx", "onnxscript", "onnxruntime")


class Exported(NamedTuple):
    """What a kind's module wrote beside the graph, and what it measured."""

    manifest: ExportManifest
    verification: Mapping[str, object]
    parameters: int


class Program(Protocol):
    def export(self, errand: Errand, options: ExportOptions, folder: Path) -> Exported: ...


def carry_out(errand: Errand) -> None:
    """Raises WorkerFailure, errand.Cancelled, or whatever an engine raises."""
    options = errand.options(ExportOptions)
    with unpublished(errand.result) as folder:
        facts = write(errand, options, folder)
        errand.phase("saving")
        files = layer_files.put(folder, errand.result)
    errand.finish(files=files, facts=facts)


def write(errand: Errand, options: ExportOptions, folder: Path) -> dict[str, object]:
    """A verified export in `folder`, export.json with it; what it came to."""
    began = time.monotonic()
    program = cast(Program, import_module(f".{OF_KIND[options.source.kind]}", __package__))
    done = program.export(errand, options, folder)
    facts: dict[str, object] = {
        "kind": done.manifest.kind,
        "opset": done.manifest.opset,
        "parameters": done.parameters,
        "sizeBytes": size_of(folder),
        "verification": dict(done.verification),
        "seconds": time.monotonic() - began,
        "peakMemoryBytes": peak_memory(),
        "versions": versions(),
    }
    manifest.write(folder, done.manifest, facts)
    return facts


def opset_of(options: ExportOptions) -> int:
    return options.opset or onnx_graph.OPSET


@contextmanager
def unpublished(result: Path) -> Iterator[Path]:
    """A folder to write in, gone unless it was given its name."""
    folder = layer_files.begun(result)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def size_of(folder: Path) -> int:
    """Of the graph and its weights, in bytes."""
    return sum(path.stat().st_size for path in folder.glob(f"{manifest.GRAPH}*"))


def versions() -> dict[str, str]:
    return {name: there for name in LIBRARIES if (there := _version(name))}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
