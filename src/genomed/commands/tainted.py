"""What words became: datasets that hold rows of them, jobs and layers that learned from these, and the way back.

Asked by genome/forget and genome/dataset-forget. Changes nothing.
"""

from collections.abc import Mapping

from msgspec import Struct

from genomed.commands.context import Context, as_text, load_job
from genomed.entities.dataset import Dataset
from genomed.entities.envelope import Write
from genomed.entities.errand_record import ErrandRecord
from genomed.entities.events import LayerRolledBack
from genomed.entities.job import Job
from genomed.entities.layer import Genome, Layer, evolve_genome, roll_back
from genomed.entities.recipe import Run
from genomed.entities.types import TERMINAL, JobStatus


class TaintedDataset(Struct, frozen=True, kw_only=True, rename="camel"):
    """rows: that it loses. name, personaId: for people."""

    dataset_id: str
    name: str
    persona_id: str
    rows: int


class TaintedLayer(Struct, frozen=True, kw_only=True, rename="camel"):
    """It learned from a dataset that loses rows. active: in use now, before this call."""

    layer_id: str
    persona_id: str
    domain: str
    base_model: str
    dataset_id: str
    active: bool


class TaintedExport(Struct, frozen=True, kw_only=True, rename="camel"):
    """What was made of a tainted layer and still lies here: genome/errand-remove lets it go."""

    errand_id: str
    kind: str
    path: str


class Uploaded(Struct, frozen=True, kw_only=True, rename="camel"):
    """A copy of a tainted dataset that was sent away. fileId: as the provider calls it."""

    provider: str
    file_id: str
    dataset_id: str
    job_id: str


class Tainted(Struct, frozen=True, kw_only=True):
    """versions: of the datasets' streams. layers: also those that went on from a tainted one's weights, or were trained
    on what was merged of one. exports: that hold a tainted layer's weights. recipe_runs: that read a tainted dataset;
    the rows that they made are theirs who review them.
    """

    datasets: tuple[TaintedDataset, ...]
    versions: Mapping[str, int]
    layers: tuple[TaintedLayer, ...]
    exports: tuple[TaintedExport, ...]
    running_jobs: tuple[str, ...]
    uploads: tuple[Uploaded, ...]
    recipe_runs: tuple[str, ...]


class Rollback(Struct, frozen=True, kw_only=True):
    """One persona's genome without its tainted layers. layers: those that were active."""

    write: Write
    layers: tuple[str, ...]


async def tainted_by(context: Context, origins: frozenset[str]) -> Tainted:
    """By the datasets' own lineage: every dataset is looked through, which takes as long as they are large."""
    every = await context.log.query("SELECT dataset_id FROM datasets ORDER BY position")
    rows: dict[str, int] = {}
    for (raw,) in every:
        found = await context.datasets.rows_from(as_text(raw), origins)
        if found:
            rows[as_text(raw)] = len(found)
    return await tainted_datasets(context, rows)


async def tainted_datasets(context: Context, rows: Mapping[str, int]) -> Tainted:
    """rows: dataset id -> how many rows it loses."""
    datasets: list[TaintedDataset] = []
    versions: dict[str, int] = {}
    jobs: list[tuple[str, str]] = []
    for dataset_id, count in rows.items():
        loaded = await context.log.load(f"dataset/{dataset_id}")
        if not isinstance(loaded.state, Dataset):
            continue
        frozen = loaded.state.frozen
        versions[dataset_id] = loaded.version
        datasets.append(
            TaintedDataset(dataset_id=dataset_id, name=frozen.name, persona_id=frozen.persona_id, rows=count)
        )
        jobs += [(job_id, dataset_id) for job_id in await _jobs_of(context, dataset_id)]
    layers, exports = await _weights(context, jobs)
    return Tainted(
        datasets=tuple(datasets),
        versions=versions,
        layers=layers,
        exports=exports,
        running_jobs=await _running(context, jobs),
        uploads=await _uploads(context, jobs),
        recipe_runs=await _readers(context, frozenset(versions)),
    )


async def _readers(context: Context, datasets: frozenset[str]) -> tuple[str, ...]:
    found = []
    for (raw,) in await context.log.query("SELECT run_id FROM recipe_runs ORDER BY position"):
        run = (await context.log.load(f"recipe/{as_text(raw)}")).state
        if isinstance(run, Run) and run.started.inputs_dataset_id in datasets:
            found.append(as_text(raw))
    return tuple(found)


async def _jobs_of(context: Context, dataset_id: str) -> list[str]:
    rows = await context.log.query("SELECT job_id FROM jobs WHERE dataset_id = ? ORDER BY job_id", (dataset_id,))
    return [as_text(job_id) for (job_id,) in rows]


async def _running(context: Context, jobs: list[tuple[str, str]]) -> tuple[str, ...]:
    running = []
    for job_id, _ in jobs:
        rows = await context.log.query("SELECT status FROM jobs WHERE job_id = ?", (job_id,))
        if rows and JobStatus(as_text(rows[0][0])) not in TERMINAL:
            running.append(job_id)
    return tuple(running)


async def _uploads(context: Context, jobs: list[tuple[str, str]]) -> tuple[Uploaded, ...]:
    found = []
    for job_id, dataset_id in jobs:
        job, _ = await load_job(context, job_id)
        found += [
            Uploaded(provider=job.provider, file_id=upload.provider_file_id, dataset_id=dataset_id, job_id=job_id)
            for upload in job.uploads.values()
            if upload.provider_file_id is not None
        ]
    return tuple(found)


async def _weights(
    context: Context, jobs: list[tuple[str, str]]
) -> tuple[tuple[TaintedLayer, ...], tuple[TaintedExport, ...]]:
    """Layers that the jobs made, those that warm starts made of them or that stand on them, and what was exported."""
    learned = {job_id for job_id, _ in jobs}
    found: dict[str, TaintedLayer] = {}
    exports: dict[str, TaintedExport] = {}
    models: set[str] = set()
    for raw, active in await context.log.query("SELECT layer_id, active FROM layers ORDER BY position"):
        layer_id = as_text(raw)
        layer = (await context.log.load(f"layer/{layer_id}")).state
        if not isinstance(layer, Layer):
            continue
        facts = layer.published
        job = (await context.log.load(f"job/{facts.job_id}")).state if facts.job_id else None  # none: it was imported
        came_from = job.parent_layer_id if isinstance(job, Job) and job.warm_start else None
        if facts.job_id not in learned and came_from not in found and facts.base_model not in models:
            continue
        found[layer_id] = TaintedLayer(
            layer_id=layer_id,
            persona_id=facts.persona_id,
            domain=facts.domain,
            base_model=facts.base_model,
            dataset_id=facts.dataset_id,
            active=bool(active),
        )
        exports |= await _exports(context, layer_id)
        models |= {facts.path, *(export.path for export in exports.values())}
    return tuple(found.values()), tuple(exports.values())


async def _exports(context: Context, layer_id: str) -> dict[str, TaintedExport]:
    found = {}
    for (raw,) in await context.log.query("SELECT errand_id FROM errand_layers WHERE layer_id = ?", (layer_id,)):
        record = (await context.log.load(f"errand/{as_text(raw)}")).state
        if isinstance(record, ErrandRecord) and record.export and record.requested.kind != EVALUATION:
            path, _ = record.export
            found[as_text(raw)] = TaintedExport(errand_id=as_text(raw), kind=record.requested.kind, path=path)
    return found


EVALUATION = "evaluate"
"""Its result holds numbers of rows, and nothing that was learned from them."""


async def demotions(context: Context, tainted: Tainted, *, reason: str) -> tuple[Rollback, ...]:
    """What takes every active tainted layer out, back to one that never saw the words, or to the base model."""
    every = frozenset(layer.layer_id for layer in tainted.layers)
    personas = sorted({layer.persona_id for layer in tainted.layers if layer.active})
    return tuple([await _demoted(context, persona_id, tainted, every, reason) for persona_id in personas])


async def _demoted(context: Context, persona_id: str, tainted: Tainted, every: frozenset[str], reason: str) -> Rollback:
    stream = f"genome/{persona_id}"
    loaded = await context.log.load(stream)
    genome = loaded.state if isinstance(loaded.state, Genome) else None
    withdrawn = frozenset([*every, *await _withdrawn(context, genome)])
    events: list[LayerRolledBack] = []
    for layer in tainted.layers:
        if layer.active and layer.persona_id == persona_id:
            event = roll_back(genome, layer.domain, layer.base_model, reason=reason, withdrawn=withdrawn)
            genome = evolve_genome(genome, event, at_us=context.now_us())
            events.append(event)
    write = Write(stream=stream, expected=loaded.version, events=tuple(events))
    return Rollback(write=write, layers=tuple(event.layer_id for event in events))


async def _withdrawn(context: Context, genome: Genome | None) -> list[str]:
    """Layers of the genome's past that were deleted: nothing goes back to them."""
    past = {layer for slot in (genome.slots if genome else ()) for layer in slot.history if layer is not None}
    found = []
    for layer_id in sorted(past):
        loaded = await context.log.load(f"layer/{layer_id}")
        if isinstance(loaded.state, Layer) and loaded.state.gone:
            found.append(layer_id)
    return found
