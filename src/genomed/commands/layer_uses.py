"""What still needs a layer: a genome, a way back, a child, work that goes on. Reads the log; decides nothing."""

from msgspec import Struct

from genomed.commands.context import Context, LogReader, as_text
from genomed.entities.errand_record import ErrandRecord
from genomed.entities.job import Job
from genomed.entities.layer import Genome, Layer

_LAYERS = "SELECT layer_id, persona_id FROM layers ORDER BY position"
_LAYERS_HERE = "SELECT layer_id FROM layers WHERE base_model LIKE '/%' ORDER BY position"
_JOBS = "SELECT job_id FROM jobs WHERE status NOT IN ('succeeded', 'failed', 'cancelled')"
_ERRANDS = "SELECT errand_id FROM errands WHERE open"


class Shelf(Struct, frozen=True, kw_only=True):
    """All layers, the oldest first, and all genomes, with their versions. uses: of a layer, why it cannot be spared."""

    layers: dict[str, tuple[Layer, int]]
    genomes: dict[str, tuple[Genome, int]]
    uses: dict[str, str]


async def base_uses(log: LogReader) -> dict[str, str]:
    """Folders and names that layers or open jobs have as their base model, and who."""
    uses: dict[str, str] = {}
    for (raw,) in await log.query(_LAYERS_HERE):
        layer = (await log.load(f"layer/{as_text(raw)}")).state
        if isinstance(layer, Layer) and not layer.gone:
            uses[layer.published.base_model] = f"it is the base model of layer {as_text(raw)}"
    for (raw,) in await log.query(_JOBS):
        job = (await log.load(f"job/{as_text(raw)}")).state
        if isinstance(job, Job):
            uses[job.configuration.model.base_model] = f"it is the base model of job {as_text(raw)}"
    return uses


async def read_by(log: LogReader, path: str) -> str | None:
    """The open errand that reads an export which was published there; None where there is none."""
    for (raw,) in await log.query(_ERRANDS):
        record = (await log.load(f"errand/{as_text(raw)}")).state
        if isinstance(record, ErrandRecord) and path in (*record.requested.verify, *record.requested.reads):
            return f"errand {as_text(raw)} works on it"
    return None


async def still_needed(log: LogReader, stream: str) -> str | None:
    """Who began with the files of a layer or an export while it was being decided that they go; None where nobody did.

    Whoever comes later is refused, so that it is over once it is None.
    """
    state = (await log.load(stream)).state
    if isinstance(state, Layer):
        path, use = state.published.path, (await _going_on(log)).get(stream.partition("/")[2])
    elif isinstance(state, ErrandRecord) and state.finished is not None and state.finished.path is not None:
        path, use = state.finished.path, None
    else:
        return None
    return use or await read_by(log, path) or (await base_uses(log)).get(path)


async def shelf(context: Context, *, keep_history: int) -> Shelf:
    """keep_history: so many layers before the active one of each slot are needed for a way back."""
    layers: dict[str, tuple[Layer, int]] = {}
    genomes: dict[str, tuple[Genome, int]] = {}
    for raw, persona in await context.log.query(_LAYERS):
        loaded = await context.log.load(f"layer/{as_text(raw)}")
        if isinstance(loaded.state, Layer):
            layers[as_text(raw)] = (loaded.state, loaded.version)
        if as_text(persona) not in genomes:
            found = await context.log.load(f"genome/{as_text(persona)}")
            genome = found.state if isinstance(found.state, Genome) else Genome()
            genomes[as_text(persona)] = (genome, found.version)
    uses = await _going_on(context.log)
    based = await base_uses(context.log)
    uses |= {own: based[path] for own, (layer, _) in layers.items() if (path := layer.published.path) in based}
    for genome, _ in genomes.values():
        uses |= _of_genome(genome, keep_history)
    return Shelf(layers=layers, genomes=genomes, uses=uses)


def _of_genome(genome: Genome, keep_history: int) -> dict[str, str]:
    uses: dict[str, str] = {}
    for slot in genome.slots:
        before = [layer_id for layer_id in slot.history if layer_id is not None]
        back = before[-keep_history:] if keep_history else []
        uses |= dict.fromkeys(back, f"it is among the last {keep_history} that were active for {slot.domain!r}")
        if slot.layer_id is not None:
            uses[slot.layer_id] = f"it is active for {slot.domain!r}"
    return uses


async def _going_on(log: LogReader) -> dict[str, str]:
    uses: dict[str, str] = {}
    for (raw,) in await log.query(_JOBS):
        job = (await log.load(f"job/{as_text(raw)}")).state
        if isinstance(job, Job) and job.parent_layer_id is not None:
            uses[job.parent_layer_id] = f"job {as_text(raw)} builds on it"
    for (raw,) in await log.query(_ERRANDS):
        record = (await log.load(f"errand/{as_text(raw)}")).state
        if isinstance(record, ErrandRecord):
            uses |= {layer.layer_id: f"errand {as_text(raw)} works on it" for layer in record.requested.layers}
    return uses


def in_use(known: Shelf, *, going: set[str]) -> dict[str, str]:
    """Of those that are to go, the parents of layers that stay, and why; parents of these in turn."""
    kept: dict[str, str] = {}
    while True:
        found = {
            parent: f"it is the parent of {child}"
            for child, (layer, _) in known.layers.items()
            if (parent := layer.published.parent_layer_id) in going - kept.keys()
            and layer.pruning is None
            and (child not in going or child in kept)
        }
        if not found:
            return kept
        kept |= found
