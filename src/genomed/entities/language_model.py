"""Language models and encoders that the operator configured for recipes: where they are, how fast, at what price. Pure.

No model and no price is shipped. Knows numbers; asks nobody.
"""

from collections.abc import Sequence
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from genomed.entities.configuration import REFERENCE
from genomed.entities.errors import Transient
from genomed.entities.rows import Message

Word = Annotated[str, Meta(min_length=1, max_length=256)]
Usd = Annotated[float, Meta(ge=0, le=1_000_000)]

PER_MESSAGE_TOKENS = 16
"""More than any chat template that we know puts around one message; part of a bound, not of an estimate."""

CHARACTERS_PER_TOKEN = 4
"""A rule of thumb for English text, for estimates only; whoever shows one says so."""


class ModelSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[models.NAME]` of the configuration: a server that speaks OpenAI's chat completions or embeddings.

    model, embedding_model: what the server calls them; recipes ask the first, encoders are the second. api_key: a
    reference, never the key; null for a server that asks for none. requests_per_minute, concurrency: for all runs
    together. max_tokens: the longest answer that is ever asked for; max_tokens_field: which name the server has for
    that. json_mode: whether it takes response_format. tries: how often one question is put in all; retry_s: the first
    wait between two, which doubles. Prices are USD per million tokens; free: it costs nothing, as one's own machine.
    """

    base_url: Annotated[str, Meta(pattern="^https?://[^/]", max_length=1024)]
    model: Word | None = None
    embedding_model: Word | None = None
    api_key: Annotated[str, Meta(pattern=REFERENCE)] | None = None
    requests_per_minute: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None
    concurrency: Annotated[int, Meta(ge=1, le=256)] = 4
    timeout_s: Annotated[float, Meta(gt=0, le=3600)] = 120
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    json_mode: bool = True
    tries: Annotated[int, Meta(ge=1, le=20)] = 5
    retry_s: Annotated[float, Meta(gt=0, le=60)] = 1.0
    prompt_usd_per_million: Usd | None = None
    completion_usd_per_million: Usd | None = None
    free: bool = False

    @property
    def priced(self) -> bool:
        return self.prompt_usd_per_million is not None

    @property
    def costs_nothing(self) -> bool:
        """By its own word, or because it runs on this machine and has no price."""
        local = urlsplit(self.base_url).hostname in {"localhost", "127.0.0.1", "::1"}
        return self.free or (local and not self.priced)

    def usd(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        """Null where nobody wrote down a price."""
        if self.costs_nothing:
            return 0.0
        if self.prompt_usd_per_million is None:
            return None
        # Encoders answer no tokens, so they need no second price; for a chat model it is asked for at the start.
        completion = self.completion_usd_per_million or 0.0
        return (prompt_tokens * self.prompt_usd_per_million + completion_tokens * completion) / 1_000_000


class Unreached(Transient):
    """Certainly not sent: nobody was there to take it."""


class LostAnswer(Transient):
    """Sent, and no whole answer came: whether tokens were used nobody tells us."""


class Embedded(Struct, frozen=True, kw_only=True):
    """One vector per text, as the server gave them. tokens: null where it does not count."""

    vectors: list[tuple[float, ...]]
    tokens: int | None


def prompt_bound(messages: Sequence[Message]) -> int:
    """More tokens than these messages can have: a byte-level tokenizer makes no more tokens than there are bytes."""
    return sum(len(message.text.encode()) + PER_MESSAGE_TOKENS for message in messages)


def texts_bound(texts: Sequence[str]) -> int:
    return sum(len(text.encode()) + PER_MESSAGE_TOKENS for text in texts)


def settings_complaints(settings: ModelSettings) -> list[tuple[str, str]]:
    """(field, what is wrong) of what the types cannot say."""
    found: list[tuple[str, str]] = []
    if settings.model is None and settings.embedding_model is None:
        found.append(("model", "names neither a model nor an embedding_model"))
    if settings.priced and settings.model is not None and settings.completion_usd_per_million is None:
        found.append(("completion_usd_per_million", "is missing beside prompt_usd_per_million"))
    if settings.completion_usd_per_million is not None and not settings.priced:
        found.append(("prompt_usd_per_million", "is missing beside completion_usd_per_million"))
    if settings.free and settings.priced:
        found.append(("free", "contradicts the prices beside it"))
    return found
