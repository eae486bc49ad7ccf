"""One request answered: the conversation as the training's own template writes it, the words as they come, the facts.

Knows what is measured. How tokens are computed, the engine knows.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from ..attempt import peak_memory
from ..failures import WorkerFailure
from ..rows import messages_of, prompt_ids, require_template
from .asked import Asked, Decoding
from .engines import Chat, Encoder
from .words import Until, Words

Tell = Callable[[str], None]
Wanted = Callable[[], bool]


class Gone(Exception):
    """Whoever asked does not want the answer any more."""


class Answering(Protocol):
    """What a worker does with a request."""

    def answer(self, asked: Asked, tell: Tell, wanted: Wanted) -> dict[str, object]:
        """The facts of the answer. tell: takes a piece of it, where it is streamed. Raises WorkerFailure, Gone."""
        ...

    def memory(self) -> int:
        """Bytes: at most so far."""
        ...


class Answers:
    """chat: None where the model does not speak. encoder: of a layer, where its layers give numbers."""

    def __init__(self, chat: Chat | None, encoder: Callable[[Path | None], Encoder]) -> None:
        self._chat, self._encoder = chat, encoder

    def memory(self) -> int:
        return peak_memory()

    def answer(self, asked: Asked, tell: Tell, wanted: Wanted) -> dict[str, object]:
        began = time.monotonic()
        facts = self._spoken(asked, tell, wanted, began) if asked.kind == "chat" else self._numbers(asked)
        return {**facts, "seconds": time.monotonic() - began, "memoryBytes": self.memory()}

    def _numbers(self, asked: Asked) -> dict[str, object]:
        given = {"embed": asked.texts, "score": asked.pairs, "project": asked.vectors}[asked.kind]
        if not given:
            raise WorkerFailure("invalid_request", f"there is nothing to {asked.kind}")
        return {**self._encoder(asked.layer).numbers(asked), "finishReason": "stop"}

    def _spoken(self, asked: Asked, tell: Tell, wanted: Wanted, began: float) -> dict[str, object]:
        if self._chat is None:
            raise WorkerFailure("unsupported", "this model gives numbers, not words", remedy="give texts or pairs")
        self._chat.turn_to(asked.layer)
        prompt = _prompt(self._chat, asked)
        room = _room(self._chat.positions, len(prompt))
        decoding = asked.decoding
        most = decoding.max_new_tokens if room is None else min(room, decoding.max_new_tokens)
        speech = _Speech(self._chat, asked, tell, wanted, most)
        self._chat.generate(prompt, _limited(asked, most), speech.heard)
        return speech.facts(len(prompt), began)


class _Speech:
    """An answer in the making."""

    def __init__(self, chat: Chat, asked: Asked, tell: Tell, wanted: Wanted, most: int) -> None:
        tokenizer = chat.tokenizer
        self._stops, self._most, self._wanted = frozenset(chat.stops), most, wanted
        self._tell = tell if asked.stream else None
        self._words = Words(lambda tokens: tokenizer.decode(tokens, skip_special_tokens=True))
        self._until = Until(asked.decoding.stop)
        self._text: list[str] = []
        self._tokens = 0
        self._first: float | None = None
        self._ended: str | None = None

    def heard(self, token: int) -> bool:
        if self._first is None:
            self._first = time.monotonic()
        self._tokens += 1
        if not self._wanted():
            self._ended = "cancelled"
        elif token in self._stops:
            self._ended = "stop"
        else:
            self._say(self._until.add(self._words.add(token)))
            if self._until.reached:
                self._ended = "stop"
            elif self._tokens >= self._most:
                self._ended = "length"
        return self._ended is None

    def _say(self, text: str) -> None:
        if text:
            self._text.append(text)
            if self._tell is not None:
                self._tell(text)

    def facts(self, prompt_tokens: int, began: float) -> dict[str, object]:
        if self._ended == "cancelled":
            raise Gone
        if not self._until.reached:
            self._say(self._until.add(self._words.rest()))
            self._say(self._until.rest())
        return {
            "text": "".join(self._text),
            "finishReason": self._ended or "length",
            "promptTokens": prompt_tokens,
            "completionTokens": self._tokens,
            "firstTokenS": None if self._first is None else self._first - began,
        }


def _prompt(chat: Chat, asked: Asked) -> list[int]:
    """A prompt is taken as it stands; a conversation is written as in training."""
    if asked.prompt is not None:
        found = chat.encode(asked.prompt)
    elif asked.messages is not None:
        require_template(chat.tokenizer)
        found = prompt_ids(chat.tokenizer, messages_of(list(asked.messages), "messages"), list(asked.tools) or None)
    else:
        raise WorkerFailure("invalid_request", "messages or prompt is missing: there is nothing to answer")
    if not found:
        raise WorkerFailure("invalid_request", "the prompt holds no token")
    return found


def _room(positions: int | None, prompt: int) -> int | None:
    if positions is None:
        return None
    if prompt >= positions:
        reason = f"the prompt has {prompt} tokens, and the model reads and writes {positions} together"
        raise WorkerFailure("invalid_request", reason, remedy="ask with fewer messages")
    return positions - prompt


def _limited(asked: Asked, most: int) -> Decoding:
    return replace(asked.decoding, max_new_tokens=most)
