"""How well an encoder ranks rows it was never trained on: the same measure before and after training.

For triplets the index is of its own: every passage of the held-out rows, right or wrong, and each question looks its
own up among all of them. Ranking rows are ranked within their query. What ranks alike is ordered by a hash of its text:
an encoder that finds everything equal gets no luck from the order of the rows.
"""

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from ..judge import Judgement, Outcome
from .encoder_rows import Pair, Triplet
from .library import Encoder, Scorer
from .retrieval_metrics import Ranked, Score, mean, named, score

if TYPE_CHECKING:
    from torch import Tensor

SCALE = 20.0
"""Of cosines before the softmax, as MultipleNegativesRankingLoss has it (sentence-transformers 6.0, `scale`)."""

RIGHT = 0.5
"""From which label on a document counts as an answer."""


class Bench(NamedTuple):
    """pause: called between batches, and may raise to stop. dimensions: also judged by their first numbers alone."""

    k: int
    batch: int
    pause: Callable[[], None]
    dimensions: Sequence[int] = ()


def judge_triplets(model: Encoder, rows: Sequence[Triplet], bench: Bench) -> Judgement:
    """One question counts once, however many rows it has."""
    right: dict[str, dict[str, float]] = {}
    names: dict[str, str] = {}
    for row in rows:
        right.setdefault(row.anchor, {})[row.positive] = 1.0
        names.setdefault(row.anchor, row.id)
    index = sorted({text for row in rows for text in (row.positive, *row.negatives)}, key=_hashed)
    questions = list(right)
    anchors, passages = _encoded(model, questions, bench), _encoded(model, index, bench)
    scores, losses = _looked_up(anchors, passages, questions, index, right, bench)
    whole = mean(scores)
    metrics = {**named(whole), "queries": len(questions), "passages": len(index)}
    for size in bench.dimensions:
        part, _ = _looked_up(anchors[:, :size], passages[:, :size], questions, index, right, bench)
        metrics[f"ndcg@{size}"] = mean(part).ndcg
        if whole.ndcg:
            metrics[f"retention@{size}"] = mean(part).ndcg / whole.ndcg
    outcomes = [
        Outcome(names[question], found.ndcg, loss)
        for question, found, loss in zip(questions, scores, losses, strict=True)
    ]
    return _judgement(len(questions), sum(losses) / len(losses), metrics, outcomes)


def _encoded(model: Encoder, texts: Sequence[str], bench: Bench) -> "Tensor":
    import torch

    parts = []
    for start in range(0, len(texts), bench.batch):
        bench.pause()
        made = model.encode(
            texts[start : start + bench.batch],
            batch_size=bench.batch,
            convert_to_tensor=True,
            show_progress_bar=False,
        )
        parts.append(made.float())
    return torch.cat(parts)


def _looked_up(
    anchors: "Tensor",
    passages: "Tensor",
    questions: Sequence[str],
    index: Sequence[str],
    right: Mapping[str, Mapping[str, float]],
    bench: Bench,
) -> tuple[list[Score], list[float]]:
    """Of each question: how its passages were ranked by cosine, and the loss of the best of them against the index."""
    import torch

    places = {text: at for at, text in enumerate(index)}
    anchors = torch.nn.functional.normalize(anchors, dim=1)
    passages = torch.nn.functional.normalize(passages, dim=1)
    scores, losses = list[Score](), list[float]()
    for start in range(0, len(questions), bench.batch):
        bench.pause()
        cosines = anchors[start : start + bench.batch] @ passages.T
        order: list[list[int]] = torch.sort(cosines, dim=1, descending=True, stable=True).indices.tolist()
        chances = torch.log_softmax(SCALE * cosines, dim=1)
        for at, question in enumerate(questions[start : start + bench.batch]):
            wanted = right[question]
            scores.append(score(Ranked(wanted, [index[place] for place in order[at]]), k=bench.k))
            losses.append(-max(float(chances[at, places[text]]) for text in wanted))
    return scores, losses


def judge_pairs(model: Scorer, rows: Sequence[Pair], bench: Bench) -> Judgement:
    """What ranks is measured only where some query has both what answers it and what does not; accuracy always."""
    chances = _chances(model, rows, bench)
    metrics: dict[str, float] = {"accuracy": _accuracy(rows, chances)}
    if (ordered := _pair_accuracy(rows, chances)) is not None:
        metrics["pairAccuracy"] = ordered
    groups: dict[str, list[tuple[Pair, float]]] = {}
    for row, chance in zip(rows, chances, strict=True):
        groups.setdefault(row.query, []).append((row, chance))
    kept = {query: group for query, group in groups.items() if rankable([row for row, _ in group])}
    scores = {query: score(_ranked(group), k=bench.k) for query, group in kept.items()}
    if scores:
        metrics |= {**named(mean(list(scores.values()))), "queries": len(scores)}
    losses = _losses(rows, chances)
    outcomes = [
        Outcome(row.id, float((chance >= RIGHT) == (row.label >= RIGHT)), loss)
        for row, chance, loss in zip(rows, chances, losses, strict=True)
    ]
    return _judgement(len(scores) or len(rows), sum(losses) / len(losses), metrics, outcomes)


def rankable(group: Sequence[Pair]) -> bool:
    """Whether there is a right and a wrong document to tell apart."""
    return len({row.label >= RIGHT for row in group}) == 2


def _ranked(group: Sequence[tuple[Pair, float]]) -> Ranked:
    order = sorted(group, key=lambda found: (-found[1], _hashed(found[0].document)))
    grades = {row.document: row.label for row, _ in group if row.label >= RIGHT}
    return Ranked(grades, list(dict.fromkeys(row.document for row, _ in order)))


def _chances(model: Scorer, rows: Sequence[Pair], bench: Bench) -> list[float]:
    """0 to 1 of each pair."""
    import torch

    found: list[float] = []
    for start in range(0, len(rows), bench.batch):
        bench.pause()
        pairs = [(row.query, row.document) for row in rows[start : start + bench.batch]]
        made = model.predict(
            pairs,
            batch_size=bench.batch,
            show_progress_bar=False,
            convert_to_tensor=True,
            activation_fn=torch.nn.Identity(),
        )
        found += torch.sigmoid(made.double()).flatten().tolist()
    return found


def _accuracy(rows: Sequence[Pair], chances: Sequence[float]) -> float:
    hits = sum((chance >= RIGHT) == (row.label >= RIGHT) for row, chance in zip(rows, chances, strict=True))
    return hits / len(rows)


def _pair_accuracy(rows: Sequence[Pair], chances: Sequence[float]) -> float | None:
    """Of all pairs of a right and a wrong row, the share in which the right one scores higher; half for a tie.

    Hanley and McNeil, Radiology 143 (1982): the area under the ROC curve, here by ranks.
    """
    right = sorted(chance for row, chance in zip(rows, chances, strict=True) if row.label >= RIGHT)
    wrong = sorted(chance for row, chance in zip(rows, chances, strict=True) if row.label < RIGHT)
    if not right or not wrong:
        return None
    won = sum(bisect_left(wrong, one) + bisect_right(wrong, one) for one in right) / 2
    return won / (len(right) * len(wrong))


def _losses(rows: Sequence[Pair], chances: Sequence[float]) -> list[float]:
    """Binary cross-entropy, with chances kept off 0 and 1."""
    import torch

    said = torch.tensor(chances, dtype=torch.float64).clamp(1e-12, 1 - 1e-12)
    wanted = torch.tensor([row.label for row in rows], dtype=torch.float64)
    losses = torch.nn.functional.binary_cross_entropy(said, wanted, reduction="none")
    return cast("list[float]", losses.tolist())


def _judgement(rows: int, loss: float, metrics: dict[str, float], outcomes: Sequence[Outcome]) -> Judgement:
    return Judgement({"rows": rows, "loss": loss, "metrics": metrics, "samples": []}, outcomes)


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
