"""What a job begins from: the layer it builds on, and the folder of its base model, where we made that too.

Whoever prunes looks for jobs that are in the log. One that is about to be says here, as a condition, what must stay.
"""

from pathlib import PurePosixPath

from genomed.commands.context import Context, load_as
from genomed.commands.errand_requesting import RUNNER
from genomed.entities.envelope import Write
from genomed.entities.errand_record import ErrandRecord
from genomed.entities.errors import Conflict
from genomed.entities.job import Job
from genomed.entities.layer import Layer, refuse_withdrawn


async def sources_kept(context: Context, base_model: str, parent_layer_id: str | None) -> tuple[Write, ...]:
    """Conditions of the append that opens the job. Raises Conflict where one of them is gone."""
    parent = () if parent_layer_id is None else (await _layer_kept(context, parent_layer_id),)
    return _each_once(*parent, *await _base_kept(context, base_model))


async def sources_still_kept(context: Context, job: Job) -> tuple[Write, ...]:
    """The same for a job that goes on after its end, while which nobody kept them for it. Raises Conflict.

    The layer that it is measured against may be gone where the provider reads no files of ours.
    """
    base = await _base_kept(context, job.configuration.model.base_model)
    if job.parent_layer_id is None:
        return base
    stream = f"layer/{job.parent_layer_id}"
    layer, version = await load_as(context, stream, Layer, what=f"layer {job.parent_layer_id}")
    if job.warm_start or (layer.pruning is not None and job.provider == RUNNER):
        refuse_withdrawn(job.parent_layer_id, layer)
    return _each_once(Write(stream=stream, expected=version, events=()), *base)


async def _base_kept(context: Context, base_model: str) -> tuple[Write, ...]:
    """That the layer or the export stays whose folder it is; nothing for what we did not make.

    Both lie in a folder that is named by their id.
    """
    name = PurePosixPath(base_model).name
    if not base_model.startswith("/") or not name:
        return ()
    layer = await context.log.load(f"layer/{name}")
    if isinstance(layer.state, Layer) and layer.state.published.path == base_model:
        return (await _layer_kept(context, name),)
    errand = await context.log.load(f"errand/{name}")
    if not isinstance(errand.state, ErrandRecord) or _published(errand.state) != base_model:
        return ()
    if errand.state.removal_us is not None:
        raise Conflict(f"what errand {name} published was removed, and it was to be the base model")
    return (Write(stream=f"errand/{name}", expected=errand.version, events=()),)


async def _layer_kept(context: Context, layer_id: str) -> Write:
    loaded = await context.log.load(f"layer/{layer_id}")
    if isinstance(loaded.state, Layer):
        refuse_withdrawn(layer_id, loaded.state)
    return Write(stream=f"layer/{layer_id}", expected=loaded.version, events=())


def _each_once(*writes: Write) -> tuple[Write, ...]:
    return tuple({one.stream: one for one in writes}.values())


def _published(record: ErrandRecord) -> str | None:
    return record.finished.path if record.finished is not None else None
