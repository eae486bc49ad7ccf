"""genome/layer-prune: let the files of layers go that nothing uses and nothing may go back to.

A dry run unless it is told otherwise. What was learned from a layer stays told: its events, its lineage, its verdict.
"""

from typing import Annotated

import anyio
from msgspec import Meta, Struct
from msgspec.structs import replace

from genomed.commands.context import Context, Decided, load_as
from genomed.commands.errand_requesting import LOCAL_FORMATS, WaitS
from genomed.commands.layer_uses import Shelf, in_use, shelf
from genomed.entities.configuration import Name, PersonaName
from genomed.entities.envelope import Write
from genomed.entities.layer import Layer
from genomed.entities.layer_keeping_events import LayerPruneRequested
from genomed.entities.types import Role

NAME = "genome/layer-prune"
SUMMARY = "Delete the files of layers that are of no use any more; tries it first."
ROLE = Role.OPERATE

DAY_US = 86_400_000_000


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """personaId, domain, layerIds: only these. keepHistory: of each genome slot, so many layers before the active one
    stay, to be rolled back to. olderThanDays: since they were published. limit: layers in one go.

    dryRun: only show what would go. waitS: wait so long until it is gone, and tell the bytes truly freed.
    """

    persona_id: PersonaName | None = None
    domain: Name | None = None
    layer_ids: Annotated[tuple[Name, ...], Meta(max_length=200)] = ()
    keep_history: Annotated[int, Meta(ge=0, le=1000)] = 3
    older_than_days: Annotated[float, Meta(ge=0, le=36_500)] = 30.0
    limit: Annotated[int, Meta(ge=1, le=200)] = 100
    dry_run: bool = True
    reason: Name = "of no use any more"
    wait_s: WaitS = 0.0


class Going(Struct, frozen=True, kw_only=True, rename="camel"):
    """freeableBytes: what the disk would give back, measured now. bytesFreed: what it gave back; null until then."""

    layer_id: str
    persona_id: str
    domain: str
    base_model: str
    published_us: int
    files: int
    freeable_bytes: int
    bytes_freed: int | None = None


class Staying(Struct, frozen=True, kw_only=True, rename="camel"):
    layer_id: str
    reason: str


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """bytesFreed: of those that are gone when this is answered. more: further layers would go than limit."""

    dry_run: bool
    going: tuple[Going, ...]
    staying: tuple[Staying, ...]
    freeable_bytes: int
    bytes_freed: int | None
    more: bool


async def run(params: Params, context: Context) -> Result | Decided[Result]:
    """Raises NotFound for a layer that is named and is not there."""
    known = await shelf(context, keep_history=params.keep_history)
    for layer_id in params.layer_ids:
        await load_as(context, f"layer/{layer_id}", Layer, what=f"layer {layer_id}")
    staying, candidates = _sorted_out(params, known, now_us=context.now_us())
    chosen = candidates[: params.limit]
    going = tuple([await _going(context, layer_id, known.layers[layer_id][0]) for layer_id in chosen])
    more = len(candidates) > params.limit
    if params.dry_run or not going:
        return _result(going, staying, more=more, dry_run=params.dry_run)

    async def settle() -> Result:
        with anyio.move_on_after(params.wait_s):
            for one in going:
                await context.errands.until(f"layer/{one.layer_id}", _is_gone, timeout_s=params.wait_s)
        told = tuple([await _now(context, one) for one in going])
        return _result(told, staying, more=more, dry_run=False)

    wishes = [
        Write(
            stream=f"layer/{layer_id}",
            expected=known.layers[layer_id][1],
            events=(LayerPruneRequested(path=known.layers[layer_id][0].published.path, reason=params.reason),),
        )
        for layer_id in chosen
    ]
    personas = {known.layers[layer_id][0].published.persona_id for layer_id in chosen}
    inactive = [
        Write(stream=f"genome/{persona}", expected=known.genomes[persona][1], events=()) for persona in sorted(personas)
    ]
    return Decided(
        result=_result(going, staying, more=more, dry_run=False),
        writes=(*wishes, *inactive),
        settle=settle if params.wait_s > 0 else None,
    )


def _sorted_out(params: Params, known: Shelf, *, now_us: int) -> tuple[tuple[Staying, ...], list[str]]:
    """Why each layer that was asked about stays; and those that go, the oldest first."""
    asked = {layer_id: layer for layer_id, (layer, _) in known.layers.items() if _is_asked(params, layer_id, layer)}
    reasons = {layer_id: _why(params, layer, known.uses.get(layer_id), now_us) for layer_id, layer in asked.items()}
    used = in_use(known, going={layer_id for layer_id, why in reasons.items() if why is None})
    reasons |= {layer_id: used[layer_id] for layer_id, why in reasons.items() if why is None and layer_id in used}
    staying = tuple(Staying(layer_id=layer_id, reason=why) for layer_id, why in reasons.items() if why is not None)
    return staying, [layer_id for layer_id, why in reasons.items() if why is None]


def _is_asked(params: Params, layer_id: str, layer: Layer) -> bool:
    facts = layer.published
    wanted = ((params.persona_id, facts.persona_id), (params.domain, facts.domain))
    if any(asked is not None and asked != own for asked, own in wanted):
        return False
    if params.layer_ids:
        return layer_id in params.layer_ids
    return layer.pruning is None


def _why(params: Params, layer: Layer, use: str | None, now_us: int) -> str | None:
    """Why it stays by itself; None when it may go."""
    if layer.pruning is not None:
        return "it was pruned before"
    if layer.published.artifact.format not in LOCAL_FORMATS:
        return f"its weights are kept by {layer.published.provider}: genome/layer-withdraw lets them go"
    if use is not None:
        return use
    if now_us - layer.published_us < params.older_than_days * DAY_US:
        return f"it was published within {params.older_than_days:g} days"
    return None


async def _going(context: Context, layer_id: str, layer: Layer) -> Going:
    facts = layer.published
    files, freeable = await context.errands.weigh_layer(layer_id)
    return Going(
        layer_id=layer_id,
        persona_id=facts.persona_id,
        domain=facts.domain,
        base_model=facts.base_model,
        published_us=layer.published_us,
        files=files,
        freeable_bytes=freeable,
    )


async def _now(context: Context, one: Going) -> Going:
    layer, _ = await load_as(context, f"layer/{one.layer_id}", Layer, what=f"layer {one.layer_id}")
    freed = layer.pruning.bytes_freed if layer.pruning else None
    return replace(one, bytes_freed=freed)


def _is_gone(state: object) -> bool:
    return isinstance(state, Layer) and state.pruning is not None and state.pruning.pruned_us is not None


def _result(going: tuple[Going, ...], staying: tuple[Staying, ...], *, more: bool, dry_run: bool) -> Result:
    freed = [one.bytes_freed for one in going if one.bytes_freed is not None]
    return Result(
        dry_run=dry_run,
        going=going,
        staying=staying,
        freeable_bytes=sum(one.freeable_bytes for one in going),
        bytes_freed=sum(freed) if freed else None,
        more=more,
    )
