"""genome/layer-import: take in a LoRA that was trained elsewhere. Only what runs no code, and fits its base model.

It is a layer like any other from then on, but for one thing: nobody knows what taught it.
"""

from msgspec import Struct

from genomed.commands.context import AbsolutePath, Context, Decided
from genomed.commands.errand_requesting import RUNNER
from genomed.commands.layer_show import LayerView, layer_view
from genomed.entities.configuration import Name, PersonaName
from genomed.entities.envelope import Write
from genomed.entities.errors import Unsupported
from genomed.entities.events import LayerPublished
from genomed.entities.layer import evolve_layer
from genomed.entities.layer_import_port import ImportsLayers, LayerImport
from genomed.entities.layer_keeping_events import LayerImported
from genomed.entities.types import Role, RowKind

NAME = "genome/layer-import"
SUMMARY = "Take in a PEFT folder that was trained elsewhere, as a layer."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """path: a folder as peft writes it: adapter_config.json and adapter_model.safetensors. baseModel: the folder of the
    model that it is for; its shapes must fit. rowKind: what it learned from, as far as that is known.
    """

    path: AbsolutePath
    persona_id: PersonaName
    domain: Name
    base_model: AbsolutePath
    row_kind: RowKind = RowKind.CHAT
    reason: Name = "asked for by hand"


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """baseModelNamed: what the folder said of its base model. leftOut: names that were not taken."""

    layer: LayerView
    base_model_named: str | None
    left_out: tuple[str, ...]


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises InvalidRequest that names everything wrong with the folder, Unsupported, Capacity, Transient."""
    provider = context.providers.get(RUNNER)
    if not isinstance(provider, ImportsLayers):
        raise Unsupported(f"{provider.name} takes in no layers", provider=provider.name)
    layer_id = context.new_id("layer")
    wish = LayerImport(layer_id=layer_id, source=params.path, base_model=params.base_model)
    taken = await provider.imports.take(wish)
    published = LayerPublished(
        persona_id=params.persona_id,
        domain=params.domain,
        base_model=params.base_model,
        job_id="",
        attempt=0,
        provider=provider.name,
        dataset_id="",
        row_kind=params.row_kind,
        artifact=taken.published.artifact,
        path=taken.published.path,
        manifest_sha256=taken.published.manifest_sha256,
    )
    imported = LayerImported(
        source=params.path,
        base_model_named=taken.base_model_named,
        reason=params.reason,
        left_out=taken.left_out,
    )
    layer = evolve_layer(None, published, at_us=context.now_us())
    layer = evolve_layer(layer, imported, at_us=context.now_us())
    return Decided(
        result=Result(
            layer=await layer_view(context, layer_id, layer),
            base_model_named=taken.base_model_named,
            left_out=taken.left_out,
        ),
        writes=(Write(stream=f"layer/{layer_id}", expected=0, events=(published, imported)),),
    )
