"""The errand `quantize`: an exported graph with its weights as int8, dynamically: what flows through is measured and
rounded at every run.

It is not the same model any more, so what it costs is measured against the graph that it was made of, and published
only within stated bounds. The numbers stand in export.json either way round.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .. import layer_files, trust
from ..attempt import peak_memory
from ..errand import Errand
from ..failures import WorkerFailure
from ..onnx_models import manifest
from ..onnx_models.onnx_decoder import OnnxDecoder, left_padded, places
from ..onnx_models.onnx_numbers import OnnxEmbedder, OnnxProjection, OnnxReranker
from . import causal_verification, export, number_verification, onnx_graph, verification
from .options import ExportOptions, QuantizeOptions

if TYPE_CHECKING:
    from numpy import ndarray

    Array = ndarray

AGREEMENT = 0.8
"""Least share of positions with the same likeliest token. Random tokens are asked, where a model is least sure of
itself: real text agrees more. A graph broken in the making agrees in about one of as many as there are words.
"""

COSINE = 0.97
"""Least mean cosine between vectors before and after."""

SCORE_ERROR = 0.15
"""Most that a score may move, relative to the widest gap between scores of the texts that are asked."""

NOT_COPIED = {manifest.NAME, trust.MANIFEST, trust.JUDGEMENT, trust.EXPORT}
"""Of the folder that is quantised: what says something of that folder alone."""

OPERATORS = ["MatMul", "Gemm"]
"""Where the weights are. Tables of embeddings stay as they are: a lookup gains nothing but a smaller file."""


class Sides(NamedTuple):
    before: Path
    after: Path
    threads: int


def carry_out(errand: Errand) -> None:
    """Raises WorkerFailure, errand.Cancelled, or whatever an engine raises."""
    options = errand.options(QuantizeOptions)
    if (options.exported is None) == (options.source is None):
        raise WorkerFailure("invalid_request", "exactly one of exported and source is wanted")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=errand.result.parent, prefix=".export-") as beside:
        whole = Path(options.exported or beside)
        if options.source is not None:
            wanted = ExportOptions(source=options.source, prompts=options.prompts, tokens=options.tokens)
            export.write(errand, wanted, whole)
        with export.unpublished(errand.result) as folder:
            facts = _quantized(errand, options, whole, folder)
            errand.phase("saving")
            files = layer_files.put(folder, errand.result)
    errand.finish(files=files, facts={**facts, "seconds": time.monotonic() - began})


def _quantized(errand: Errand, options: QuantizeOptions, whole: Path, folder: Path) -> dict[str, object]:
    held = manifest.manifest_in(whole)
    if held.quantization is not None:
        raise WorkerFailure("invalid_request", f"{whole} is quantised already")
    errand.phase("quantizing")
    _write_graph(whole, folder, per_channel=options.per_channel)
    for path in sorted(whole.iterdir()):
        if path.is_file() and not path.name.startswith(manifest.GRAPH) and path.name not in NOT_COPIED:
            shutil.copyfile(path, folder / path.name)
    described = replace(held, quantization="int8_dynamic_per_channel" if options.per_channel else "int8_dynamic")
    manifest.write(folder, described, {})
    errand.phase("verifying")
    sides = Sides(whole, folder, errand.order.threads or import_module("torch").get_num_threads())
    found = MEASURES[held.kind](sides, options)
    facts: dict[str, object] = {
        "kind": held.kind,
        "quantization": described.quantization,
        "sizeBytes": export.size_of(folder),
        "sizeBeforeBytes": export.size_of(whole),
        "verification": found,
        "peakMemoryBytes": peak_memory(),
        "versions": export.versions(),
    }
    manifest.write(folder, described, facts)
    return facts


def _write_graph(whole: Path, folder: Path, *, per_channel: bool) -> None:
    """The exporter transposes some weights and leaves their old shapes noted, which the quantiser would stumble over:
    notes of shapes are worked out anew.
    """
    library = import_module("onnxruntime.quantization")
    graph = import_module("onnx").load(str(whole / manifest.GRAPH))
    del graph.graph.value_info[:]
    library.quantize_dynamic(
        graph,
        str(folder / manifest.GRAPH),
        op_types_to_quantize=OPERATORS,
        per_channel=per_channel,
        weight_type=library.QuantType.QInt8,
        use_external_data_format=export.size_of(whole) // 4 >= onnx_graph.BESIDE_FROM,
    )


def _causal(sides: Sides, options: QuantizeOptions) -> Mapping[str, object]:
    """Raises WorkerFailure training_failed where too few positions agree."""
    before, after = (OnnxDecoder(folder, threads=sides.threads) for folder in (sides.before, sides.after))
    words = causal_verification.vocabulary(before)
    agreed = asked = 0
    worst = 0.0
    for count in verification.BATCHES:
        for longest in causal_verification.lengths(before):
            rows = causal_verification.rows_of(count, longest, words, seed=count + longest)
            wanted, found = (_logits(one, rows) for one in (before, after))
            agreed += int((wanted.argmax(axis=-1) == found.argmax(axis=-1)).sum())
            asked += len(wanted)
            worst = max(worst, verification.difference(found, wanted))
    share, least = agreed / asked, AGREEMENT if options.agreement is None else options.agreement
    if not share >= least:
        raise verification.refused(f"{share:.3f} of the likeliest tokens stay the same, at least {least} is wanted")
    return {
        "agreement": share,
        "leastAgreement": least,
        "positions": asked,
        "logitDifference": worst,
        **_decoded(before, after, options),
        "threads": sides.threads,
        "speed": {"before": _speed(before, words), "after": _speed(after, words)},
    }


def _logits(decoder: OnnxDecoder, rows: list[list[int]]) -> "Array":
    """(tokens that are there, vocabulary)."""
    ids, mask = left_padded(rows, decoder.manifest.pad or 0)
    said, _ = decoder.forward(ids, mask, places(mask), decoder.empty(len(rows)))
    there: Array = said[mask == 1]
    return there


def _decoded(before: OnnxDecoder, after: OnnxDecoder, options: QuantizeOptions) -> dict[str, object]:
    """How many greedy answers stay the same, and how many of their tokens before the first that differs."""
    room = max(1, (before.positions or 1 << 20) - options.tokens)
    given = options.prompts or causal_verification.PROMPTS
    prompts = [ids[:room] for ids in map(before.text.encode, given) if ids]
    most = min(options.tokens, room)
    wanted, found = (one.generate(prompts, max_new_tokens=most) for one in (before, after))
    same = [_alike(one, other) for one, other in zip(wanted, found, strict=True)]
    return {
        "decodedPrompts": len(prompts),
        "decodedSame": sum(one == other for one, other in zip(wanted, found, strict=True)),
        "decodedTokens": sum(map(len, wanted)),
        "decodedTokensSame": sum(same),
    }


def _alike(one: list[int], other: list[int]) -> int:
    return next((at for at, (mine, theirs) in enumerate(zip(one, other, strict=False)) if mine != theirs),
                min(len(one), len(other)))  # fmt: skip


def _speed(decoder: OnnxDecoder, words: int) -> dict[str, float]:
    row = causal_verification.timed_row(decoder, words)
    runs = range(causal_verification.RUNS)
    return causal_verification.best(
        [causal_verification.timed_onnx(decoder, row, causal_verification.TIMED_NEW) for _ in runs]
    )


def _encoder(sides: Sides, options: QuantizeOptions) -> Mapping[str, object]:
    before, after = (OnnxEmbedder(folder, threads=sides.threads) for folder in (sides.before, sides.after))
    texts = number_verification.texts(verification.BATCHES[-1])
    return _alike_in_direction(after.embed(texts), before.embed(texts), options)


def _projection(sides: Sides, options: QuantizeOptions) -> Mapping[str, object]:
    before, after = (OnnxProjection(folder, threads=sides.threads) for folder in (sides.before, sides.after))
    vectors = number_verification.vectors(verification.BATCHES[-1], before.width)
    return _alike_in_direction(after.project(vectors), before.project(vectors), options)


def _alike_in_direction(found: "Array", wanted: "Array", options: QuantizeOptions) -> Mapping[str, object]:
    """Raises WorkerFailure training_failed."""
    each = number_verification.cosines(found, wanted)
    mean, least = sum(each) / len(each), COSINE if options.cosine is None else options.cosine
    if not mean >= least:
        raise verification.refused(f"the mean cosine to the numbers before is {mean:.4f}, at least {least} is wanted")
    return {"cosine": mean, "leastCosine": least, "worstCosine": min(each), "rows": len(each)}


def _reranker(sides: Sides, options: QuantizeOptions) -> Mapping[str, object]:
    """Raises WorkerFailure training_failed."""
    before, after = (OnnxReranker(folder, threads=sides.threads) for folder in (sides.before, sides.after))
    pairs = number_verification.pairs(verification.BATCHES[-1])
    wanted, found = before.score(pairs), after.score(pairs)
    gap = float(wanted.max() - wanted.min())
    error = float(abs(found - wanted).max()) / max(gap, 1e-6)
    most = SCORE_ERROR if options.score_error is None else options.score_error
    if not error <= most:
        raise verification.refused(f"a score moves by {error:.3f} of the widest gap, at most {most} is allowed")
    return {"scoreError": error, "mostScoreError": most, "gap": gap, "pairs": len(pairs)}


MEASURES: dict[str, Callable[[Sides, QuantizeOptions], Mapping[str, object]]] = {
    "causal": _causal,
    "encoder": _encoder,
    "reranker": _reranker,
    "projection": _projection,
}
