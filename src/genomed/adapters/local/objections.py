"""Everything local training refuses, at once and before anything runs: each with its field and what to do.

The worker refuses the same things by the same rules; here they are said while somebody is still looking.
Pure but for reading the base model's headers, which the caller hands in.
"""

import re
from pathlib import Path

from genomed.adapters import _parameters
from genomed.adapters.local import memory, perceptron
from genomed.adapters.local.availability import Probe, optimizations, precisions
from genomed.adapters.local.base_model import ModelFolder
from genomed.adapters.local.encoder_objections import encoder_objections
from genomed.adapters.local.language_objections import language_objections
from genomed.adapters.local.parameters import MEANT_FOR, LocalParameters, unused
from genomed.adapters.local.settings import LocalSettings
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import Problem
from genomed.entities.facts import DatasetFacts
from genomed.entities.types import LRSchedulerType, ModelPrecision, RowKind, TrainingMethod

MODULES = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*(\s*,\s*[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*)*")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
COMMIT = re.compile(r"[0-9a-f]{40}")
"""Of git, as the hub uses it (huggingface_hub documentation, `revision`)."""

FLAT = (LRSchedulerType.CONSTANT, LRSchedulerType.CONSTANT_WITH_WARMUP)


def objections(
    configuration: JobConfiguration, dataset: DatasetFacts, *, probe: Probe, settings: LocalSettings
) -> list[Problem]:
    """All but those that need the base model's files."""
    return [
        *_of_hardware(configuration, probe),
        *language_objections(configuration, dataset),
        *encoder_objections(configuration, dataset, probe),
        *_of_scheduler(configuration),
        *_of_sections(configuration),
        *_of_gpus(configuration, probe),
        *_of_sinks(configuration, probe),
        *_of_base_model(configuration, dataset, settings),
        *_parameters.problems(configuration.metadata, LocalParameters),
        *_of_unused_parameters(configuration, dataset),
        *_of_rows(dataset),
    ]


def _of_hardware(configuration: JobConfiguration, probe: Probe) -> list[Problem]:
    found = []
    precision = configuration.model.precision
    if precision is not None and precision not in precisions(probe):
        offered = ", ".join(each.value for each in precisions(probe))
        message = f"{precision.value} cannot be trained in here; this machine offers {offered}"
        found.append(Problem(field="model.precision", message=message))
    for feature in configuration.optimizations.enabled:
        if feature not in optimizations(probe):
            offered = ", ".join(each.value for each in optimizations(probe))
            message = f"{feature.value} is not possible here; this machine offers {offered}"
            found.append(Problem(field="optimizations.enabled", message=message, remedy=f"leave out {feature.value}"))
    return found


def _of_scheduler(configuration: JobConfiguration) -> list[Problem]:
    found = []
    optimizer, scheduler = configuration.optimizer, configuration.optimizer.scheduler
    kind = scheduler.type
    if optimizer.learning_rate == 0:
        found.append(Problem(field="optimizer.learningRate", message="a learning rate of 0 teaches nothing"))
    if scheduler.cycles is not None and kind is not LRSchedulerType.COSINE:
        found.append(Problem(field="optimizer.scheduler.cycles", message=f"a {kind.value} rate has no cycles"))
    if kind in FLAT and 0 < scheduler.min_lr_ratio < 1:
        message = f"a {kind.value} rate never falls, so it has no floor"
        found.append(Problem(field="optimizer.scheduler.minLRRatio", message=message))
    if kind is LRSchedulerType.CONSTANT and scheduler.warmup_ratio > 0:
        message, remedy = "a constant rate does not warm up", "use constant_with_warmup"
        found.append(Problem(field="optimizer.scheduler.warmupRatio", message=message, remedy=remedy))
    return found


def _of_sections(configuration: JobConfiguration) -> list[Problem]:
    found = []
    hardware, integrations = configuration.hardware, configuration.integrations
    if hardware is not None and hardware.gpu_type is not None:
        message = "the hardware of a local job is this machine; it cannot be chosen"
        found.append(Problem(field="hardware.gpuType", message=message, remedy="leave it out"))
    if integrations is not None and integrations.huggingface is not None:
        repository = integrations.huggingface.output_repo_name
        if not HUB_ID.fullmatch(repository):
            message, remedy = f"{repository!r} is no repository of the hub", "give it as owner/name"
            found.append(Problem(field="integrations.huggingface.outputRepoName", message=message, remedy=remedy))
    if configuration.method.type is TrainingMethod.FULL and configuration.method.lora_config is not None:
        message = "full training has no LoRA settings"
        found.append(Problem(field="method.loraConfig", message=message, remedy="leave it out, or use lora"))
    lora = configuration.lora
    if lora is not None and not MODULES.fullmatch(lora.trainable_modules) and lora.trainable_modules != "all-linear":
        message = f"{lora.trainable_modules!r} is neither all-linear nor module names joined by commas"
        found.append(Problem(field="method.loraConfig.trainableModules", message=message))
    return found


def _of_sinks(configuration: JobConfiguration, probe: Probe) -> list[Problem]:
    """Where the numbers are to go needs libraries that training by itself does not."""
    integrations = configuration.integrations
    wanted = {
        "wandb": ("integrations.wandb", integrations is not None and integrations.wandb is not None),
        "tensorboard": ("metadata.tensorboard", configuration.metadata.get("tensorboard") is True),
    }
    return [
        Problem(
            field=field,
            message=f"the worker's interpreter has no {library}",
            remedy=f"pip install 'genomed[{library}]', or leave it out",
        )
        for library, (field, asked) in wanted.items()
        if asked and not probe.versions.get(library)
    ]


def _of_gpus(configuration: JobConfiguration, probe: Probe) -> list[Problem]:
    asked = configuration.hardware.num_gpus if configuration.hardware is not None else None
    if asked is None:
        return []
    there = probe.device.count if probe.device.kind == "cuda" else 0
    if asked > there:
        message = f"{asked} GPUs are asked for, and this machine has {there}"
        return [Problem(field="hardware.numGPUs", message=message, remedy="leave it out")]
    if configuration.schedule.batch_size % asked:
        message = f"a batch of {configuration.schedule.batch_size} rows cannot be shared evenly by {asked} GPUs"
        return [Problem(field="schedule.batchSize", message=message, remedy=f"make it a multiple of {asked}")]
    return []


def is_folder_name(base_model: str) -> bool:
    return base_model.startswith(("/", "./", "../", "~")) or Path(base_model).is_dir()


def _of_base_model(configuration: JobConfiguration, dataset: DatasetFacts, settings: LocalSettings) -> list[Problem]:
    if dataset.row_kind is RowKind.VECTOR_PAIR or perceptron.is_perceptron(configuration.model.base_model):
        return perceptron.objections(configuration, dataset)
    return _of_base_model_name(configuration, settings)


def _of_base_model_name(configuration: JobConfiguration, settings: LocalSettings) -> list[Problem]:
    name = configuration.model.base_model
    revision = configuration.metadata.get("revision")
    if is_folder_name(name):
        found = [] if Path(name).is_dir() else [Problem(field="model.baseModel", message=f"there is no folder {name}")]
        if not Path(name).is_absolute():
            message, remedy = f"{name} is not an absolute path", "give the folder's whole path"
            found.append(Problem(field="model.baseModel", message=message, remedy=remedy))
        if revision is not None:
            found.append(Problem(field="metadata.revision", message="a local folder has no revisions"))
        return found
    if not HUB_ID.fullmatch(name):
        return [Problem(field="model.baseModel", message=f"{name!r} is neither a folder nor a hub id")]
    if not settings.allow_hub:
        message = f"there is no folder {name}, and models may not be fetched from the hub"
        remedy = "give a folder's path, or set allow_hub for provider local"
        return [Problem(field="model.baseModel", message=message, remedy=remedy)]
    return [] if settings.allow_unpinned else _of_revision(revision)


def _of_revision(revision: object) -> list[Problem]:
    """A name on the hub means other files tomorrow; a commit does not."""
    if isinstance(revision, str) and COMMIT.fullmatch(revision):
        return []
    told = "is required: a model of the hub is named by its commit" if revision is None else "is no commit's hash"
    remedy = "give the 40 hex digits of the commit, or have the operator set allow_unpinned for provider local"
    return [Problem(field="metadata.revision", message=told, remedy=remedy)]


def _of_unused_parameters(configuration: JobConfiguration, dataset: DatasetFacts) -> list[Problem]:
    given = sorted(unused(dataset.row_kind) & configuration.metadata.keys())
    return [
        Problem(
            field=f"metadata.{name}",
            message=f"only {' and '.join(sorted(MEANT_FOR[name]))} rows use it; this dataset holds "
            f"{dataset.row_kind.value} rows",
            remedy="leave it out",
        )
        for name in given
    ]


def _of_rows(dataset: DatasetFacts) -> list[Problem]:
    field, found = "datasets.trainingFileId", []
    if dataset.rows == 0:
        found.append(Problem(field=field, message="the dataset has no rows to train on"))
    return found


def module_objections(configuration: JobConfiguration, model: ModelFolder) -> list[Problem]:
    lora = configuration.lora
    if lora is None or not MODULES.fullmatch(lora.trainable_modules.strip()):
        return []
    names = [name.strip() for name in lora.trainable_modules.split(",")]
    missing = [name for name in names if not memory.adaptable(model, name)]
    if not missing:
        return []
    there = sorted({name.rpartition(".")[2] for name in memory.adaptable(model, "all-linear")})
    message = f"the base model has no linear module {', '.join(missing)}; it has {', '.join(there)}"
    return [Problem(field="method.loraConfig.trainableModules", message=message)]


def chosen_precision(configuration: JobConfiguration, probe: Probe) -> ModelPrecision:
    """What the worker will take: the wish, or bf16 where a GPU does it natively, or fp32."""
    if configuration.model.precision is not None:
        return configuration.model.precision
    return ModelPrecision.BF16 if probe.device.kind == "cuda" and probe.bf16 else ModelPrecision.FP32


def memory_objections(
    configuration: JobConfiguration, need: memory.Need, *, total_bytes: int | None, reserve_bytes: int
) -> list[Problem]:
    if total_bytes is None or need.total <= total_bytes - reserve_bytes:
        return []
    message = (
        f"training needs {need.in_words()}; there are {memory.gib(total_bytes)} GiB, "
        f"of which {memory.gib(reserve_bytes)} stay free"
    )
    remedy = "use a smaller model, batchSize or sequenceLength, or enable gradient_checkpointing"
    if configuration.method.type is TrainingMethod.FULL:
        remedy += ", or use lora"
    return [Problem(field="model.baseModel", message=message, remedy=remedy)]
