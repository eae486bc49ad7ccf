"""genome/layer-merge: one whole model of a base model and layers, as plain safetensors below exports/."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from genomed.commands.context import Context, Decided
from genomed.commands.errand_requesting import (
    ErrandAsked,
    ErrandWish,
    WaitS,
    local_layers,
    model_kind,
    request_errand,
    source_of,
)
from genomed.entities.configuration import Name
from genomed.entities.errors import Unsupported
from genomed.entities.json_value import JsonObject
from genomed.entities.types import Role

NAME = "genome/layer-merge"
SUMMARY = "Merge a layer into its base model; the result is a whole model."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """layerIds: further layers of the same base model, put on after layerId in this order. precision: of the weights
    written. tolerance: largest difference of a number that the merged model gives, relative to the largest one; not
    given: by the precision. waitS: wait so long for the end.
    """

    layer_id: Name
    layer_ids: Annotated[tuple[Name, ...], Meta(max_length=15)] = ()
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    tolerance: Annotated[float, Meta(gt=0, le=1)] | None = None
    reason: Name = "asked for by hand"
    wait_s: WaitS = 0.0


Result = ErrandAsked


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, Conflict for a layer that is gone, Unsupported for one that lies elsewhere."""
    layers = await local_layers(context, (params.layer_id, *params.layer_ids), formats=("peft_lora", "full_model"))
    if model_kind(layers[0].layer) == "projection":
        raise Unsupported("a projection has no base model to be merged into", field="layerId")
    options: JsonObject = {
        "source": await source_of(layers),
        "precision": params.precision,
        "tolerance": params.tolerance,
    }
    wish = ErrandWish(kind="merge", layers=layers, options=options, reason=params.reason)
    return await request_errand(context, wish, wait_s=params.wait_s)
