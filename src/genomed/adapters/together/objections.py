"""Everything that Together would refuse about a configuration, before anything is sent there. Pure.

What every model refuses, and what one model's limits refuse: each with the field that is at fault. Numbers that the
limits leave out are not guessed.
"""

from collections.abc import Callable, Iterator, Sequence

from genomed.adapters import _parameters
from genomed.adapters._accounting import is_wanted
from genomed.adapters.together.settings import TogetherParameters
from genomed.adapters.together.translation import (
    BATCH,
    DPO_ONLY,
    EARLY_STOPPING_ONLY,
    LONGEST_OWN_SUFFIX,
    is_evaluated,
    whole_alpha,
)
from genomed.adapters.together.wire import FullLimits, LoraLimits, ModelLimits
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import Problem
from genomed.entities.facts import DatasetFacts
from genomed.entities.rows import TOOLS
from genomed.entities.types import LRSchedulerType, RowKind, TrainingMethod, TrainOnInputs

ALL_MODULES = "all-linear"

PATIENCE, WARMUP = 2, 1
"""Together's own, where the job names none (SDK 3.1.1, validate_early_stopping)."""


def objections(configuration: JobConfiguration, dataset: DatasetFacts) -> list[Problem]:
    """What no model of theirs takes."""
    wrong = _parameters.problems(configuration.metadata, TogetherParameters)
    found = [*wrong, *_job(configuration, dataset)]
    if not wrong:
        parameters = _parameters.read(configuration.metadata, TogetherParameters)
        found += [*_misplaced(configuration, dataset, parameters), *_stopping(configuration, dataset, parameters)]
    return found


def beyond(
    configuration: JobConfiguration, dataset: DatasetFacts, limits: ModelLimits, *, asked: Sequence[str]
) -> list[Problem]:
    """What this base model does not take."""
    schedule, rate = configuration.schedule, configuration.optimizer.learning_rate
    preference = dataset.row_kind is RowKind.PREFERENCE
    longest = limits.max_seq_length_dpo if preference else limits.max_seq_length_sft
    model = configuration.model.base_model
    within = _within(model)
    found = [
        *within("schedule.epochs", schedule.epochs, None, limits.max_num_epochs),
        *within("schedule.checkpoints", schedule.checkpoints, None, limits.max_num_checkpoints),
        *within("schedule.sequenceLength", schedule.sequence_length, limits.min_max_seq_length, longest),
        *within("optimizer.learningRate", rate, limits.min_learning_rate, limits.max_learning_rate),
    ]
    if is_evaluated(configuration, dataset):
        found += within("schedule.evaluations", schedule.evaluations, None, limits.max_num_evals)
    if is_wanted(configuration, BATCH, asked=asked):
        found += _batch(configuration, dataset, limits)
    if TOOLS in dataset.features and limits.supports_tools is False:
        message = f"together does not train {model} on rows with tools"
        found.append(Problem(field="datasets.trainingFileId", message=message, remedy="name another base model"))
    return [*found, *_by_type(configuration, limits)]


def doubts(
    configuration: JobConfiguration, dataset: DatasetFacts, limits: ModelLimits, *, asked: Sequence[str]
) -> list[Problem]:
    """The universal default batch that nobody asked for, where the model refuses it: another one is taken."""
    if is_wanted(configuration, BATCH, asked=asked) or not (wrong := _batch(configuration, dataset, limits)):
        return []
    message = f"the default is not taken ({wrong[0].message}): together takes the largest batch that fits"
    return [Problem(field=BATCH, message=message, remedy=f"give one: {wrong[0].remedy}")]


def _job(configuration: JobConfiguration, dataset: DatasetFacts) -> Iterator[Problem]:
    if dataset.rows < 1:
        yield Problem(field="datasets.trainingFileId", message="the dataset has no rows to train on")
    hardware = configuration.hardware
    if hardware is not None and hardware.gpu_type is not None:
        yield Problem(field="hardware.gpuType", message="together chooses the machines", remedy="leave it out")
    if hardware is not None and hardware.num_gpus is not None:
        yield Problem(field="hardware.numGPUs", message="together chooses the machines", remedy="leave it out")
    scheduler = configuration.optimizer.scheduler
    if scheduler.cycles is not None and scheduler.type is not LRSchedulerType.COSINE:
        yield Problem(field="optimizer.scheduler.cycles", message="only a cosine rate has cycles")
    suffix = configuration.output.suffix
    if suffix is not None and len(suffix) > LONGEST_OWN_SUFFIX:
        message = (
            f"has {len(suffix)} characters; together takes 40, of which {LONGEST_OWN_SUFFIX} are left beside the key"
        )
        yield Problem(field="output.suffix", message=message, remedy=f"at most {LONGEST_OWN_SUFFIX} characters")
    yield from _lora(configuration)
    if dataset.row_kind is RowKind.PREFERENCE and configuration.schedule.train_on_inputs is not TrainOnInputs.AUTO:
        yield Problem(field="schedule.trainOnInputs", message="preference rows are trained on their answers alone")
    wandb = configuration.integrations.wandb if configuration.integrations else None
    if wandb is not None and wandb.api_key is None:
        remedy = "a reference such as env:WANDB_API_KEY"
        yield Problem(field="integrations.wandb.apiKey", message="together reports to W&B with your key", remedy=remedy)


def _lora(configuration: JobConfiguration) -> Iterator[Problem]:
    lora = configuration.lora
    if lora is None:
        return
    if whole_alpha(configuration) is None:
        yield Problem(field="method.loraConfig.alpha", message=f"{lora.alpha:g}: together takes whole numbers")
    if lora.dropout >= 1:
        yield Problem(field="method.loraConfig.dropout", message="must be below 1")


def _misplaced(
    configuration: JobConfiguration, dataset: DatasetFacts, parameters: TogetherParameters
) -> Iterator[Problem]:
    """Parameters given where they mean nothing."""
    given = {name for name, value in configuration.metadata.items() if value is not None}
    if dataset.row_kind is not RowKind.PREFERENCE:
        for name in sorted(given & {*DPO_ONLY}):
            yield Problem(field=f"metadata.{name}", message="is for preference rows; this dataset has none")
    if not parameters.early_stopping:
        for name in sorted(given & {*EARLY_STOPPING_ONLY}):
            yield Problem(field=f"metadata.{name}", message="means nothing without earlyStopping")
    if parameters.hf_model_revision is not None and parameters.from_hf_model is None:
        yield Problem(field="metadata.hfModelRevision", message="means nothing without fromHfModel")
    if parameters.wandb_entity is not None and not (configuration.integrations and configuration.integrations.wandb):
        yield Problem(field="metadata.wandbEntity", message="means nothing without integrations.wandb")


def _stopping(
    configuration: JobConfiguration, dataset: DatasetFacts, parameters: TogetherParameters
) -> Iterator[Problem]:
    if not parameters.early_stopping:
        return
    patience = PATIENCE if parameters.early_stopping_patience is None else parameters.early_stopping_patience
    warmup = WARMUP if parameters.early_stopping_warmup is None else parameters.early_stopping_warmup
    needed = patience + warmup + 1
    if not is_evaluated(configuration, dataset):
        yield Problem(field="metadata.earlyStopping", message="needs held-out rows and evaluations of them")
    elif configuration.schedule.evaluations < needed:
        message = (
            f"early stopping needs {needed} evaluations ({patience} to wait, {warmup} to warm up, and a first one)"
        )
        yield Problem(field="schedule.evaluations", message=message)


def _by_type(configuration: JobConfiguration, limits: ModelLimits) -> Iterator[Problem]:
    model, lora = configuration.model.base_model, configuration.lora
    kind = _kind(configuration, limits)
    if kind is None:
        yield Problem(field="method.type", message=f"{model} is not trained with {configuration.method.type.value}")
        return
    if lora is None or not isinstance(kind, LoraLimits):
        return
    yield from _within(model)("method.loraConfig.rank", lora.rank, None, kind.max_rank)
    if kind.target_modules and lora.trainable_modules != ALL_MODULES:
        unknown = [
            name for name in map(str.strip, lora.trainable_modules.split(",")) if name not in kind.target_modules
        ]
        if unknown:
            remedy = f"{ALL_MODULES}, or any of {', '.join(kind.target_modules)}"
            message = f"{model} has no module {', '.join(unknown)}"
            yield Problem(field="method.loraConfig.trainableModules", message=message, remedy=remedy)


def _kind(configuration: JobConfiguration, limits: ModelLimits) -> LoraLimits | FullLimits | None:
    """The limits of the chosen method; null where the model is not trained so."""
    if configuration.method.type is not TrainingMethod.FULL:
        return limits.lora_training
    return None if limits.supports_full_training is False else limits.full_training


def _batch(configuration: JobConfiguration, dataset: DatasetFacts, limits: ModelLimits) -> list[Problem]:
    kind = _kind(configuration, limits)
    if kind is None:
        return []
    most = kind.max_batch_size_dpo if dataset.row_kind is RowKind.PREFERENCE else kind.max_batch_size
    size = configuration.schedule.batch_size
    return _within(configuration.model.base_model)(BATCH, size, kind.min_batch_size, most)


def _within(model: str) -> Callable[[str, float, float | None, float | None], list[Problem]]:
    def held(field: str, value: float, least: float | None, most: float | None) -> list[Problem]:
        if (least is None or least <= value) and (most is None or value <= most):
            return []
        low = "" if least is None else f"at least {least:g}"
        high = "" if most is None else f"at most {most:g}"
        allowed = " and ".join(filter(None, (low, high)))
        return [Problem(field=field, message=f"{value:g}: {model} takes {allowed}", remedy=allowed)]

    return held
