"""Whoever lets models and layers answer on this machine, and how it is asked. Not part of the provider contract."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal, Protocol, runtime_checkable

from msgspec import Meta, Struct

from genomed.entities.json_value import JsonObject

InferenceKind = Literal["chat", "embed", "score", "project"]
InferenceEngine = Literal["peft", "onnx"]

MOST_NEW_TOKENS = 131_072


class Decoding(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """temperature 0: always the likeliest token. seed: the same one draws the same words. stop: texts that end the
    answer, and are not part of it.
    """

    max_new_tokens: Annotated[int, Meta(ge=1, le=MOST_NEW_TOKENS)] = 256
    temperature: Annotated[float, Meta(ge=0, le=10)] = 0.0
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    stop: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...], Meta(max_length=16)] = ()


class Question(Struct, frozen=True, kw_only=True):
    """One request. base_model: a folder or a name on the hub; for engine onnx the exported folder.

    layer: the folder of the layer to switch on; None asks the base model. published: folders of layers and exports
    among these -> hash of the manifest, as the log has it.
    """

    base_model: str
    engine: InferenceEngine
    kind: InferenceKind
    revision: str | None = None
    layer: str | None = None
    published: dict[str, str] = {}
    messages: tuple[JsonObject, ...] | None = None
    tools: tuple[JsonObject, ...] = ()
    prompt: str | None = None
    texts: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    vectors: tuple[tuple[float, ...], ...] = ()
    decoding: Decoding = Decoding()


class Answer(Struct, frozen=True, kw_only=True):
    """text: of a chat; vectors, scores: of the others. finish_reason: `stop` or `length`.

    waited_s: for the worker, its loading and others' turns; first_token_s, seconds: from then on. memory_bytes: what
    the worker held at most so far.
    """

    text: str | None = None
    vectors: tuple[tuple[float, ...], ...] | None = None
    scores: tuple[float, ...] | None = None
    finish_reason: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    first_token_s: float | None = None
    seconds: float
    waited_s: float
    memory_bytes: int | None = None


class InferenceWorker(Struct, frozen=True, kw_only=True, rename="camel"):
    """A worker that is kept. waiting: requests, the one that is answered among them. memoryBytes: at most so far."""

    base_model: str
    engine: InferenceEngine
    kind: InferenceKind
    pid: int
    waiting: int
    answered: int
    memory_bytes: int | None


Say = Callable[[str], Awaitable[None]]


class Inference(Protocol):
    """Workers that hold a model in memory between requests. They end with the daemon."""

    async def answer(self, question: Question, *, say: Say | None = None) -> Answer:
        """say: takes the words as they come. To be cancelled takes the request back, within a token.

        Raises InvalidRequest, Unsupported, Capacity (no memory for another model), Transient (its worker died).
        """
        ...

    async def status(self) -> tuple[InferenceWorker, ...]: ...


@runtime_checkable
class Infers(Protocol):
    """A provider whose results can answer on this machine."""

    @property
    def inference(self) -> Inference: ...
