"""Exported encoders, rerankers and projections against torch, before they are published.

Texts go through both sides' own tokenizers: batches of 1, 4 and 16, of several lengths, some beyond the longest.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..encoders.library import Encoder, Scorer
from ..onnx_models.onnx_numbers import OnnxEmbedder, OnnxProjection, OnnxReranker
from . import verification

if TYPE_CHECKING:
    from numpy import ndarray
    from torch import nn

    Array = ndarray

WORDS = (
    "the", "reset", "account", "server", "invoice", "\u00dcberweisung", "na\u00efve", "3.14", "rain,", "why?",
    "\u65e5\u672c\u8a9e", "(yes)", "of", "a", "database", "timeout",
)  # fmt: skip
LONGEST_TEXT = 40
"""Words of the longest ordinary text. One more is far longer, so that it is cut."""

RUNS = 3
"""Of each side when timed: what else the machine does only ever makes one slower."""

Pause = Callable[[], None]
Numbers = Callable[[int], "Array"]


def texts(count: int) -> list[str]:
    """Fixed, of several lengths; with four and more, one is empty but for a space and one is cut."""
    made = [" ".join(WORDS[(at * 5 + word) % len(WORDS)] for word in range(1 + at * 11 % LONGEST_TEXT))
            for at in range(count)]  # fmt: skip
    if count >= 4:
        made[1], made[2] = " ", " ".join(WORDS * 80)
    return made


def pairs(count: int) -> list[tuple[str, str]]:
    found = texts(count + 1)
    return list(zip(found[1:], found[:-1], strict=True))


def verify_encoder(model: Encoder, folder: Path, tolerance: float, pause: Pause) -> dict[str, object]:
    """What was measured. Raises WorkerFailure training_failed that names what differed."""
    ours = OnnxEmbedder(folder, threads=_threads())
    theirs: Numbers = lambda count: _numpy(model.encode(texts(count), **_plain(count)))  # noqa: E731 -- two of a kind
    return _verify(lambda count: ours.embed(texts(count), batch=count), theirs, "embeddings of", tolerance, pause)


def verify_reranker(model: Scorer, folder: Path, tolerance: float, pause: Pause) -> dict[str, object]:
    """As `verify_encoder`."""
    ours = OnnxReranker(folder, threads=_threads())
    theirs: Numbers = lambda count: _numpy(model.predict(pairs(count), **_plain(count)))  # noqa: E731 -- two of a kind
    return _verify(lambda count: ours.score(pairs(count), batch=count), theirs, "scores of", tolerance, pause)


def verify_projection(
    model: "nn.Module", width: int, folder: Path, tolerance: float, pause: Pause
) -> dict[str, object]:
    """As `verify_encoder`. width: of what goes in."""
    import torch

    ours = OnnxProjection(folder, threads=_threads())

    def theirs(count: int) -> "Array":
        with torch.inference_mode():
            found: Array = model(torch.from_numpy(vectors(count, width))).numpy()
        return found

    return _verify(lambda count: ours.project(vectors(count, width)), theirs, "projections of", tolerance, pause)


def vectors(count: int, width: int) -> "Array":
    import numpy as np

    return np.random.default_rng(count).standard_normal((count, width)).astype(np.float32)


def _verify(ours: Numbers, theirs: Numbers, what: str, tolerance: float, pause: Pause) -> dict[str, object]:
    worst, speed = 0.0, list[dict[str, float]]()
    for count in verification.BATCHES:
        pause()
        found, wanted = ours(count), theirs(count)
        worst = max(worst, verification.demand(f"{what} {count} rows", found, wanted, tolerance))
        speed.append({"batch": count, "onnxruntimePerS": _per_s(ours, count), "torchPerS": _per_s(theirs, count)})
    return {
        "tolerance": tolerance,
        "batches": list(verification.BATCHES),
        "difference": worst,
        "threads": _threads(),
        "speed": speed,
    }


def _per_s(side: Numbers, count: int) -> float:
    """Rows per second of the best of three; both sides have run once by now."""
    best = float("inf")
    for _ in range(RUNS):
        began = time.perf_counter()
        side(count)
        best = min(best, time.perf_counter() - began)
    return count / max(best, 1e-9)


def _plain(count: int) -> dict[str, object]:
    return {"batch_size": count, "convert_to_tensor": True, "show_progress_bar": False}


def _numpy(found: object) -> "Array":
    import torch

    if not isinstance(found, torch.Tensor):
        raise TypeError(f"sentence-transformers gave a {type(found).__name__}")
    array: Array = found.detach().float().cpu().numpy()
    return array


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def cosines(found: "Array", wanted: "Array") -> Sequence[float]:
    """Of each row."""
    import numpy as np

    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
    return [float(one) for one in (found * wanted).sum(axis=1) / np.maximum(lengths, 1e-12)]
