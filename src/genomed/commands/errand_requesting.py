"""What every command that asks for an errand shares: which layers can be worked on here, and the wish in the log.

Knows layers and errands; what the options of a kind are called, its command knows.
"""

from collections.abc import Sequence
from typing import Annotated

import anyio
from msgspec import Meta, Struct

from genomed.commands.context import Context, Decided, load_as
from genomed.commands.errand_view import ErrandView, errand_view
from genomed.entities.envelope import Write
from genomed.entities.errand_events import ErrandLayer, ErrandRequested
from genomed.entities.errand_port import RunsErrands
from genomed.entities.errand_record import ErrandRecord, evolve
from genomed.entities.errors import GenomeError, InvalidRequest, Problem, Unsupported
from genomed.entities.json_value import JsonObject
from genomed.entities.layer import Layer, refuse_withdrawn
from genomed.entities.types import RowKind

RUNNER = "local"
WaitS = Annotated[float, Meta(ge=0, le=3600)]

LOCAL_FORMATS = ("peft_lora", "full_model", "projection")
PROJECTION = "projection"
WHOLE = ("full_model", PROJECTION)
"""Formats whose folder is the model, so that no base model is opened."""

_KIND_OF_ROWS = {RowKind.TRIPLET: "encoder", RowKind.RANKING: "reranker", RowKind.VECTOR_PAIR: "projection"}


class ErrandAsked(Struct, frozen=True, kw_only=True, rename="camel"):
    """errand: as it stands, after waiting where that was asked for."""

    message: str
    errand: ErrandView


class LocalLayer(Struct, frozen=True, kw_only=True):
    """A layer whose files lie here. version: of its stream, as read."""

    layer_id: str
    layer: Layer
    version: int

    @property
    def path(self) -> str:
        return self.layer.published.path

    @property
    def named(self) -> ErrandLayer:
        facts = self.layer.published
        return ErrandLayer(layer_id=self.layer_id, path=facts.path, manifest_sha256=facts.manifest_sha256)


async def local_layers(
    context: Context,
    layer_ids: Sequence[str],
    *,
    field: str = "layerId",
    formats: Sequence[str] = LOCAL_FORMATS,
) -> tuple[LocalLayer, ...]:
    """Layers that work can be done on here, in that order.

    Raises NotFound; Conflict for one that was withdrawn or pruned; Unsupported for one that lies elsewhere.
    """
    found = []
    for layer_id in layer_ids:
        layer, version = await load_as(context, f"layer/{layer_id}", Layer, what=f"layer {layer_id}")
        refuse_withdrawn(layer_id, layer)
        _refuse_elsewhere(layer_id, layer, field, formats)
        found.append(LocalLayer(layer_id=layer_id, layer=layer, version=version))
    return tuple(found)


def _refuse_elsewhere(layer_id: str, layer: Layer, field: str, formats: Sequence[str]) -> None:
    facts = layer.published
    if facts.simulated:
        raise Unsupported(f"layer {layer_id} is simulated: it has no weights", field=field)
    if facts.artifact.format not in LOCAL_FORMATS:
        raise Unsupported(
            f"layer {layer_id} is kept by {facts.provider} ({facts.artifact.format}): its weights are not here",
            field=field,
            provider=facts.provider,
            remedy="train with provider local for a layer whose files are yours",
        )
    if facts.artifact.format not in formats:
        raise Unsupported(
            f"layer {layer_id} has format {facts.artifact.format}; this takes {', '.join(formats)}", field=field
        )


def model_kind(layer: Layer) -> str:
    """What sort of model it makes, in the words of the worker's exits: causal, encoder, reranker or projection."""
    if layer.published.artifact.format == PROJECTION:
        return PROJECTION
    return _KIND_OF_ROWS.get(layer.published.row_kind, "causal")


async def source_of(layers: Sequence[LocalLayer], *, field: str = "layerId") -> JsonObject:
    """`source` of the exits' options: one model made of a base model and layers, put on in that order.

    Raises InvalidRequest where the layers do not fit together; Unsupported where the base model lies elsewhere.
    """
    first = layers[0].layer.published
    problems = [
        Problem(field=field, message=f"layer {one.layer_id} is for {one.layer.published.base_model}")
        for one in layers[1:]
        if (one.layer.published.base_model, one.layer.published.row_kind) != (first.base_model, first.row_kind)
    ]
    whole = [one for one in layers if one.layer.published.artifact.format in WHOLE]
    if whole and len(layers) > 1:
        problems.append(Problem(field=field, message=f"layer {whole[0].layer_id} is a whole model: name it alone"))
    if problems:
        raise InvalidRequest.of(problems)
    if not whole and not await anyio.Path(first.base_model).is_dir():
        raise Unsupported(
            f"the base model {first.base_model} is no folder of this machine",
            field=field,
            remedy="work on layers opens no network: keep the base model as a folder and train on that",
        )
    return {
        "kind": model_kind(layers[0].layer),
        "baseModel": first.base_model,
        "layers": [one.path for one in layers],
    }


def base_models(layers: Sequence[LocalLayer]) -> tuple[str, ...]:
    """Folders of base models, to be read beside the layers."""
    names = (one.layer.published.base_model for one in layers if one.layer.published.artifact.format not in WHOLE)
    return tuple(name for name in dict.fromkeys(names) if name.startswith("/"))


class ErrandWish(Struct, frozen=True, kw_only=True):
    """kind: of `training/errand.py`; options: in that program's words. layers: may be none.

    reads: files and folders beside the layers and their base models. verify: of those, what was published here, by
    path, with the sha256 of its manifest. environment: variable -> reference of a secret, which is revealed to that one
    process. keeps: the result is published below exports/.
    """

    kind: str
    layers: tuple[LocalLayer, ...]
    options: JsonObject
    reason: str
    reads: tuple[str, ...] = ()
    verify: dict[str, str] = {}
    dataset_id: str | None = None
    network: bool = False
    environment: dict[str, str] = {}
    keeps: bool = True


async def request_errand(
    context: Context, wish: ErrandWish, *, wait_s: float = 0.0, conditions: Sequence[Write] = ()
) -> Decided[ErrandAsked]:
    """The wish, in the log; the daemon's loop carries it out. conditions: further streams that must be as they were
    read, as the layers must. Raises Unsupported where no work on layers is done here.
    """
    demand_runner(context)
    errand_id = context.new_id("errand")
    personas = {one.layer.published.persona_id for one in wish.layers}
    requested = ErrandRequested(
        kind=wish.kind,
        layers=tuple(one.named for one in wish.layers),
        options=wish.options,
        reason=wish.reason,
        persona_id=personas.pop() if len(personas) == 1 else None,
        reads=tuple(dict.fromkeys((*base_models(wish.layers), *wish.reads))),
        verify=wish.verify,
        dataset_id=wish.dataset_id,
        network=wish.network,
        environment=wish.environment,
        keeps=wish.keeps,
    )
    stream = f"errand/{errand_id}"
    record = evolve(None, requested, at_us=context.now_us())

    async def settle() -> ErrandAsked:
        await context.errands.until(stream, _has_ended, timeout_s=wait_s)
        now, _ = await load_as(context, stream, ErrandRecord, what=f"errand {errand_id}")
        return _asked(context, errand_id, now)

    unchanged = {
        one.layer_id: Write(stream=f"layer/{one.layer_id}", expected=one.version, events=()) for one in wish.layers
    }
    return Decided(
        result=_asked(context, errand_id, record),
        writes=(Write(stream=stream, expected=0, events=(requested,)), *unchanged.values(), *conditions),
        settle=settle if wait_s > 0 else None,
    )


def demand_runner(context: Context) -> None:
    """Raises Unsupported where the operator does not allow the provider whose processes do the work."""
    try:
        provider = context.providers.get(RUNNER)
    except GenomeError as refused:
        message = f"work on layers is done by provider {RUNNER}, which is not allowed here"
        raise Unsupported(message, provider=RUNNER, remedy=f"add {RUNNER} to allowed_providers") from refused
    if not isinstance(provider, RunsErrands):
        raise Unsupported(f"provider {RUNNER} does no work on layers here", provider=RUNNER)


def _has_ended(state: object) -> bool:
    return isinstance(state, ErrandRecord) and state.ended


def _asked(context: Context, errand_id: str, record: ErrandRecord) -> ErrandAsked:
    message = f"{record.requested.kind} is {record.state}"
    if not record.ended:
        message += f"; follow it with genome/errand-show {errand_id}"
    return ErrandAsked(message=message, errand=errand_view(context, errand_id, record))
