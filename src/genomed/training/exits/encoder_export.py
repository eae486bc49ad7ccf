"""Sentence encoders and rerankers, exported: all their modules in one graph, pooling and normalisation included.

A reranker's graph ends in the score that `CrossEncoder.predict` gives, its activation included.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from ..encoders.library import Encoder, Modules, Scorer
from ..engine import Tokenizer
from ..errand import Errand
from ..failures import WorkerFailure
from ..onnx_models import manifest
from ..onnx_models.manifest import ExportManifest
from . import number_verification, onnx_graph, sources, verification
from .export import Exported, opset_of
from .merging import no_probe
from .options import ExportOptions

if TYPE_CHECKING:
    from torch import Tensor, nn

EXAMPLE = (2, 7)
"""Rows and tokens of what is traced."""


class _Prompted(Protocol):
    prompts: dict[str, str]
    default_prompt_name: str | None


class _Scoring(Protocol):
    activation_fn: "Callable[[Tensor], Tensor] | None"
    num_labels: int


class _Reading(Protocol):
    def preprocess(self, inputs: object, *, prompt: str | None) -> Mapping[str, "Tensor"]: ...


class _Inner(Protocol):
    config: "_Settings"


class _Settings(Protocol):
    def save_pretrained(self, save_directory: str) -> None: ...


def export(errand: Errand, options: ExportOptions, folder: Path) -> Exported:
    """Raises WorkerFailure: unsupported for a model that cannot be written so, training_failed where it differs."""
    scores = options.source.kind == "reranker"
    errand.phase("loading")
    place = sources.place_of(options.source, offline=errand.order.offline)
    model = sources.encoder(place, "reranker" if scores else "embedding")
    errand.phase("merging")
    sources.merge_encoder(model, place.layers, no_probe)
    errand.phase("exporting")
    if scores and cast(_Scoring, model).num_labels != 1:
        raise WorkerFailure("unsupported", "a reranker with several scores for a pair is not exported")
    inputs = _inputs(model, scores=scores)
    described = _manifest(options, model, inputs, width=None if scores else _width(cast(Encoder, model)))
    _write_graph(model, described, folder)
    cast(_Inner, model.transformers_model).config.save_pretrained(str(folder))
    cast(Tokenizer, model.tokenizer).save_pretrained(str(folder))
    manifest.write(folder, described, {})
    errand.phase("verifying")
    tolerance = options.tolerance or verification.TOLERANCE
    if scores:
        found = number_verification.verify_reranker(cast(Scorer, model), folder, tolerance, errand.pause)
    else:
        found = number_verification.verify_encoder(cast(Encoder, model), folder, tolerance, errand.pause)
    return Exported(described, found, sum(one.numel() for one in model.parameters()))


def _inputs(model: Modules, *, scores: bool) -> tuple[str, ...]:
    """Names of what the model's own tokenizer gives it, in one order."""
    given = cast(_Reading, model).preprocess([("one", "two")] if scores else ["one"], prompt=None)
    known = ("input_ids", "attention_mask", "token_type_ids")
    found = tuple(name for name in known if name in given)
    if found[:2] != known[:2]:
        raise WorkerFailure("unsupported", f"the model reads {', '.join(given)}, wanted {known[0]} and {known[1]}")
    return found


def _width(model: Encoder) -> int:
    return int(model.encode(["one"], convert_to_tensor=True, show_progress_bar=False).shape[-1])


def _prompt(model: Modules) -> str:
    held = cast(_Prompted, model)
    return (held.prompts or {}).get(held.default_prompt_name or "", "")


def _manifest(options: ExportOptions, model: Modules, inputs: tuple[str, ...], *, width: int | None) -> ExportManifest:
    scores = options.source.kind == "reranker"
    if wrong := [one for one in options.dimensions if width is None or not 0 < one <= width]:
        raise WorkerFailure("invalid_request", f"dimensions {wrong}, wanted 1 to {width}")
    return ExportManifest(
        format=manifest.FORMAT,
        kind=options.source.kind,
        opset=opset_of(options),
        inputs=inputs,
        outputs=("pair_score",) if scores else ("sentence_embedding",),
        dtype="float32",
        base_model=options.source.base_model,
        fingerprint=sources.base_fingerprint(options.source),
        layers=sources.fingerprints(options.source),
        pad=cast(Tokenizer, model.tokenizer).pad_token_id,
        longest=model.max_seq_length,
        width=width,
        dimensions=options.dimensions,
        prompt=_prompt(model),
    )


def _wrapped(model: Modules, described: ExportManifest) -> "nn.Module":
    from torch import nn

    activation = cast(_Scoring, model).activation_fn if described.kind == "reranker" else None
    held = cast(nn.Module, model)

    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.held = held

        def forward(self, *inputs: "Tensor") -> "Tensor":
            said = self.held(dict(zip(described.inputs, inputs, strict=True)))
            if described.kind == "encoder":
                return cast("Tensor", said["sentence_embedding"])
            scores = said["scores"] if activation is None else activation(said["scores"])
            return cast("Tensor", scores.reshape(-1))

    return Flat().eval()


def _write_graph(model: Modules, described: ExportManifest, folder: Path) -> None:
    import torch

    ones = torch.ones(EXAMPLE, dtype=torch.int64)
    example = {name: ones if name == "attention_mask" else torch.zeros_like(ones) for name in described.inputs}
    sizes: dict[str, onnx_graph.Sizes] = {name: {0: "batch", 1: "sequence"} for name in described.inputs}
    onnx_graph.write(
        _wrapped(model, described),
        example,
        outputs=described.outputs,
        sizes=sizes,
        folder=folder,
        opset=described.opset,
    )
