"""What chat completions and embeddings look like on the wire, as far as recipes need it."""

from msgspec import Struct


class AnswerMessage(Struct, frozen=True, kw_only=True):
    content: str | None = None


class Choice(Struct, frozen=True, kw_only=True):
    message: AnswerMessage
    finish_reason: str | None = None


class Usage(Struct, frozen=True, kw_only=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class ChatAnswer(Struct, frozen=True, kw_only=True):
    choices: tuple[Choice, ...]
    model: str | None = None
    usage: Usage | None = None


class Vector(Struct, frozen=True, kw_only=True):
    index: int
    embedding: tuple[float, ...]


class EmbeddingAnswer(Struct, frozen=True, kw_only=True):
    data: tuple[Vector, ...]
    usage: Usage | None = None
