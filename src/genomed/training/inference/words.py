"""Tokens into words as they come: whole characters only, and nothing from a stop text on.

Pure. A character may take several tokens; what is not whole yet is held back until it is, or until nothing follows.
"""

from collections.abc import Callable, Sequence

UNFINISHED = "\ufffd"
"""What tokenizers write for bytes that are no character (yet): U+FFFD, Unicode 16.0, 23.8."""


class Words:
    """decode: token ids into text, as the tokenizer has it.

    Only the tokens since the last whole word are decoded again, together with those right before them, since a
    tokenizer may write a token otherwise at the beginning of a text.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._tokens: list[int] = []
        self._before = self._told = 0

    def add(self, token: int) -> str:
        """The text that this token completes; often none."""
        self._tokens.append(token)
        return self._new(last=False)

    def rest(self) -> str:
        """What was held back and never became whole."""
        return self._new(last=True)

    def _new(self, *, last: bool) -> str:
        told = self._decode(self._tokens[self._before : self._told])
        whole = self._decode(self._tokens[self._before :])
        if len(whole) <= len(told) or (whole.endswith(UNFINISHED) and not last):
            return ""
        self._before, self._told = self._told, len(self._tokens)
        return whole[len(told) :]


class Until:
    """Text up to the first of `stops`. What may be the beginning of one is held back until it is clear."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.reached = False

    def add(self, text: str) -> str:
        """What of it may be told."""
        if self.reached:
            return ""
        self._held += text
        found = [at for at in (self._held.find(stop) for stop in self._stops) if at >= 0]
        if found:
            self.reached = True
            told, self._held = self._held[: min(found)], ""
            return told
        keep = max((_beginning(self._held, stop) for stop in self._stops), default=0)
        cut = len(self._held) - keep
        told, self._held = self._held[:cut], self._held[cut:]
        return told

    def rest(self) -> str:
        held, self._held = self._held, ""
        return held


def _beginning(text: str, stop: str) -> int:
    """How many of the last characters of `text` may be the first of `stop`."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if stop.startswith(text[-size:])), 0)
