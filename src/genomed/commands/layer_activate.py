"""genome/layer-activate: put a layer into use for its persona, in place of what is active there."""

from msgspec import Struct

from genomed.commands.context import Context, Decided, load_as
from genomed.entities.configuration import Name
from genomed.entities.envelope import Write
from genomed.entities.errors import Conflict
from genomed.entities.layer import Genome, Layer, activate
from genomed.entities.types import Role

NAME = "genome/layer-activate"
SUMMARY = "Put a layer into use."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """force: use it though no verdict says that it is better. expectedGeneration: refuse if the genome has moved on."""

    layer_id: Name
    reason: Name = "asked for by hand"
    force: bool = False
    expected_generation: int | None = None


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    layer_id: str
    previous_layer_id: str | None
    generation: int


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, or Conflict when it is active already, unproved and not forced, withdrawn, or passed by."""
    layer, version = await load_as(context, f"layer/{params.layer_id}", Layer, what=f"layer {params.layer_id}")
    stream = f"genome/{layer.published.persona_id}"
    loaded = await context.log.load(stream)
    genome = loaded.state if isinstance(loaded.state, Genome) else None
    generation = genome.generation if genome else 0
    if params.expected_generation is not None and params.expected_generation != generation:
        raise Conflict(
            f"the genome is at generation {generation}, not {params.expected_generation}", field="expectedGeneration"
        )
    event = activate(genome, params.layer_id, layer, reason=params.reason, forced=params.force)
    result = Result(layer_id=params.layer_id, previous_layer_id=event.previous_layer_id, generation=generation + 1)
    unwithdrawn = Write(stream=f"layer/{params.layer_id}", expected=version, events=())
    return Decided(result=result, writes=(unwithdrawn, Write(stream=stream, expected=loaded.version, events=(event,))))
