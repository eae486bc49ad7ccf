"""How large a local base model is, by the headers of its files, and what training it would need. Loads no weights."""

from pathlib import Path

from genomed.adapters.local import memory, objections, perceptron
from genomed.adapters.local.availability import Probe
from genomed.adapters.local.base_model import ModelFolder, UnfitModel, read_model
from genomed.entities.configuration import JobConfiguration
from genomed.entities.facts import DatasetFacts
from genomed.entities.sizing_port import MemoryNeed, ModelSize


def size_of(base_model: str, probe: Probe) -> ModelSize:
    model, gpu = _model(base_model), probe.device.memory_bytes if probe.device.kind == "cuda" else None
    if model is None:
        return ModelSize(gpu_bytes=gpu)
    return ModelSize(parameters=model.parameters, context=model.config.max_position_embeddings, gpu_bytes=gpu)


def memory_need(configuration: JobConfiguration, dataset: DatasetFacts, probe: Probe) -> MemoryNeed | None:
    """The same estimate by which a job is refused."""
    model = _model(configuration.model.base_model)
    if model is not None:
        work = memory.workload(
            configuration,
            model,
            row_kind=dataset.row_kind,
            longest_row_bytes=dataset.longest_row_bytes,
            precision=objections.chosen_precision(configuration, probe),
            cuda=probe.device.kind == "cuda",
        )
        need = memory.estimate(work)
    elif perceptron.widths_of(configuration.model.base_model):
        need = perceptron.need(configuration, dataset)
    else:
        return None
    available = probe.device.memory_bytes if probe.device.kind == "cuda" else memory.total_bytes()
    return MemoryNeed(size_bytes=need.total, in_words=need.in_words(), available_bytes=available)


def _model(base_model: str) -> ModelFolder | None:
    """None for what is no folder here, and for a folder that holds no model we would train."""
    path = Path(base_model)
    if not path.is_dir():
        return None
    try:
        return read_model(path)
    except UnfitModel:
        return None
