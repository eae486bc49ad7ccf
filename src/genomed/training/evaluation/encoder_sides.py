"""Encoders and rerankers as the sides of an evaluation, judged as in training: by question, or pair by pair."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from .. import model
from ..attempt import peak_memory
from ..encoders import encoder_rows, judging
from ..encoders.judging import Bench
from ..encoders.library import Encoder, Scorer
from ..engine import Model
from ..exits import sources
from ..exits.options import Source
from ..failures import WorkerFailure
from .options import EvaluateOptions, Side
from .sides import Judged, Pair, Pause


def judged(options: EvaluateOptions, *, offline: bool, pause: Pause) -> Pair:
    """Raises WorkerFailure, or what `pause` raises."""
    bench = Bench(options.k, options.batch_size, pause, sorted(set(options.dimensions), reverse=True))
    return Pair(
        candidate=_side(options, options.candidate, bench, offline=offline),
        baseline=_side(options, options.baseline, bench, offline=offline),
    )


def _side(options: EvaluateOptions, side: Side, bench: Bench, *, offline: bool) -> Judged:
    ranks = options.row_kind == "ranking"
    source = Source(
        kind="reranker" if ranks else "encoder",
        base_model=options.base_model,
        layers=() if side.layer is None else (side.layer,),
        revision=options.revision,
    )
    place = sources.place_of(source, offline=offline)
    opened = sources.encoder(place, "reranker" if ranks else "embedding")
    for folder in place.layers:
        model.attach_layer(cast(Model, opened.transformers_model), folder, trainable=False)
    opened.train(False)
    began, rows = time.monotonic(), Path(options.rows)
    if ranks:
        found = judging.judge_pairs(cast(Scorer, opened), encoder_rows.read_pairs(rows), bench)
    else:
        _refuse_sizes(cast(Encoder, opened), bench.dimensions)
        found = judging.judge_triplets(cast(Encoder, opened), encoder_rows.read_triplets(rows), bench)
    seconds = time.monotonic() - began
    sources.release()
    return Judged(found, seconds, peak_memory())


def _refuse_sizes(encoder: Encoder, sizes: Sequence[int]) -> None:
    """Raises WorkerFailure invalid_request for what is no part of a vector."""
    if not sizes:
        return
    whole = int(encoder.encode(["a"], convert_to_tensor=True, show_progress_bar=False).shape[1])
    if sizes[0] >= whole:
        reason = f"the vectors have {whole} numbers, and {sizes[0]} is no part of that"
        raise WorkerFailure("invalid_request", reason, remedy="ask for smaller dimensions")
