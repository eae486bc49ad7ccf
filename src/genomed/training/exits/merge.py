"""The errand `merge`: the base model with one layer or several in it, as a plain safetensors folder.

What is verified is the folder as it was written, opened anew: its numbers against those of the base with the last layer
still beside it. The sums are done in fp32; what a smaller precision of the file costs is measured, too.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from .. import layer_files
from ..attempt import peak_memory
from ..encoders.library import Encoder, Modules, Scorer
from ..errand import Errand
from ..failures import WorkerFailure, unsupported
from . import merging, sources, verification
from .export import unpublished, versions
from .options import MergeOptions, Precision, Source

if TYPE_CHECKING:
    import torch
    from torch import Tensor

TOLERANCES: dict[Precision, float] = {"fp32": 1e-4, "fp16": 2e-2, "bf16": 1e-1}
"""Largest difference of a number, relative to the largest or to 1. fp32: as an export's. The others: rounding to a
mantissa of 10 and of 7 bits is 2**-11 and 2**-8 of each weight and of each sum between (IEEE 754; bf16 has fp32's
exponent), which adds up over the layers of a model; what a merge that went wrong changes is far more.
"""

FOLDER_WAS_READ = "the merged folder"


class Written(NamedTuple):
    """reference: what the model said with its last layer beside it. merged: each layer before and after merging."""

    reference: "Tensor"
    merged: list[sources.Merged]
    parameters: int


def carry_out(errand: Errand) -> None:
    """Raises WorkerFailure, errand.Cancelled, or whatever an engine raises."""
    options = errand.options(MergeOptions)
    if options.source.kind == "projection":
        raise unsupported("source.kind", "projection", "a projection has no base that it could be merged into")
    began = time.monotonic()
    with unpublished(errand.result) as folder:
        facts = _merged(errand, options, folder)
        errand.phase("saving")
        files = layer_files.put(folder, errand.result)
    size = sum((errand.result / name).stat().st_size for name in files)
    errand.finish(files=files, facts={**facts, "sizeBytes": size, "seconds": time.monotonic() - began})


def _merged(errand: Errand, options: MergeOptions, folder: Path) -> dict[str, object]:
    errand.phase("loading")
    place = sources.place_of(options.source, offline=errand.order.offline)
    if not place.layers:
        raise WorkerFailure("invalid_request", "there is no layer to merge", remedy="name one that is no whole model")
    write = _write_causal if options.source.kind == "causal" else _write_encoder
    done = write(errand, options, place, folder)
    sources.release()
    errand.phase("verifying")
    tolerance = options.tolerance or TOLERANCES[options.precision]
    steps = [
        verification.demand(f"numbers with {one.layer} beside the base and merged into it",
                            one.after.numpy(), one.before.numpy(), min(tolerance, TOLERANCES["fp32"]))
        for one in done.merged
    ]  # fmt: skip
    found = _said_by(folder, options.source, options.precision)
    apart = verification.demand(FOLDER_WAS_READ, found.numpy(), done.reference.numpy(), tolerance)
    return {
        "kind": options.source.kind,
        "precision": options.precision,
        "parameters": done.parameters,
        "layers": list(sources.fingerprints(options.source)),
        "difference": apart,
        "mergeDifferences": steps,
        "absoluteDifference": float((found - done.reference).abs().max()),
        "tolerance": tolerance,
        "peakMemoryBytes": peak_memory(),
        "versions": versions(),
    }


def _write_causal(errand: Errand, options: MergeOptions, place: sources.Place, folder: Path) -> Written:
    model, tokenizer = sources.causal(place)
    errand.phase("merging")
    model, merged = sources.merge_causal(model, place.layers, merging.logits_of)
    parameters = sum(one.numel() for one in model.parameters())
    errand.phase("writing")
    model.to(dtype_of(options.precision))
    model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    return Written(merged[-1].before, merged, parameters)


def _write_encoder(errand: Errand, options: MergeOptions, place: sources.Place, folder: Path) -> Written:
    model = _open_encoder(options.source, place)
    errand.phase("merging")
    merged = sources.merge_encoder(model, place.layers, lambda one: _numbers(options.source, one))
    parameters = sum(one.numel() for one in model.parameters())
    errand.phase("writing")
    model.to(dtype_of(options.precision))
    model.save_pretrained(str(folder), create_model_card=False, safe_serialization=True)
    (folder / "README.md").unlink(missing_ok=True)
    return Written(merged[-1].before, merged, parameters)


def _open_encoder(source: Source, place: sources.Place) -> Modules:
    return sources.encoder(place, "reranker" if source.kind == "reranker" else "embedding")


def _said_by(folder: Path, source: Source, precision: Precision) -> "Tensor":
    """Opened as whoever uses the folder would, and computed in the precision it was written in."""
    written = sources.place_of(Source(kind=source.kind, base_model=str(folder), layers=()), offline=True)
    if source.kind == "causal":
        model, _ = sources.causal(written)
        model.to(dtype_of(precision))
        return merging.logits_of(model)
    encoder = _open_encoder(source, written)
    encoder.to(dtype_of(precision))
    return _numbers(source, encoder)


def _numbers(source: Source, model: Modules) -> "Tensor":
    options = {"convert_to_tensor": True, "show_progress_bar": False}
    if source.kind == "reranker":
        return cast(Scorer, model).predict(merging.PAIRS, **options).detach().float()
    return cast(Encoder, model).encode(list(merging.TEXTS), **options).detach().float()


def dtype_of(precision: Precision) -> "torch.dtype":
    import torch

    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
