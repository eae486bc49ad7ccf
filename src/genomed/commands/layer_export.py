"""genome/layer-export: a layer as ONNX, verified against torch before it is published below exports/."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from genomed.commands.context import Context, Decided
from genomed.commands.errand_requesting import ErrandAsked, ErrandWish, WaitS, local_layers, request_errand, source_of
from genomed.entities.configuration import Name
from genomed.entities.json_value import JsonObject
from genomed.entities.types import Role

NAME = "genome/layer-export"
SUMMARY = "Export a layer with its base model as ONNX."
ROLE = Role.OPERATE

Prompts = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=4000)], ...], Meta(max_length=16)]


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """layerIds: further layers of the same base model, put on after layerId in this order. tolerance: of numbers
    against torch; not given: 1e-4. prompts, tokens: what greedy decoding is compared on, and for how long. opset: not
    given: the one that this version was tried with. waitS: wait so long for the end.
    """

    layer_id: Name
    layer_ids: Annotated[tuple[Name, ...], Meta(max_length=15)] = ()
    format: Literal["onnx"] = "onnx"
    opset: Annotated[int, Meta(ge=13, le=30)] | None = None
    tolerance: Annotated[float, Meta(gt=0, le=1)] | None = None
    prompts: Prompts = ()
    tokens: Annotated[int, Meta(ge=1, le=512)] = 16
    reason: Name = "asked for by hand"
    wait_s: WaitS = 0.0


Result = ErrandAsked


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, Conflict for a layer that is gone, Unsupported for one that lies elsewhere."""
    layers = await local_layers(context, (params.layer_id, *params.layer_ids))
    options: JsonObject = {
        "source": await source_of(layers),
        "opset": params.opset,
        "tolerance": params.tolerance,
        "prompts": list(params.prompts),
        "tokens": params.tokens,
    }
    wish = ErrandWish(kind="export", layers=layers, options=options, reason=params.reason)
    return await request_errand(context, wish, wait_s=params.wait_s)
