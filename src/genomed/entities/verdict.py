"""Whether a trained result may replace what it was compared with. Pure; numbers in, a reasoned verdict out."""

from genomed.entities.facts import Judgement, Verdict
from genomed.entities.types import RowKind

DECIDING = {
    RowKind.CHAT: "exactMatch",
    RowKind.RAFT: "exactMatch",
    RowKind.PREFERENCE: "rewardAccuracy",
    RowKind.LABELLED: "rewardAccuracy",
    RowKind.TRIPLET: "ndcg",
    RowKind.RANKING: "ndcg",
    RowKind.VECTOR_PAIR: "cosine",
    RowKind.RECORD: "exactMatch",
}
"""Per row kind, the measure that decides; of each, more is better."""

MIN_HELD_OUT_ROWS = 5
"""Fewer held-out rows prove nothing; `dataset.split` always holds out at least this many."""

LOSS_MARGIN = 0.01
"""Where the task metric is level, the loss must fall by this share to count as better."""


def reach_verdict(
    *,
    row_kind: RowKind,
    candidate: Judgement | None,
    baseline: Judgement | None,
    baseline_layer_id: str | None,
) -> Verdict:
    """Adopt only what is better on held-out rows: on the task metric, or level on it and clearly lower in loss.

    DECIDING says which metric. A missing number never counts in favour.
    """
    metric = DECIDING[row_kind]
    if candidate is None or baseline is None:
        return _verdict(False, metric, candidate, baseline, baseline_layer_id, "nothing was judged on held-out rows")
    rows = min(candidate.rows, baseline.rows)
    if rows < MIN_HELD_OUT_ROWS:
        reason = f"{rows} held-out rows are too few to prove anything; {MIN_HELD_OUT_ROWS} are needed"
        return _verdict(False, metric, candidate, baseline, baseline_layer_id, reason)
    new, old = _metric(metric, candidate), _metric(metric, baseline)
    if new is None or old is None:
        return _verdict(False, metric, candidate, baseline, baseline_layer_id, f"{metric} was not measured")
    adopt, reason = _compare(metric, new, old, rows, _relative_change(candidate.loss, baseline.loss))
    return _verdict(adopt, metric, candidate, baseline, baseline_layer_id, reason)


def _compare(metric: str, new: float, old: float, rows: int, loss_change: float | None) -> tuple[bool, str]:
    if new > old:
        return True, f"{metric} rose from {old:.3f} to {new:.3f} on {rows} held-out rows"
    if new < old:
        return False, f"{metric} fell from {old:.3f} to {new:.3f} on {rows} held-out rows"
    if loss_change is not None and loss_change <= -LOSS_MARGIN:
        return True, f"{metric} is level at {new:.3f} and the loss fell by {-loss_change:.1%} on {rows} held-out rows"
    return (
        False,
        f"{metric} is level at {new:.3f} and the loss did not fall by {LOSS_MARGIN:.0%} on {rows} held-out rows",
    )


def _metric(name: str, judgement: Judgement) -> float | None:
    match name:
        case "exactMatch":
            return judgement.exact_match
        case "rewardAccuracy":
            return judgement.reward_accuracy
        case _:
            return judgement.metrics.get(name)


def _relative_change(new: float | None, old: float | None) -> float | None:
    if new is None or old is None or old <= 0:
        return None
    return (new - old) / old


def _verdict(
    adopt: bool,
    metric: str,
    candidate: Judgement | None,
    baseline: Judgement | None,
    baseline_layer_id: str | None,
    reason: str,
) -> Verdict:
    new = _metric(metric, candidate) if candidate else None
    old = _metric(metric, baseline) if baseline else None
    return Verdict(
        adopt=adopt,
        metric=metric,
        candidate=candidate,
        baseline=baseline,
        baseline_layer_id=baseline_layer_id,
        lift=None if new is None or old is None else new - old,
        loss_change=_relative_change(candidate.loss if candidate else None, baseline.loss if baseline else None),
        reasons=(reason,),
    )
