"""export.json: what an exported folder says of itself. Read strictly but for `facts`, which are for people."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from ..failures import WorkerFailure
from ..strict import Problems, read, wire_name

NAME, GRAPH = "export.json", "model.onnx"
FORMAT = 1

Kind = Literal["causal", "encoder", "reranker", "projection"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cache:
    """Of each layer: keys (batch, heads, tokens, key_width) and values (batch, heads, tokens, value_width).

    Inputs `past.N.key` and `past.N.value`, outputs `present.N.key` and `present.N.value`.
    """

    layers: int
    heads: int
    key_width: int
    value_width: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportManifest:
    """inputs, outputs: of the graph, in order. dtype: of its weights, apart from what is quantised.

    stops, pad: token ids. positions: tokens that can be told apart by place. longest: tokens that a text is cut to.
    width: numbers of an embedding, or of what a projection gives; dimensions: shorter ones it was trained to be cut to.
    prompt: what stands before each text that is embedded. layers: sha256 of their manifests ("" where there is none).
    fingerprint: of the base model.
    """

    format: int
    kind: Kind
    opset: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    dtype: Literal["float32"]
    base_model: str
    fingerprint: str | None
    layers: tuple[str, ...]
    quantization: Literal["int8_dynamic", "int8_dynamic_per_channel"] | None = None
    cache: Cache | None = None
    stops: tuple[int, ...] = ()
    pad: int | None = None
    positions: int | None = None
    longest: int | None = None
    width: int | None = None
    dimensions: tuple[int, ...] = ()
    prompt: str = ""


def write(folder: Path, manifest: ExportManifest, facts: Mapping[str, object]) -> None:
    document = {**_wire(asdict(manifest)), "facts": dict(facts)}
    (folder / NAME).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _wire(fields: Mapping[str, object]) -> dict[str, object]:
    return {wire_name(name): _wire(value) if isinstance(value, dict) else value for name, value in fields.items()}


def manifest_in(folder: Path) -> ExportManifest:
    """Raises WorkerFailure invalid_request for a folder that no export made."""
    try:
        document = json.loads((folder / NAME).read_bytes())
        document.pop("facts", None)
        manifest = read(ExportManifest, document)
    except (OSError, ValueError, AttributeError, Problems) as wrong:
        raise WorkerFailure("invalid_request", f"{folder} is no exported layer: {wrong}") from None
    if manifest.format != FORMAT:
        raise WorkerFailure("unsupported", f"{folder} is of format {manifest.format}, this worker reads {FORMAT}")
    return manifest


def demand(folder: Path, kind: Kind) -> ExportManifest:
    manifest = manifest_in(folder)
    if manifest.kind != kind:
        raise WorkerFailure("unsupported", f"{folder} is an exported {manifest.kind}, wanted a {kind}")
    return manifest
