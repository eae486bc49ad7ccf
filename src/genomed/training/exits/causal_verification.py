"""An exported causal language model against torch, before it is published: logits, cache, decoding, tokens, speed.

What is asked is the published folder by the published decoder, so that the tokenizer and the chat template are part of
it. torch reads every sequence whole, without a cache, so that a wrong cache cannot hide on both sides.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from ..engine import Model, Tokenizer
from ..onnx_models.onnx_decoder import OnnxDecoder, left_padded, places
from . import verification

if TYPE_CHECKING:
    from numpy import ndarray
    from torch import Tensor

    Array = ndarray

LENGTHS = (3, 9, 33, 64)
"""Tokens of the longest row. Rows of one batch are of several lengths, down to a single token."""

PROMPTS = (
    "Hello",
    "What is the capital of France?",
    "Write one sentence about the sea.",
    "1 2 3 4",
    "Please reset my password, I cannot log in any more.",
)
CONVERSATION = (
    {"role": "user", "content": "Which day comes after Monday?"},
    {"role": "assistant", "content": "Tuesday."},
    {"role": "user", "content": "And then?"},
)
TIMED_PROMPT, TIMED_NEW = 64, 16
"""Tokens read and tokens written when both sides are timed."""

RUNS = 3
"""What else the machine does only ever makes one slower."""

Pause = Callable[[], None]


class Asked(NamedTuple):
    """prompts: token ids. tokens: greedily decoded for each. tolerance: as `verification` has it."""

    prompts: Sequence[Sequence[int]]
    tokens: int
    tolerance: float


class _Encoding(Protocol):
    def encode(self, text: str) -> list[int]: ...


def verify(model: Model, tokenizer: Tokenizer, folder: Path, asked: Asked, pause: Pause) -> dict[str, object]:
    """What was measured. Raises WorkerFailure training_failed that names what differed."""
    import torch

    threads = torch.get_num_threads()
    decoder = OnnxDecoder(folder, threads=threads)
    words = vocabulary(decoder)
    texts = _same_text(tokenizer, decoder)
    pause()
    logits = _same_logits(model, decoder, words, asked.tolerance, pause)
    cached = _same_with_cache(model, decoder, words, asked.tolerance)
    pause()
    decoded = _same_decoding(model, decoder, asked, pause)
    return {
        "tolerance": asked.tolerance,
        "batches": list(verification.BATCHES),
        "lengths": list(lengths(decoder)),
        "logitDifference": logits,
        "cacheDifference": cached,
        "texts": texts,
        **decoded,
        "threads": threads,
        "speed": _timed(model, decoder, words),
    }


def vocabulary(decoder: OnnxDecoder) -> int:
    import numpy as np

    ids = np.zeros((1, 1), dtype=np.int64)
    said, _ = decoder.forward(ids, ids + 1, ids, decoder.empty(1))
    return int(said.shape[-1])


def lengths(decoder: OnnxDecoder) -> tuple[int, ...]:
    most = decoder.positions or LENGTHS[-1]
    return tuple(sorted({min(length, most) for length in LENGTHS}))


def rows_of(count: int, longest: int, words: int, *, seed: int) -> list[list[int]]:
    """Random tokens: the first row as long as can be, the others shorter, the last a single token."""
    import numpy as np

    draw = np.random.default_rng(seed)
    sizes = [max(1, round(longest * (1 - at / max(1, count - 1)))) for at in range(count)]
    return [draw.integers(0, words, size).tolist() for size in sizes]


def torch_logits(model: Model, ids: "Array", mask: "Array") -> "Array":
    """(rows, tokens, vocabulary), of whole sequences."""
    import torch

    given = {
        "input_ids": torch.from_numpy(ids),
        "attention_mask": torch.from_numpy(mask),
        "position_ids": torch.from_numpy(places(mask)),
    }
    with torch.inference_mode():
        return model(**given, use_cache=False).logits.float().numpy()


def _same_text(tokenizer: Tokenizer, decoder: OnnxDecoder) -> int:
    """How many texts came out the same."""
    for text in PROMPTS:
        if decoder.text.encode(text) != list(cast(_Encoding, tokenizer).encode(text)):
            raise verification.refused(f"the tokens of {text!r}")
    if tokenizer.chat_template is None:
        return len(PROMPTS)
    for messages in (CONVERSATION[:1], CONVERSATION):
        options = {"tokenize": False, "add_generation_prompt": True}
        if decoder.text.apply_chat_template(messages, **options) != tokenizer.apply_chat_template(messages, **options):
            raise verification.refused("what the chat template writes")
    return len(PROMPTS) + 2


def _same_logits(model: Model, decoder: OnnxDecoder, words: int, tolerance: float, pause: Pause) -> float:
    """Of tokens that are there: what a model says of padding means nothing."""
    worst = 0.0
    for count in verification.BATCHES:
        for longest in lengths(decoder):
            ids, mask = left_padded(rows_of(count, longest, words, seed=count + longest), decoder.manifest.pad or 0)
            wanted, there = torch_logits(model, ids, mask), mask == 1
            found, _ = decoder.forward(ids, mask, places(mask), decoder.empty(count))
            what = f"logits of {count} rows of up to {longest} tokens"
            worst = max(worst, verification.demand(what, found[there], wanted[there], tolerance))
            pause()
    return worst


def _same_with_cache(model: Model, decoder: OnnxDecoder, words: int, tolerance: float) -> float:
    """Read in parts, each going on from the cache of the one before: many tokens, then one, one again, and several."""
    worst = 0.0
    longest = lengths(decoder)[-1]
    half = max(1, longest // 2)
    ends = sorted({min(end, longest) for end in (half, half + 1, half + 2, longest)})
    for count in verification.BATCHES:
        ids, mask = left_padded(rows_of(count, longest, words, seed=count), decoder.manifest.pad or 0)
        wanted, positions = torch_logits(model, ids, mask), places(mask)
        past, start = decoder.empty(count), 0
        for end in ends:
            found, past = decoder.forward(ids[:, start:end], mask[:, :end], positions[:, start:end], past)
            there = mask[:, start:end] == 1
            what = f"logits of {count} rows from a cache of {start} tokens"
            part = wanted[:, start:end]
            worst = max(worst, verification.demand(what, found[there], part[there], tolerance))
            start = end
    return worst


def _same_decoding(model: Model, decoder: OnnxDecoder, asked: Asked, pause: Pause) -> dict[str, object]:
    """All prompts at once, padded, against torch one at a time. Two tokens that torch itself holds for equally likely,
    within the tolerance, are a tie: from there on the answers are not compared.
    """
    room = decoder.positions
    most = asked.tokens if room is None else min(asked.tokens, room - max(map(len, asked.prompts)))
    answers = decoder.generate(asked.prompts, max_new_tokens=most)
    ties = compared = 0
    for prompt, answer in zip(asked.prompts, answers, strict=True):
        for at, token in enumerate(answer):
            pause()
            said = last_logits(model, [*prompt, *answer[:at]])
            compared += 1
            if token == int(said.argmax()):
                continue
            if said.max() - said[token] > 2 * asked.tolerance * max(1.0, float(abs(said).max())):
                raise verification.refused(
                    f"greedy decoding: token {at} of an answer is {token}, torch says {said.argmax()}"
                )
            ties += 1
            break
    return {"decodedPrompts": len(asked.prompts), "decodedTokens": compared, "decodingTies": ties}


def last_logits(model: Model, tokens: Sequence[int]) -> "Array":
    import numpy as np

    ids = np.array([tokens], dtype=np.int64)
    last: Array = torch_logits(model, ids, np.ones_like(ids))[0, -1]
    return last


def _timed(model: Model, decoder: OnnxDecoder, words: int) -> dict[str, object]:
    """Tokens per second of one row, both sides with a cache and with as many threads; the best of three runs each."""
    row, new = timed_row(decoder, words), TIMED_NEW
    ours = best([timed_onnx(decoder, row, new) for _ in range(RUNS)])
    theirs = best([_timed_torch(model, row, new) for _ in range(RUNS)])
    return {"promptTokens": len(row), "newTokens": new, "onnxruntime": ours, "torch": theirs}


def timed_row(decoder: OnnxDecoder, words: int) -> list[int]:
    whole = TIMED_PROMPT + TIMED_NEW
    room = whole if decoder.positions is None else min(decoder.positions, whole)
    (row,) = rows_of(1, max(1, room - TIMED_NEW), words, seed=1)
    return row


def best(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: max(run[name] for run in runs) for name in runs[0]}


def timed_onnx(decoder: OnnxDecoder, row: Sequence[int], new: int) -> dict[str, float]:
    import numpy as np

    ids, mask = left_padded([row], 0)
    began = time.perf_counter()
    said, past = decoder.forward(ids, mask, places(mask), decoder.empty(1))
    read = time.perf_counter()
    for _ in range(new):
        ids = said[:, -1:].argmax(axis=-1)
        mask = np.concatenate([mask, np.ones_like(ids)], axis=1)
        said, past = decoder.forward(ids, mask, places(mask)[:, -1:], past)
    return _speed(len(row), new, read - began, time.perf_counter() - read)


class _Said(Protocol):
    logits: "Tensor"
    past_key_values: object


def _timed_torch(model: Model, row: Sequence[int], new: int) -> dict[str, float]:
    import torch

    with torch.inference_mode():
        began = time.perf_counter()
        said = cast(_Said, model(input_ids=torch.tensor([list(row)]), use_cache=True))
        read = time.perf_counter()
        for _ in range(new):
            ids = said.logits[:, -1:].argmax(dim=-1)
            said = cast(_Said, model(input_ids=ids, past_key_values=said.past_key_values, use_cache=True))
        return _speed(len(row), new, read - began, time.perf_counter() - read)


def _speed(prompt: int, new: int, reading_s: float, writing_s: float) -> dict[str, float]:
    return {"readTokensPerS": prompt / max(reading_s, 1e-9), "writeTokensPerS": new / max(writing_s, 1e-9)}
