"""A layer beside its base or beside another layer, on rows that neither was trained on: judged, compared, reported.

What a side says to a row is its kind's business. The result: `report.json`, `outcomes.jsonl` (one line per row, no
words of anybody) and `report.html`.
"""

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from .. import layer_files
from ..errand import Errand
from ..failures import WorkerFailure
from ..hardware import look, versions
from . import report_page
from .options import EvaluateOptions
from .paired_statistics import CONFIDENCE, Difference, difference
from .sides import Judged, Pair, Pause

OF_ROWS = {
    "chat": ("language_sides", "exactMatch"),
    "raft": ("language_sides", "exactMatch"),
    "preference": ("language_sides", "rewardAccuracy"),
    "labelled": ("language_sides", "rewardAccuracy"),
    "triplet": ("encoder_sides", "ndcg"),
    "ranking": ("encoder_sides", "accuracy"),
    "vector_pair": ("projection_sides", "cosine"),
}
"""Row kind -> module with `judged(options, offline=, pause=)`, and the measure that its outcomes' scores are of."""


class Kind(Protocol):
    def judged(self, options: EvaluateOptions, *, offline: bool, pause: Pause) -> Pair: ...


def carry_out(errand: Errand) -> None:
    """Raises WorkerFailure, errand.Cancelled, or whatever an engine raises."""
    options = errand.options(EvaluateOptions)
    module, metric = OF_ROWS[options.row_kind]
    errand.phase("judging")
    kind = cast(Kind, import_module(f".{module}", __package__))
    pair = kind.judged(options, offline=errand.order.offline, pause=errand.pause)
    for side in pair:
        judged = len(side.judgement.outcomes)
        # several rows of triplets may ask one question, which counts once
        if judged > options.count or (judged < options.count and options.row_kind != "triplet"):
            raise WorkerFailure("invalid_request", f"{options.rows} gave {judged} outcomes, wanted {options.count}")
    errand.phase("comparing")
    found = compare(pair, resamples=options.resamples, seed=options.seed)
    report = report_of(options, metric, pair, found)
    errand.phase("saving")
    files = _publish(errand.result, report, pair, report_page.page(report, pair, found))
    errand.finish(files=files, facts=report)


def compare(pair: Pair, *, resamples: int, seed: int) -> Difference:
    """Raises WorkerFailure invalid_request where the two sides judged other rows."""
    mine, theirs = pair.candidate.judgement.outcomes, pair.baseline.judgement.outcomes
    if [one.id for one in mine] != [one.id for one in theirs]:
        raise WorkerFailure("invalid_request", "the two sides did not judge the same rows")
    return difference([one.score for one in mine], [one.score for one in theirs], resamples=resamples, seed=seed)


def report_of(options: EvaluateOptions, metric: str, pair: Pair, found: Difference) -> dict[str, object]:
    """report.json, and what the daemon keeps of it."""
    interval = found.interval
    return {
        "title": options.title,
        "rowKind": options.row_kind,
        "metric": metric,
        "rows": len(pair.candidate.judgement.outcomes),
        "baseModel": options.base_model,
        "candidate": _side(options.candidate.name, options.candidate.layer, pair.candidate),
        "baseline": _side(options.baseline.name, options.baseline.layer, pair.baseline),
        "difference": interval.mean,
        "interval": [interval.low, interval.high],
        "confidence": CONFIDENCE,
        "resamples": options.resamples,
        "seed": options.seed,
        "wins": found.wins,
        "losses": found.losses,
        "ties": found.ties,
        "test": found.test,
        "p": found.p,
        "conclusion": found.conclusion,
        "precision": options.precision,
        "device": look().device.kind,
        "versions": versions(),
    }


def _side(name: str, layer: str | None, side: Judged) -> dict[str, object]:
    outcomes, facts = side.judgement.outcomes, side.judgement.facts
    metrics = facts.get("metrics")
    kept = {key: value for key, value in facts.items() if isinstance(value, int | float) and key != "rows"}
    return {
        "name": name,
        "layer": layer,
        "score": sum(one.score for one in outcomes) / len(outcomes),
        "metrics": {**kept, **(metrics if isinstance(metrics, dict) else {})},
        "seconds": side.seconds,
        "peakMemoryBytes": side.peak_memory_bytes,
    }


def _publish(result: Path, report: Mapping[str, object], pair: Pair, page: str) -> dict[str, str]:
    beside = layer_files.begun(result)
    (beside / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (beside / "outcomes.jsonl").write_text("".join(_lines(pair)), encoding="utf-8")
    (beside / "report.html").write_text(page, encoding="utf-8")
    return layer_files.put(beside, result)


def _lines(pair: Pair) -> Sequence[str]:
    return [
        json.dumps(
            {
                "id": mine.id,
                "candidate": {"score": mine.score, "loss": mine.loss},
                "baseline": {"score": theirs.score, "loss": theirs.loss},
            }
        )
        + "\n"
        for mine, theirs in zip(pair.candidate.judgement.outcomes, pair.baseline.judgement.outcomes, strict=True)
    ]
