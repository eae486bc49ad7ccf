"""genome/infer: ask a layer, a persona's active layer or a base model on this machine, and say how long it took.

Nothing is written: an answer is no event. Words come in pieces where the caller asks for them.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from genomed.commands.context import Context, as_text, load_as
from genomed.entities.bucket import Bucket
from genomed.entities.configuration import Name
from genomed.entities.errand_record import ErrandRecord
from genomed.entities.errors import Conflict, Forbidden, InvalidRequest, Problem, Unsupported
from genomed.entities.inference_port import (
    MOST_NEW_TOKENS,
    Answer,
    Decoding,
    InferenceEngine,
    InferenceKind,
    Question,
)
from genomed.entities.json_value import JsonObject
from genomed.entities.layer import Genome, Layer, refuse_withdrawn
from genomed.entities.rows import Message
from genomed.entities.types import Role

NAME = "genome/infer"
SUMMARY = "Ask a layer or a base model on this machine."
ROLE = Role.CAPTURE

MOST_TEXTS = 4096
Vector = tuple[float, ...]


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Whom: layerId; or personaId and domain (the layer that is active there, on baseModel); or baseModel alone;
    or errandId: an export, to be run by onnxruntime (layerId beside it must be its layer).

    What: one of messages (as in training: the same template), prompt (taken as it stands), texts (to embed), pairs (a
    query and a document each, to score), vectors (to project). temperature 0: always the likeliest token. stop: texts
    that end the answer. stream: the words as they come, then the result.
    """

    layer_id: Name | None = None
    persona_id: Name | None = None
    domain: Name | None = None
    base_model: Name | None = None
    errand_id: Name | None = None
    messages: Annotated[tuple[Message, ...], Meta(min_length=1)] | None = None
    tools: tuple[JsonObject, ...] = ()
    prompt: Annotated[str, Meta(min_length=1)] | None = None
    texts: Annotated[tuple[str, ...], Meta(min_length=1, max_length=MOST_TEXTS)] | None = None
    pairs: Annotated[tuple[tuple[str, str], ...], Meta(min_length=1, max_length=MOST_TEXTS)] | None = None
    vectors: Annotated[tuple[Vector, ...], Meta(min_length=1, max_length=MOST_TEXTS)] | None = None
    max_new_tokens: Annotated[int, Meta(ge=1, le=MOST_NEW_TOKENS)] = 256
    temperature: Annotated[float, Meta(ge=0, le=10)] = 0.0
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    stop: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...], Meta(max_length=16)] = ()
    stream: bool = False


class Piece(Struct, frozen=True, kw_only=True, rename="camel"):
    """What came next of an answer that is streamed."""

    text: str


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """layerId: who answered; null for the base model. text, or vectors, or scores: as was asked.

    finishReason: `stop` (it ended, or said one of stop) or `length`. waitedS: for its worker, that it was loaded, and
    for others. firstTokenS, seconds: from there on. workerMemoryBytes: what the worker held at most so far.
    """

    layer_id: str | None
    base_model: str
    engine: InferenceEngine
    text: str | None
    vectors: tuple[Vector, ...] | None
    scores: tuple[float, ...] | None
    finish_reason: str
    prompt_tokens: int | None
    completion_tokens: int | None
    tokens_per_second: float | None
    waited_s: float
    first_token_s: float | None
    seconds: float
    worker_memory_bytes: int | None


class Whom(Struct, frozen=True, kw_only=True):
    """Who is to answer. base_model: what the worker loads; a layer that is a whole model is a base of its own.

    published: folders of layers and exports -> hash of their manifest.
    """

    base_model: str
    layer_id: str | None = None
    layer: str | None = None
    engine: InferenceEngine = "peft"
    published: dict[str, str] = {}


async def run(params: Params, context: Context) -> Result:
    """Raises InvalidRequest, NotFound, Conflict (withdrawn, changed), Unsupported, Capacity, Transient."""
    kind = _kind(params)
    layer_id, base_model = await _named(params, context)
    whom, shown = await _whom(params, context, layer_id, base_model)

    async def say(text: str) -> None:
        await context.tell(Piece(text=text))

    answer = await context.inference.answer(_question(params, kind, whom), say=say if params.stream else None)
    return _result(answer, whom, shown)


def _kind(params: Params) -> InferenceKind:
    """Raises InvalidRequest, unless exactly one thing is asked."""
    asked: dict[str, InferenceKind] = {
        "messages": "chat", "prompt": "chat", "texts": "embed", "pairs": "score", "vectors": "project",
    }  # fmt: skip
    given = [name for name in asked if getattr(params, name) is not None]
    if len(given) != 1:
        told = f"one of {', '.join(asked)} is to be given, not {' and '.join(given) or 'none'}"
        raise InvalidRequest.of([Problem(field=given[1] if given else "messages", message=told)])
    return asked[given[0]]


async def _named(params: Params, context: Context) -> tuple[str | None, str]:
    """The layer, if any, and the base model; that of a layer or an export which is named is told later.

    Raises InvalidRequest.
    """
    alone = "layerId" if params.layer_id is not None else "errandId" if params.errand_id is not None else None
    if alone is not None:
        others = {"domain": params.domain, "baseModel": params.base_model}
        if wrong := [Problem(field=name, message=f"goes without {alone}") for name, said in others.items() if said]:
            raise InvalidRequest.of(wrong)
        return params.layer_id, ""
    base_model = params.base_model or context.default_base_model
    if params.domain is not None and params.persona_id is None:
        raise InvalidRequest.of([Problem(field="personaId", message="is needed beside domain")])
    if base_model is None:
        remedy = "name it, or set learning.base_model in the configuration"
        raise InvalidRequest.of([Problem(field="baseModel", message="is not known", remedy=remedy)])
    if params.persona_id is None or params.domain is None:
        return None, base_model
    genome = (await context.log.load(f"genome/{params.persona_id}")).state
    return genome.active(params.domain, base_model) if isinstance(genome, Genome) else None, base_model


async def _whom(params: Params, context: Context, layer_id: str | None, base_model: str) -> tuple[Whom, str]:
    """Whom to ask, and the base model's name to show."""
    if layer_id is None:
        if params.errand_id is not None:
            exported = await _exported(params.errand_id, context, None)
            return exported, await _base_model_of(exported.layer_id, context) or exported.base_model
        await _demand_in_use(base_model, context)
        return Whom(base_model=base_model), base_model
    layer, _ = await load_as(context, f"layer/{layer_id}", Layer, what=f"layer {layer_id}")
    refuse_withdrawn(layer_id, layer)
    facts = layer.published
    if params.errand_id is not None:
        return await _exported(params.errand_id, context, layer_id), facts.base_model
    published = {facts.path: facts.manifest_sha256}
    if facts.simulated or facts.artifact.format not in ("peft_lora", "full_model", "projection"):
        raise Unsupported(
            f"layer {layer_id} has no weights on this machine (format {facts.artifact.format})",
            field="layerId",
            provider=facts.provider,
            remedy="ask it where it is served: genome/layer-deploy",
        )
    if facts.artifact.format == "peft_lora":
        return Whom(
            base_model=facts.base_model, layer_id=layer_id, layer=facts.path, published=published
        ), facts.base_model
    return Whom(base_model=facts.path, layer_id=layer_id, published=published), facts.base_model


async def _demand_in_use(base_model: str, context: Context) -> None:
    """Raises Forbidden: who may not operate loads no model of its own choice, which takes the machine's memory."""
    if context.caller.role in (Role.OPERATE, Role.ADMIN) or base_model == context.default_base_model:
        return
    if await context.log.query("SELECT 1 FROM layers WHERE base_model = ? LIMIT 1", (base_model,)):
        return
    for (raw,) in await context.log.query("SELECT bucket_id FROM buckets WHERE base_model = ?", (base_model,)):
        bucket = (await context.log.load(f"bucket/{as_text(raw)}")).state
        if isinstance(bucket, Bucket) and bucket.rule is not None:  # whoever captures opens buckets, but sets no rule
            return
    raise Forbidden(
        f"no layer here has the base model {base_model}, and no rule is about it: whoever may operate may ask it",
        field="baseModel",
        remedy="ask a layer, or a base model that is in use",
    )


async def _exported(errand_id: str, context: Context, layer_id: str | None) -> Whom:
    """Raises NotFound, Conflict for an errand that left nothing that onnxruntime could run, or is of another layer."""
    record, _ = await load_as(context, f"errand/{errand_id}", ErrandRecord, what=f"errand {errand_id}")
    finished = record.finished
    if finished is None or record.export is None:
        raise Conflict(f"errand {errand_id} has no result that is kept", field="errandId")
    if not any(name.endswith(".onnx") for name in finished.files):
        raise Conflict(f"errand {errand_id} exported nothing for onnxruntime", field="errandId")
    layers = [one.layer_id for one in record.requested.layers]
    if layer_id is not None and layer_id not in layers:
        raise Conflict(f"errand {errand_id} is an export of {', '.join(layers) or 'no layer'}", field="errandId")
    path, manifest_sha256 = record.export
    answering = layers[0] if layers else None
    return Whom(base_model=path, layer_id=answering, engine="onnx", published={path: manifest_sha256})


async def _base_model_of(layer_id: str | None, context: Context) -> str | None:
    """Of a layer whose own files may be gone: an export stands by itself."""
    state = None if layer_id is None else (await context.log.load(f"layer/{layer_id}")).state
    return state.published.base_model if isinstance(state, Layer) else None


def _question(params: Params, kind: InferenceKind, whom: Whom) -> Question:
    messages = None if params.messages is None else msgspec.to_builtins(params.messages)
    return Question(
        base_model=whom.base_model,
        engine=whom.engine,
        kind=kind,
        layer=whom.layer,
        published=whom.published,
        messages=messages,
        tools=params.tools,
        prompt=params.prompt,
        texts=params.texts or (),
        pairs=params.pairs or (),
        vectors=params.vectors or (),
        decoding=Decoding(
            max_new_tokens=params.max_new_tokens,
            temperature=params.temperature,
            top_p=params.top_p,
            seed=params.seed,
            stop=params.stop,
        ),
    )


def _result(answer: Answer, whom: Whom, base_model: str) -> Result:
    tokens = answer.completion_tokens
    return Result(
        layer_id=whom.layer_id,
        base_model=base_model,
        engine=whom.engine,
        text=answer.text,
        vectors=answer.vectors,
        scores=answer.scores,
        finish_reason=answer.finish_reason,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=tokens,
        tokens_per_second=tokens / answer.seconds if tokens and answer.seconds else None,
        waited_s=answer.waited_s,
        first_token_s=answer.first_token_s,
        seconds=answer.seconds,
        worker_memory_bytes=answer.memory_bytes,
    )
