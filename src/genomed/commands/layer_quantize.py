"""genome/layer-quantize: int8 weights for onnxruntime, of a layer or of what an export of it published."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, Decided, load_as
from genomed.commands.errand_requesting import (
    ErrandAsked,
    ErrandWish,
    WaitS,
    local_layers,
    request_errand,
    source_of,
)
from genomed.commands.layer_export import Prompts
from genomed.entities.configuration import Name
from genomed.entities.envelope import Write
from genomed.entities.errand_record import ErrandRecord
from genomed.entities.errors import Conflict, InvalidRequest, Problem, Unsupported
from genomed.entities.json_value import JsonObject
from genomed.entities.types import Role

NAME = "genome/layer-quantize"
SUMMARY = "Quantize a layer's ONNX export to int8."
ROLE = Role.OPERATE

Share = Annotated[float, Meta(ge=0, le=1)]


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """layerId: exported first, with layerIds put on after it; or errandId: of the export to take. One of the two.

    agreement: least share of positions whose likeliest token stays the same (language models). cosine: least cosine
    between numbers before and after (encoders, projections). scoreError: most that a reranker's score may move.
    Missing them publishes nothing. waitS: wait so long for the end.
    """

    layer_id: Name | None = None
    layer_ids: Annotated[tuple[Name, ...], Meta(max_length=15)] = ()
    errand_id: Name | None = None
    per_channel: bool = True
    agreement: Share | None = None
    cosine: Share | None = None
    score_error: Annotated[float, Meta(gt=0)] | None = None
    prompts: Prompts = ()
    tokens: Annotated[int, Meta(ge=1, le=512)] = 16
    reason: Name = "asked for by hand"
    wait_s: WaitS = 0.0


Result = ErrandAsked


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises InvalidRequest, NotFound, Conflict for what is gone or has not finished, Unsupported."""
    if (params.layer_id is None) == (params.errand_id is None):
        message = "name a layer, or the errand that exported one"
        raise InvalidRequest.of([Problem(field=name, message=message) for name in ("layerId", "errandId")])
    options: JsonObject = {
        "perChannel": params.per_channel,
        "agreement": params.agreement,
        "cosine": params.cosine,
        "scoreError": params.score_error,
        "prompts": list(params.prompts),
        "tokens": params.tokens,
    }
    if params.errand_id is not None:
        return await _of_export(params, context, params.errand_id, options)
    layers = await local_layers(context, (str(params.layer_id), *params.layer_ids))
    whole = options | {"source": await source_of(layers)}
    wish = ErrandWish(kind="quantize", layers=layers, options=whole, reason=params.reason)
    return await request_errand(context, wish, wait_s=params.wait_s)


async def _of_export(params: Params, context: Context, errand_id: str, options: JsonObject) -> Decided[Result]:
    """The layers are named for lineage alone, and must be there still; what is read is the export."""
    stream = f"errand/{errand_id}"
    record, version = await load_as(context, stream, ErrandRecord, what=f"errand {errand_id}")
    exported, manifest_sha256 = _export_in(errand_id, record)
    layers = await local_layers(context, [layer.layer_id for layer in record.requested.layers], field="errandId")
    wish = ErrandWish(
        kind="quantize",
        layers=layers,
        options=options | {"exported": exported},
        reason=params.reason,
        verify={exported: manifest_sha256},
    )
    unchanged = Write(stream=stream, expected=version, events=())
    return await request_errand(context, wish, wait_s=params.wait_s, conditions=(unchanged,))


def _export_in(errand_id: str, record: ErrandRecord) -> tuple[str, str]:
    """Where it lies, and the sha256 of its manifest."""
    if record.requested.kind != "export":
        raise Unsupported(f"errand {errand_id} is a {record.requested.kind}, no export", field="errandId")
    if record.export is None:
        what = "its files were removed" if record.removal_us is not None else f"it is {record.state}"
        raise Conflict(f"errand {errand_id} has no export to take: {what}", field="errandId")
    return record.export
