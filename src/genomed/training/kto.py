"""Labelled rows: an answer and whether it was wanted, without a second one to compare it with (KTO, arXiv 2402.01306).

Knows how they are read, prepared and judged; the loss is the engine's. The engine pairs each prompt of a batch with a
neighbour's answer to estimate how far the model has moved, so it takes rows in a fixed order: they are shuffled here.
"""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from .engine import Message, Model, Tokenizer
from .failures import WorkerFailure
from .judge import Bench, Judgement, Outcome, answer_scores, rightness
from .rows import Prepared, encode_answer, identity, lines, messages_of, prompt_ids, require_template, without_tools


class LabelledRow(TypedDict):
    """label: whether the completion was wanted."""

    id: str
    prompt: list[Message]
    completion: list[Message]
    label: bool


def read_labelled(path: Path) -> list[LabelledRow]:
    """Raises WorkerFailure invalid_request with file and line; unsupported for tools, as for preferences."""
    return [
        {
            "id": identity(row, where),
            "prompt": messages_of(row.get("prompt"), f"{where}: prompt"),
            "completion": messages_of(row.get("completion"), f"{where}: completion"),
            "label": _label(row.get("label"), where),
        }
        for where, row in without_tools(lines(path))
    ]


def _label(given: object, where: str) -> bool:
    if not isinstance(given, bool):
        raise WorkerFailure("invalid_request", f"{where}: label is neither true nor false")
    return given


def prepare_labelled(
    tokenizer: Tokenizer, rows: Sequence[LabelledRow], *, length: int, batch: int, seed: int | None = None
) -> Prepared:
    """seed: of the order to train in; None keeps the rows' own. A prompt that fills `length` alone rates nothing."""
    require_template(tokenizer)
    kept: list[Mapping[str, object]] = []
    truncated = 0
    for row in rows:
        if len(prompt_ids(tokenizer, row["prompt"])) >= length:
            continue
        truncated += len(encode_answer(tokenizer, row["prompt"], row["completion"]).input_ids) > length
        kept.append({"prompt": row["prompt"], "completion": row["completion"], "label": row["label"]})
    if not kept:
        raise WorkerFailure("invalid_request", f"none of the {len(rows)} prompts fits {length} tokens")
    if seed is not None:
        random.Random(f"rows-{seed}").shuffle(kept)
    labels = {row["label"] for row in kept}
    notes = [] if len(labels) == 2 else [f"every answer is {'wanted' if True in labels else 'unwanted'}"]
    if len(kept) % batch == 1:
        notes.append("the last row of an epoch has no neighbour: how far the model has moved is measured on itself")
    return Prepared(kept, "completion", truncated, len(rows) - len(kept), True, notes)


def scores(model: Model, rows: Sequence[LabelledRow], bench: Bench) -> list[float]:
    """Log-probability of each row's answer."""
    encoded = [encode_answer(bench.tokenizer, row["prompt"], row["completion"]) for row in rows]
    return [score for score, _ in answer_scores(model, encoded, bench)]


def judge_labelled(
    rows: Sequence[LabelledRow], side: Sequence[float], base: Sequence[float], *, beta: float
) -> Judgement:
    """Rewards against the base model as in equation 7 of the paper, with the reference point left at 0.

    An estimate of it would depend on how rows fall into batches. rewardAccuracy: share of rows whose reward has the
    sign of their label. rewardMargin: mean reward of wanted answers over that of unwanted ones, where there are both.
    """
    import torch

    rewards = [beta * (mine - theirs) for mine, theirs in zip(side, base, strict=True)]
    towards = [reward if row["label"] else -reward for row, reward in zip(rows, rewards, strict=True)]
    losses = (1 - torch.sigmoid(torch.tensor(towards, dtype=torch.float64))).tolist()
    wanted, unwanted = (
        [reward for row, reward in zip(rows, rewards, strict=True) if row["label"] is label] for label in (True, False)
    )
    return Judgement(
        {
            "rows": len(rows),
            "loss": sum(losses) / len(losses),
            "rewardAccuracy": sum(map(rightness, towards)) / len(towards),
            "rewardMargin": sum(wanted) / len(wanted) - sum(unwanted) / len(unwanted) if wanted and unwanted else None,
            "samples": [],
        },
        [Outcome(row["id"], rightness(reward), loss) for row, reward, loss in zip(rows, towards, losses, strict=True)],
    )
