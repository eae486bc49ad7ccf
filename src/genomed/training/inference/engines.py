"""What an inference worker asks of whatever computes: words for tokens, and numbers for texts. Names alone."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from ..engine import Tokenizer
from .asked import Asked, Decoding

Heard = Callable[[int], bool]
"""Told of each new token; False ends the answer there."""


class Chat(Protocol):
    """A causal language model, and the layers on it."""

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def stops(self) -> Sequence[int]:
        """Tokens that end an answer."""
        ...

    @property
    def positions(self) -> int | None:
        """How many tokens it can read and write together; None: it does not say."""
        ...

    def encode(self, text: str) -> list[int]: ...

    def turn_to(self, layer: Path | None) -> None:
        """The layer that answers from here on; None: the base model. Raises WorkerFailure."""
        ...

    def generate(self, prompt: Sequence[int], decoding: Decoding, heard: Heard) -> None:
        """New tokens, each told to `heard` as it comes, until one of `stops` came, too, or there are enough."""
        ...


class Encoder(Protocol):
    """What gives numbers instead of words, for one kind of request."""

    def numbers(self, asked: Asked) -> dict[str, object]:
        """`vectors` or `scores`, one for each thing asked. Raises WorkerFailure."""
        ...
