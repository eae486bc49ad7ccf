"""A causal language model and its layers, exported: graph, configuration, tokenizer, chat template."""

from pathlib import Path
from typing import Protocol, cast

from ..engine import Model, Tokenizer
from ..errand import Errand
from ..onnx_models import manifest
from ..onnx_models.manifest import Cache, ExportManifest
from ..onnx_models.text import Text
from ..rows import stop_ids
from . import causal_graph, causal_verification, sources, verification
from .export import Exported, opset_of
from .merging import no_probe
from .options import ExportOptions


class _Settings(Protocol):
    max_position_embeddings: int

    def save_pretrained(self, save_directory: str) -> None: ...
    def get_text_config(self) -> "_Settings": ...


class _Configured(Protocol):
    config: _Settings


class _Saved(Protocol):
    def save_pretrained(self, save_directory: str) -> None: ...


def export(errand: Errand, options: ExportOptions, folder: Path) -> Exported:
    """Raises WorkerFailure: unsupported for a model that cannot be written so, training_failed where it differs."""
    errand.phase("loading")
    place = sources.place_of(options.source, offline=errand.order.offline)
    model, tokenizer = sources.causal(place)
    errand.phase("merging")
    model, _ = sources.merge_causal(model, place.layers, no_probe)
    errand.phase("exporting")
    cache = causal_graph.cache_of(model)
    causal_graph.write(model, cache, folder, opset=opset_of(options))
    _write_beside(model, tokenizer, folder)
    described = _manifest(options, model, tokenizer, cache)
    manifest.write(folder, described, {})
    errand.phase("verifying")
    asked = _asked(options, described, Text(folder))
    found = causal_verification.verify(model, tokenizer, folder, asked, errand.pause)
    return Exported(described, found, sum(one.numel() for one in model.parameters()))


def _write_beside(model: Model, tokenizer: Tokenizer, folder: Path) -> None:
    cast(_Configured, model).config.save_pretrained(str(folder))
    cast(_Saved, model.generation_config).save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))


def _manifest(options: ExportOptions, model: Model, tokenizer: Tokenizer, cache: Cache) -> ExportManifest:
    inputs, outputs = causal_graph.names(cache)
    positions = getattr(cast(_Configured, model).config.get_text_config(), "max_position_embeddings", None)
    return ExportManifest(
        format=manifest.FORMAT,
        kind="causal",
        opset=opset_of(options),
        inputs=inputs,
        outputs=outputs,
        dtype="float32",
        base_model=options.source.base_model,
        fingerprint=sources.base_fingerprint(options.source),
        layers=sources.fingerprints(options.source),
        cache=cache,
        stops=tuple(stop_ids(tokenizer, model.generation_config.eos_token_id)),
        pad=tokenizer.pad_token_id,
        positions=positions if isinstance(positions, int) else None,
    )


def _asked(options: ExportOptions, described: ExportManifest, text: Text) -> causal_verification.Asked:
    """Prompts are cut so that the answers have room."""
    room = max(1, (described.positions or 1 << 20) - options.tokens)
    given = options.prompts or causal_verification.PROMPTS
    prompts = [ids[:room] for ids in map(text.encode, given) if ids]
    return causal_verification.Asked(prompts, options.tokens, options.tolerance or verification.TOLERANCE)
