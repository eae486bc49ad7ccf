"""How well a model answers rows it was never trained on: the same measure before and after training.

The conversation is written with the training's own template; decoding is greedy and only new tokens count. For
preferences both sides are measured against the plain base model, so that the two can be compared.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from . import engine
from .engine import Message, Model, Tokenizer
from .rows import IGNORED, ChatRow, Encoded, PreferenceRow, encode_answer, prompt_ids, to_learn

if TYPE_CHECKING:
    from torch import Tensor

GENERATION_BATCH = 16
"""Prompts decoded together; memory for their caches grows with it."""


class Outcome(NamedTuple):
    """How one row came out. score: of the measure that decides, more is better; loss: None where there is none."""

    id: str
    score: float
    loss: float | None


class Judgement(NamedTuple):
    """facts: what a `judged` line says beside its side. outcomes: row by row, in their order."""

    facts: dict[str, object]
    outcomes: Sequence[Outcome] = ()


class Bench(NamedTuple):
    """What judging needs beside a model and rows. `pause` is called between batches and may raise to stop."""

    tokenizer: Tokenizer
    stops: Sequence[int]
    batch: int
    max_new_tokens: int
    samples: int
    pause: Callable[[], None]


def judge_chat(
    model: Model,
    rows: Sequence[ChatRow],
    bench: Bench,
    *,
    measure: Callable[[Sequence[str]], Mapping[str, float]] | None = None,
) -> Judgement:
    """measure: further numbers about the answers, in the rows' order."""
    split = [(row, *to_learn(row)) for row in rows]
    encoded = [encode_answer(bench.tokenizer, asked, [answer], row.get("tools")) for row, asked, answer in split]
    scored = answer_scores(model, encoded, bench)
    tokens = sum(count for _, count in scored)
    prompts = [prompt_ids(bench.tokenizer, asked, row.get("tools")) for row, asked, _ in split]
    answers = _answers(model, prompts, bench)
    samples = [
        _sample(row["id"], asked, _expected(answer, learned, bench), said)
        for (row, asked, answer), learned, said in zip(split, encoded, answers, strict=True)
    ]
    return Judgement(
        {
            "rows": len(rows),
            "loss": -sum(score for score, _ in scored) / tokens if tokens else None,
            "exactMatch": sum(bool(sample["exact"]) for sample in samples) / len(rows),
            **({} if measure is None else {"metrics": dict(measure(answers))}),
            "samples": samples[: bench.samples],
        },
        [
            Outcome(row["id"], float(bool(sample["exact"])), -score / count if count else None)
            for row, sample, (score, count) in zip(rows, samples, scored, strict=True)
        ],
    )


def _expected(answer: Message, encoded: Encoded, bench: Bench) -> str:
    """The words of the answer; of one that calls tools, the way in which the template writes that."""
    if not answer.get("tool_calls"):
        return str(answer["content"])
    learned = [token for token in encoded.labels if token != IGNORED]
    return bench.tokenizer.decode(_until_stop(learned, bench.stops), skip_special_tokens=True)


def _sample(identity: str, asked: Sequence[Message], expected: str, said: str) -> dict[str, object]:
    return {
        "id": identity,
        "prompt": asked[-1]["content"] if asked else "",
        "expected": expected,
        "answer": said,
        "exact": said.strip() == expected.strip(),
    }


class Preferred(NamedTuple):
    """Log-probabilities of the two answers to one prompt."""

    chosen: float
    rejected: float


def preferred(model: Model, rows: Sequence[PreferenceRow], bench: Bench) -> list[Preferred]:
    sides = [
        [score for score, _ in answer_scores(model, [_answer_of(bench, row, side) for row in rows], bench)]
        for side in ("chosen", "rejected")
    ]
    return [Preferred(chosen, rejected) for chosen, rejected in zip(*sides, strict=True)]


def _answer_of(bench: Bench, row: PreferenceRow, side: str) -> Encoded:
    return encode_answer(bench.tokenizer, row["prompt"], row["chosen"] if side == "chosen" else row["rejected"])


def rightness(towards: float) -> float:
    """1 for a reward on the right side, 0 for one on the wrong side. None at all is as good as a coin: the base model,
    measured against itself, gets one half, and what is barely better than it does not look like a triumph.
    """
    return 0.5 if towards == 0 else float(towards > 0)


def judge_preferences(
    rows: Sequence[PreferenceRow], side: Sequence[Preferred], base: Sequence[Preferred], *, beta: float
) -> Judgement:
    """Rewards as DPO defines them (arXiv 2305.18290, section 4), with the base model as the reference."""
    import torch

    margins = [
        beta * ((mine.chosen - theirs.chosen) - (mine.rejected - theirs.rejected))
        for mine, theirs in zip(side, base, strict=True)
    ]
    losses = -torch.nn.functional.logsigmoid(torch.tensor(margins, dtype=torch.float64))
    return Judgement(
        {
            "rows": len(margins),
            "loss": float(losses.mean()),
            "rewardAccuracy": sum(map(rightness, margins)) / len(margins),
            "rewardMargin": sum(margins) / len(margins),
            "samples": [],
        },
        [
            Outcome(row["id"], rightness(margin), loss)
            for row, margin, loss in zip(rows, margins, losses.tolist(), strict=True)
        ],
    )


def answer_scores(model: Model, rows: Sequence[Encoded], bench: Bench) -> list[tuple[float, int]]:
    """Of each row: the sum of its answer tokens' log-probabilities, and their number."""
    import torch

    scores: list[tuple[float, int]] = []
    with torch.no_grad(), _Evaluating(model):
        for start in range(0, len(rows), bench.batch):
            bench.pause()
            scores += _batch_scores(model, rows[start : start + bench.batch], bench)
    return scores


def _batch_scores(model: Model, rows: Sequence[Encoded], bench: Bench) -> list[tuple[float, int]]:
    import torch

    width = max(len(row.input_ids) for row in rows)
    ids = _padded([row.input_ids for row in rows], width, _pad_id(bench), left=False).to(model.device)
    labels = _padded([row.labels for row in rows], width, IGNORED, left=False).to(model.device)[:, 1:]
    mask = _padded([[1] * len(row.input_ids) for row in rows], width, 0, left=False).to(model.device)
    first = int((labels != IGNORED).any(dim=0).to(torch.int8).argmax())
    options = {"logits_to_keep": width - first} if engine.keeps_logits(model) else {}
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False, **options).logits[:, -(width - first) : -1]
    labels = labels[:, first:]
    kept = labels != IGNORED
    chances = torch.log_softmax(logits.float(), dim=-1)
    picked = chances.gather(-1, labels.masked_fill(~kept, 0).unsqueeze(-1)).squeeze(-1) * kept
    sums, counts = picked.double().sum(dim=1).tolist(), kept.sum(dim=1).tolist()
    return list(zip(sums, counts, strict=True))


def _answers(model: Model, prompts: Sequence[list[int]], bench: Bench) -> list[str]:
    """Greedy answers in the order of the prompts; like lengths are decoded together to save padding."""
    import torch

    order = sorted(range(len(prompts)), key=lambda at: len(prompts[at]))
    found: dict[int, str] = {}
    with torch.no_grad(), _Evaluating(model):
        for start in range(0, len(order), GENERATION_BATCH):
            bench.pause()
            chosen = order[start : start + GENERATION_BATCH]
            for at, new in zip(chosen, _decode_batch(model, [prompts[at] for at in chosen], bench), strict=True):
                found[at] = bench.tokenizer.decode(new, skip_special_tokens=True)
    return [found[at] for at in range(len(prompts))]


def _decode_batch(model: Model, prompts: Sequence[list[int]], bench: Bench) -> list[list[int]]:
    width = max(len(prompt) for prompt in prompts)
    ids = _padded(prompts, width, _pad_id(bench), left=True).to(model.device)
    mask = _padded([[1] * len(prompt) for prompt in prompts], width, 0, left=True).to(model.device)
    made = model.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=bench.max_new_tokens,
        do_sample=False,
        num_beams=1,
        pad_token_id=_pad_id(bench),
        eos_token_id=list(bench.stops) or None,
    )
    return [_until_stop(row, bench.stops) for row in made[:, width:].tolist()]


def _until_stop(tokens: list[int], stops: Sequence[int]) -> list[int]:
    return tokens[: next((at for at, token in enumerate(tokens) if token in stops), len(tokens))]


def _pad_id(bench: Bench) -> int:
    return bench.tokenizer.pad_token_id or 0


def _padded(rows: Sequence[Sequence[int]], width: int, filler: int, *, left: bool) -> "Tensor":
    import torch

    gaps = [[filler] * (width - len(row)) for row in rows]
    return torch.tensor([[*gap, *row] if left else [*row, *gap] for gap, row in zip(gaps, rows, strict=True)])


class _Evaluating:
    """Evaluation mode for a while: dropout would make a judgement random."""

    def __init__(self, model: Model) -> None:
        self._model, self._was_training = model, model.training

    def __enter__(self) -> None:
        self._model.eval()

    def __exit__(self, *_: object) -> None:
        self._model.train(self._was_training)
