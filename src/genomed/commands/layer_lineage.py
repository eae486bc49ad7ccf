"""Which version of what a layer is, and which layers it comes from and led to."""

from msgspec import Struct

from genomed.commands.context import Context, as_int, as_text
from genomed.entities.events import LayerPublished
from genomed.entities.layer import Layer

MOST = 500
"""Layers of one slot that a family is looked for among: the newest."""

_VERSION = """
SELECT count(*) FROM layers WHERE persona_id = ?1 AND domain = ?2 AND base_model = ?3
  AND position < coalesce((SELECT position FROM layers WHERE layer_id = ?4), 9223372036854775807)
"""
_SLOT = """
SELECT layer_id, active FROM (
  SELECT layer_id, active, position FROM layers WHERE persona_id = ? AND domain = ? AND base_model = ?
  ORDER BY position DESC LIMIT ?
) ORDER BY position
"""


class Relative(Struct, frozen=True, kw_only=True, rename="camel"):
    """gone: withdrawn or pruned; it still stands in the lineage. adopted: the verdict was in its favour."""

    layer_id: str
    parent_layer_id: str | None
    version: int
    active: bool
    adopted: bool
    gone: bool
    published_us: int


async def version_of(context: Context, layer_id: str, facts: LayerPublished) -> int:
    """From 1, by (persona, domain, base model), in the order of publication; the next one for a layer to come."""
    wanted = (facts.persona_id, facts.domain, facts.base_model, layer_id)
    ((before,),) = await context.log.query(_VERSION, wanted)
    return as_int(before) + 1


async def lineage(context: Context, layer_id: str) -> tuple[str, ...]:
    """The layer and its parents, newest first."""
    chain: list[str] = []
    current: str | None = layer_id
    while current is not None and current not in chain:
        chain.append(current)
        state = (await context.log.load(f"layer/{current}")).state
        current = state.published.parent_layer_id if isinstance(state, Layer) else None
    return tuple(chain)


async def family(context: Context, facts: LayerPublished, *, root: str) -> tuple[Relative, ...]:
    """The root and everything that comes from it, the oldest first: a tree by parentLayerId."""
    rows = await context.log.query(_SLOT, (facts.persona_id, facts.domain, facts.base_model, MOST))
    found: dict[str, Relative] = {}
    for raw, active in rows:
        layer_id = as_text(raw)
        layer = (await context.log.load(f"layer/{layer_id}")).state
        if not isinstance(layer, Layer):
            continue
        parent = layer.published.parent_layer_id
        if layer_id == root or parent in found:
            found[layer_id] = Relative(
                layer_id=layer_id,
                parent_layer_id=parent,
                version=await version_of(context, layer_id, layer.published),
                active=bool(active),
                adopted=layer.verdict is not None and layer.verdict.adopt,
                gone=layer.gone,
                published_us=layer.published_us,
            )
    return tuple(found.values())
