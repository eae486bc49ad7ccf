"""Encoders and rerankers as the sides of an evaluation, judged as in training: by question, or pair by pair."""

import time
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
from .options import EvaluateOptions, Side
from .sides import Judged, Pair, Pause


def judged(options: EvaluateOptions, *, offline: bool, pause: Pause) -> Pair:
    """Raises WorkerFailure, or what `pause` raises."""
    bench = Bench(options.k, options.batch_size, pause)
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
        found = judging.judge_triplets(cast(Encoder, opened), encoder_rows.read_triplets(rows), bench)
    seconds = time.monotonic() - began
    sources.release()
    return Judged(found, seconds, peak_memory())
