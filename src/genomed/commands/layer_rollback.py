"""genome/layer-rollback: take the active layer out and go back to the one before, or to the base model."""

from msgspec import Struct

from genomed.commands.context import Context, Decided
from genomed.entities.configuration import Name
from genomed.entities.envelope import Write
from genomed.entities.errors import Conflict
from genomed.entities.layer import Genome, Layer, roll_back
from genomed.entities.types import Role

NAME = "genome/layer-rollback"
SUMMARY = "Take the active layer out; the one before is in use again."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """baseModel may be left out where the domain has a layer on one base model only."""

    persona_id: Name
    domain: Name
    base_model: Name | None = None
    reason: Name = "asked for by hand"
    expected_generation: int | None = None


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """restoredLayerId: in use now; null: the base model."""

    layer_id: str
    restored_layer_id: str | None
    generation: int


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises Conflict when no layer is active there, or the genome moved on."""
    stream = f"genome/{params.persona_id}"
    loaded = await context.log.load(stream)
    genome = loaded.state if isinstance(loaded.state, Genome) else None
    generation = genome.generation if genome else 0
    if params.expected_generation is not None and params.expected_generation != generation:
        raise Conflict(
            f"the genome is at generation {generation}, not {params.expected_generation}", field="expectedGeneration"
        )
    base_model = params.base_model or _only_base_model(genome, params.domain)
    before = await _layers_before(context, genome, params.domain, base_model)
    withdrawn = frozenset(name for name, (layer, _) in before.items() if layer.gone)
    event = roll_back(genome, params.domain, base_model, reason=params.reason, withdrawn=withdrawn)
    result = Result(layer_id=event.layer_id, restored_layer_id=event.restored_layer_id, generation=generation + 1)
    back = event.restored_layer_id
    unwithdrawn = (Write(stream=f"layer/{back}", expected=before[back][1], events=()),) if back else ()
    return Decided(result=result, writes=(Write(stream=stream, expected=loaded.version, events=(event,)), *unwithdrawn))


async def _layers_before(
    context: Context, genome: Genome | None, domain: str, base_model: str
) -> dict[str, tuple[Layer, int]]:
    """The layers that were in use there before, with their versions."""
    slot = genome.slot(domain, base_model) if genome else None
    found: dict[str, tuple[Layer, int]] = {}
    for layer_id in {layer_id for layer_id in (slot.history if slot else ()) if layer_id is not None}:
        loaded = await context.log.load(f"layer/{layer_id}")
        if isinstance(loaded.state, Layer):
            found[layer_id] = (loaded.state, loaded.version)
    return found


def _only_base_model(genome: Genome | None, domain: str) -> str:
    models = [s.base_model for s in genome.slots if s.domain == domain and s.layer_id] if genome else []
    if len(models) != 1:
        found = ", ".join(models) or "none"
        raise Conflict(
            f"layers of domain {domain!r} are active on {len(models)} base models: {found}",
            field="baseModel",
            remedy="name the baseModel" if models else None,
        )
    return models[0]
