"""An exported causal language model asked for words: one graph for the prompt and for each token after it.

Prompts of several lengths go together, padded on the left; who has answered leaves the batch. Knows the cache that the
graph hands from one run to the next. How a token is chosen is the caller's `Choice`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..failures import WorkerFailure
from . import manifest
from .session import Session, Value
from .text import Text

if TYPE_CHECKING:
    from numpy import ndarray
    from numpy.random import Generator

    Array = ndarray

CHUNK = 256
"""Tokens of a prompt that are read in one run: the graph gives logits for each, and a vocabulary is wide."""

Heard = Callable[[int, int], bool]
"""Told of each new token: the prompt's number, the token. False ends that prompt's answer there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """temperature 0: always the likeliest token. top_p: of the likeliest ones, as many as hold that share. seed: null
    draws as it comes.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None


GREEDY = Choice()


class OnnxDecoder:
    """A folder that an export of kind `causal` made."""

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        """Raises WorkerFailure."""
        self.manifest = manifest.demand(folder, "causal")
        if self.manifest.cache is None:
            raise WorkerFailure("invalid_request", f"{folder}/{manifest.NAME} does not say what the cache is like")
        self._cache = self.manifest.cache
        self.text = Text(folder)
        self._session = Session(folder, threads=threads)
        self.stops: tuple[int, ...] = self.manifest.stops
        self.positions: int | None = self.manifest.positions

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        choice: Choice = GREEDY,
        heard: Heard | None = None,
    ) -> list[list[int]]:
        """New tokens of each prompt, up to and with the one that ended it. Raises WorkerFailure."""
        from numpy.random import default_rng

        self._demand_room(prompts, max_new_tokens)
        answers: list[list[int]] = [[] for _ in prompts]
        if not prompts or max_new_tokens < 1:
            return answers
        draw = default_rng(choice.seed)
        state = State(self, prompts)
        logits = state.read_prompts()
        while True:
            tokens = [chosen(row, choice, draw) for row in logits]
            going = self._heard(tokens, state.alive, answers, max_new_tokens, heard)
            if not any(going):
                return answers
            state.keep(going)
            logits = state.step([token for token, goes_on in zip(tokens, going, strict=True) if goes_on])

    def _heard(
        self, tokens: list[int], alive: list[int], answers: list[list[int]], most: int, heard: Heard | None
    ) -> list[bool]:
        going: list[bool] = []
        for token, at in zip(tokens, alive, strict=True):
            answers[at].append(token)
            wanted = heard is None or heard(at, token)
            going.append(wanted and token not in self.stops and len(answers[at]) < most)
        return going

    def _demand_room(self, prompts: Sequence[Sequence[int]], most: int) -> None:
        if not all(prompts):
            raise WorkerFailure("invalid_request", "a prompt holds no token")
        longest = max(map(len, prompts), default=0)
        if self.positions is not None and longest + most > self.positions:
            reason = f"{longest} tokens and {most} new ones are more than the {self.positions} that the model knows"
            raise WorkerFailure("invalid_request", reason, remedy="ask for fewer tokens, or with a shorter prompt")

    def empty(self, rows: int) -> dict[str, Value]:
        """A cache of no token."""
        import numpy as np

        held = self._cache
        widths = {"key": held.key_width, "value": held.value_width}
        return {
            f"past.{layer}.{kind}": self._session.value(
                np.zeros((rows, held.heads, 0, width), dtype=np.float32)
            )
            for layer in range(held.layers)
            for kind, width in widths.items()
        }  # fmt: skip

    def forward(
        self, ids: "Array", mask: "Array", positions: "Array", past: dict[str, Value]
    ) -> "tuple[Array, dict[str, Value]]":
        """Logits (rows, tokens, vocabulary) of `ids` (rows, tokens), and the cache with them.

        mask: (rows, tokens before and now), 0 where there is none. positions: (rows, tokens).
        """
        feed: dict[str, Array | Value] = {"input_ids": ids, "attention_mask": mask, "position_ids": positions, **past}
        given = {name: one for name, one in feed.items() if name in self.manifest.inputs}
        logits, *present = self._session.run(self.manifest.outputs, given)
        names = [name.replace("present.", "past.") for name in self.manifest.outputs[1:]]
        return logits.numpy(), dict(zip(names, present, strict=True))

    def gathered(self, past: dict[str, Value], rows: list[int]) -> dict[str, Value]:
        """The cache of some rows."""
        return {name: self._session.value(one.numpy()[rows]) for name, one in past.items()}


class State:
    """Prompts being answered together."""

    def __init__(self, decoder: OnnxDecoder, prompts: Sequence[Sequence[int]]) -> None:
        self._decoder = decoder
        self._ids, self._mask = left_padded(prompts, decoder.manifest.pad or 0)
        self.alive = list(range(len(prompts)))
        self._past = decoder.empty(len(prompts))

    def read_prompts(self) -> "Array":
        """Logits (rows, vocabulary) of what comes next."""
        import numpy as np

        logits = np.zeros(0)
        positions = places(self._mask)
        for start in range(0, self._ids.shape[1], CHUNK):
            end = min(start + CHUNK, self._ids.shape[1])
            logits, self._past = self._decoder.forward(
                self._ids[:, start:end], self._mask[:, :end], positions[:, start:end], self._past
            )
        last: Array = logits[:, -1]
        return last

    def keep(self, going: list[bool]) -> None:
        if all(going):
            return
        rows = [at for at, goes_on in enumerate(going) if goes_on]
        self.alive = [self.alive[at] for at in rows]
        self._mask = self._mask[rows]
        self._past = self._decoder.gathered(self._past, rows)

    def step(self, tokens: list[int]) -> "Array":
        import numpy as np

        one = np.ones((len(tokens), 1), dtype=np.int64)
        self._mask = np.concatenate([self._mask, one], axis=1)
        ids = np.array(tokens, dtype=np.int64)[:, None]
        logits, self._past = self._decoder.forward(ids, self._mask, places(self._mask)[:, -1:], self._past)
        last: Array = logits[:, -1]
        return last


def left_padded(prompts: Sequence[Sequence[int]], pad: int) -> "tuple[Array, Array]":
    """Token ids and mask, both (rows, longest)."""
    import numpy as np

    width = max(map(len, prompts))
    ids = np.full((len(prompts), width), pad, dtype=np.int64)
    mask = np.zeros((len(prompts), width), dtype=np.int64)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = prompt
        mask[row, width - len(prompt) :] = 1
    return ids, mask


def places(mask: "Array") -> "Array":
    """Position of each token among its row's own; padding stands at 0."""
    found: Array = (mask.cumsum(axis=1) - 1).clip(min=0)
    return found


def chosen(logits: "Array", choice: Choice, draw: "Generator") -> int:
    """One token id of logits (vocabulary)."""
    import numpy as np

    if choice.temperature == 0:
        return int(logits.argmax())
    scaled = logits.astype(np.float64) / choice.temperature
    shares = np.exp(scaled - scaled.max())
    shares /= shares.sum()
    if choice.top_p < 1:
        order = np.argsort(-shares, kind="stable")
        before = np.cumsum(shares[order]) - shares[order]
        shares[order[before >= choice.top_p]] = 0
        shares /= shares.sum()
    return int(draw.choice(len(shares), p=shares))
