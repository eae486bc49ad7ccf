"""How well a model answers held-out rows, asked through MLX: the measures of `judge`, by the same template.

Greedy, row by row; only new tokens count.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..engine import Tokenizer
from ..rows import IGNORED, ChatRow, Encoded, encode_answer, prompt_ids, to_learn
from . import mlx_rim
from .mlx_loop import mean_loss
from .mlx_rim import MlxModel


class Bench(NamedTuple):
    tokenizer: Tokenizer
    stops: Sequence[int]
    max_new_tokens: int
    samples: int
    pause: Callable[[], None]


def judge_chat(model: MlxModel, rows: Sequence[ChatRow], bench: Bench) -> dict[str, object]:
    """The facts of a `judged` line."""
    model.eval()
    lost, counted, exact = 0.0, 0, 0
    samples: list[dict[str, object]] = []
    for row in rows:
        bench.pause()
        asked, answer = to_learn(row)
        encoded = encode_answer(bench.tokenizer, asked, [answer], row.get("tools"))
        tokens = sum(label != IGNORED for label in encoded.labels[1:])
        lost, counted = lost + mean_loss(model, [encoded], batch_size=1) * tokens, counted + tokens
        said = answered(model, prompt_ids(bench.tokenizer, asked, row.get("tools")), bench)
        expected = _expected(answer, encoded, bench)
        same = said.strip() == expected.strip()
        exact += same
        prompt = asked[-1]["content"] if asked else ""
        samples.append({"id": row["id"], "prompt": prompt, "expected": expected, "answer": said, "exact": same})
    return {
        "rows": len(rows),
        "loss": lost / counted if counted else None,
        "exactMatch": exact / len(rows),
        "samples": samples[: bench.samples],
    }


def _expected(answer: object, encoded: Encoded, bench: Bench) -> str:
    content = answer.get("content") if isinstance(answer, dict) and not answer.get("tool_calls") else None
    if isinstance(content, str):
        return content
    learned = [label for label in encoded.labels if label != IGNORED]
    return bench.tokenizer.decode(_until_stop(learned, bench), skip_special_tokens=True)


def answered(model: MlxModel, prompt: Sequence[int], bench: Bench) -> str:
    """The greedy answer."""
    core, cache = mlx_rim.core(), mlx_rim.cache(model)
    said: list[int] = []
    given = core.array([list(prompt)])
    while len(said) < bench.max_new_tokens:
        logits = model(given, cache=cache)
        token = int(core.argmax(logits[:, -1, :], axis=-1).item())
        if token in bench.stops:
            break
        said.append(token)
        given = core.array([[token]])
    return bench.tokenizer.decode(said, skip_special_tokens=True)


def _until_stop(tokens: list[int], bench: Bench) -> list[int]:
    return tokens[: next((at for at, token in enumerate(tokens) if token in bench.stops), len(tokens))]
