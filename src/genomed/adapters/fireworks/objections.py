"""Everything Fireworks would refuse, or would not do, said at once and before anything is sent.

Pure. What universal configuration has and Fireworks lacks is refused when somebody asked for it; a default that nobody
asked for is reported as not applicable by `translation`.
"""

from collections.abc import Iterator, Sequence

from msgspec import structs

from genomed.adapters import _parameters
from genomed.adapters._accounting import is_wanted, values_of
from genomed.adapters.fireworks import kind as kinds
from genomed.adapters.fireworks.settings import FireworksParameters
from genomed.adapters.fireworks.wire import PREFERENCE, REINFORCEMENT, SUPERVISED, Model
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import Problem
from genomed.entities.facts import DatasetFacts
from genomed.entities.types import LRSchedulerType, TrainingMethod, TrainOnInputs

LONGEST_SUFFIX = 44
"""displayName holds fewer than 64 characters (API reference), and our key with a space stands in it too."""

LACKING = {
    "optimizer.maxGradientNorm": "its trainer clips gradients as it sees fit",
    "method.loraConfig.alpha": "its trainer chooses it",
    "method.loraConfig.dropout": "its trainer chooses it",
    "method.loraConfig.trainableModules": "its trainer chooses the modules",
}


def objections(configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]) -> list[Problem]:
    wrong = _parameters.problems(configuration.metadata, FireworksParameters)
    found = [
        *_of_model(configuration),
        *_of_what_it_lacks(configuration, asked),
        *_of_sections(configuration),
        *_of_rows(dataset),
        *wrong,
    ]
    if wrong:
        return found
    parameters = _parameters.read(configuration.metadata, FireworksParameters)
    return [
        *found,
        *_of_scheduler(configuration, parameters, kinds.kind_of(dataset, parameters), asked),
        *_of_evaluation(configuration, dataset, parameters, asked),
        *_of_parameters(configuration, dataset, parameters),
    ]


def model_objections(configuration: JobConfiguration, model: Model) -> list[Problem]:
    """By what Fireworks says of the base model."""
    found = []
    name, wanted = configuration.model.base_model, configuration.schedule.sequence_length
    if model.tunable is False or model.supports_lora is False:
        found.append(Problem(field="model.baseModel", message=f"Fireworks does not fine-tune {name}"))
    longest = model.training_context_length or model.context_length
    if longest and wanted > longest:
        message = f"{wanted} tokens are more than the {longest} that {name} is trained with"
        found.append(Problem(field="schedule.sequenceLength", message=message))
    return found


def _of_model(configuration: JobConfiguration) -> Iterator[Problem]:
    name, rank = configuration.model.base_model, configuration.lora
    if not kinds.MODEL_NAME.fullmatch(name):
        remedy = f"write {kinds.PUBLIC_MODELS}NAME, or the account of your own model"
        yield Problem(field="model.baseModel", message=f"{name!r} is no model of Fireworks", remedy=remedy)
    if configuration.model.precision is not None:
        yield Problem(field="model.precision", message="Fireworks chooses the precision of training itself")
    if configuration.method.type is not TrainingMethod.LORA:
        message = f"managed jobs train lora only, not {configuration.method.type.value}"
        yield Problem(field="method.type", message=message, remedy="use lora")
    if rank is not None and (rank.rank > kinds.HIGHEST_RANK or rank.rank & (rank.rank - 1)):
        message = f"{rank.rank} is not a power of two up to {kinds.HIGHEST_RANK}"
        yield Problem(field="method.loraConfig.rank", message=message)


def _of_what_it_lacks(configuration: JobConfiguration, asked: Sequence[str]) -> Iterator[Problem]:
    for path, reason in LACKING.items():
        if is_wanted(configuration, path, asked=asked):
            yield Problem(field=path, message=f"Fireworks has no such setting: {reason}", remedy="leave it out")
    if configuration.schedule.gradient_accumulation != 1:
        message, remedy = "Fireworks' trainer rejects it", "leave it out, and set batchSize to the whole batch"
        yield Problem(field="schedule.gradientAccumulation", message=message, remedy=remedy)
    if configuration.schedule.checkpoints > 1:
        remedy = "leave it out, or set metadata.samplerCheckpointSaveIntervalSteps"
        message = "Fireworks counts checkpoints by steps, and keeps them to itself"
        yield Problem(field="schedule.checkpoints", message=message, remedy=remedy)
    if configuration.schedule.train_on_inputs is TrainOnInputs.ENABLED:
        message = "Fireworks learns from the assistant's turns only"
        yield Problem(field="schedule.trainOnInputs", message=message, remedy="leave it out")
    if configuration.optimizations.enabled:
        message = "Fireworks has no optimizations to switch"
        yield Problem(field="optimizations.enabled", message=message, remedy="leave it out")
    if configuration.optimizer.learning_rate == 0:
        yield Problem(field="optimizer.learningRate", message="a learning rate of 0 teaches nothing")


def _of_sections(configuration: JobConfiguration) -> Iterator[Problem]:
    values = values_of(configuration)
    for path in ("hardware.gpuType", "hardware.numGPUs"):
        if values[path] is not None:
            message = "Fireworks chooses the machines of a job"
            yield Problem(field=path, message=message, remedy="leave it out")
    integrations = configuration.integrations
    if integrations is not None and integrations.huggingface is not None:
        message = "Fireworks uploads nothing to a hub; genomed downloads the layer"
        yield Problem(field="integrations.huggingface", message=message, remedy="leave it out")
    wandb = None if integrations is None else integrations.wandb
    if wandb is not None and wandb.api_key is None:
        remedy = "a reference such as env:WANDB_API_KEY"
        yield Problem(
            field="integrations.wandb.apiKey", message="Fireworks reports to W&B with your key", remedy=remedy
        )
    if wandb is not None and wandb.run_name is not None:
        message = "Fireworks names a run by its id"
        yield Problem(field="integrations.wandb.runName", message=message, remedy="use metadata.wandbRunId")
    if wandb is not None and wandb.base_url is not None:
        message = "Fireworks reports to wandb.ai only"
        yield Problem(field="integrations.wandb.baseUrl", message=message, remedy="leave it out")
    suffix = configuration.output.suffix
    if suffix is not None and len(suffix) > LONGEST_SUFFIX:
        message = f"is {len(suffix)} characters long; Fireworks' display name has room for {LONGEST_SUFFIX}"
        yield Problem(field="output.suffix", message=message)


def _of_rows(dataset: DatasetFacts) -> Iterator[Problem]:
    if not kinds.FEWEST_ROWS <= dataset.rows <= kinds.MOST_ROWS:
        message = f"{dataset.rows:,} rows; Fireworks takes {kinds.FEWEST_ROWS} to {kinds.MOST_ROWS:,}"
        yield Problem(field="datasets.trainingFileId", message=message)


def _of_scheduler(
    configuration: JobConfiguration, parameters: FireworksParameters, kind: str, asked: Sequence[str]
) -> Iterator[Problem]:
    scheduler, path = configuration.optimizer.scheduler, "optimizer.scheduler"
    if scheduler.type not in kinds.SCHEDULERS:
        offered = ", ".join(each.value for each in kinds.SCHEDULERS)
        yield Problem(field=f"{path}.type", message=f"Fireworks has {offered}; not {scheduler.type.value}")
    elif kind != SUPERVISED and is_wanted(configuration, f"{path}.type", asked=asked):
        message = f"{kinds.IN_WORDS[kind]} takes no schedule; Fireworks chooses it"
        yield Problem(field=f"{path}.type", message=message, remedy="leave it out")
    floor = is_wanted(configuration, f"{path}.minLRRatio", asked=asked)
    if floor and (kind != SUPERVISED or scheduler.type in kinds.FLAT):
        why = "a constant rate never falls" if kind == SUPERVISED else f"{kinds.IN_WORDS[kind]} takes no schedule"
        yield Problem(field=f"{path}.minLRRatio", message=why, remedy="leave it out")
    if parameters.decay_ratio is not None and scheduler.type in kinds.FLAT:
        yield Problem(field="metadata.decayRatio", message="a constant rate never falls", remedy="leave it out")
    if scheduler.cycles is not None and (scheduler.type is not LRSchedulerType.COSINE or scheduler.cycles != 0.5):
        yield Problem(field=f"{path}.cycles", message="Fireworks' cosine falls once: half a cycle, no other number")
    if scheduler.warmup_ratio:
        yield from _of_warmup(scheduler.type, kind, parameters)


def _of_warmup(scheduler: LRSchedulerType, kind: str, parameters: FireworksParameters) -> Iterator[Problem]:
    """Fireworks counts warm-up by steps; the ratio is turned into them where their total is known beforehand."""
    if scheduler is LRSchedulerType.CONSTANT:
        message, remedy = "a constant rate has no warm-up", "use constant_with_warmup"
    elif kind == REINFORCEMENT:
        message, remedy = "Fireworks wants steps, and how many rollouts give is not known beforehand", "leave it out"
    elif parameters.eval_auto_carveout:
        message = "Fireworks wants steps, and how many rows evalAutoCarveout leaves is not known beforehand"
        remedy = "leave one of them out"
    else:
        return
    yield Problem(field="optimizer.scheduler.warmupRatio", message=message, remedy=remedy)


def _of_evaluation(
    configuration: JobConfiguration, dataset: DatasetFacts, parameters: FireworksParameters, asked: Sequence[str]
) -> Iterator[Problem]:
    kind = kinds.kind_of(dataset, parameters)
    if kind == PREFERENCE and configuration.datasets.validation_file_id is not None:
        message = "a preference job takes no evaluation dataset"
        yield Problem(field="datasets.validationFileId", message=message, remedy="leave it out")
    if kind == PREFERENCE and dataset.eval_rows and _asks_for_evaluations(configuration, asked):
        message = "a preference job is not evaluated there"
        yield Problem(field="schedule.evaluations", message=message, remedy="leave it out, or set it to 0")
    elif configuration.schedule.evaluations > 1:
        message = "Fireworks chooses how often it evaluates"
        yield Problem(field="schedule.evaluations", message=message, remedy="use 1, or 0 for none")
    if parameters.eval_auto_carveout and kinds.sends_held_out_rows(configuration, dataset, kind):
        message = "the dataset brings held-out rows of its own"
        remedy = "leave it out, or set schedule.evaluations to 0"
        yield Problem(field="metadata.evalAutoCarveout", message=message, remedy=remedy)


def _asks_for_evaluations(configuration: JobConfiguration, asked: Sequence[str]) -> bool:
    return configuration.schedule.evaluations > 0 and is_wanted(configuration, "schedule.evaluations", asked=asked)


def _of_parameters(
    configuration: JobConfiguration, dataset: DatasetFacts, parameters: FireworksParameters
) -> Iterator[Problem]:
    kind = kinds.kind_of(dataset, parameters)
    names = {field.encode_name: field.name for field in structs.fields(FireworksParameters)}
    for wire, name in names.items():
        if getattr(parameters, name) is not None and not kinds.takes(kind, wire):
            message = f"{kinds.IN_WORDS[kind]} takes no such parameter"
            yield Problem(field=f"metadata.{wire}", message=message, remedy="leave it out")
    offered = kinds.LOSSES.get(kind, ())
    if parameters.loss_method is not None and offered and parameters.loss_method not in offered:
        message = f"{kinds.IN_WORDS[kind]} learns by {', '.join(offered)}"
        yield Problem(field="metadata.lossMethod", message=message)
    if parameters.dpo_beta is not None and parameters.loss_method == "ORPO":
        message = "ORPO compares with no reference model"
        yield Problem(field="metadata.dpoBeta", message=message, remedy="leave it out")
    wandb = configuration.integrations is not None and configuration.integrations.wandb is not None
    for wire, value in (("wandbEntity", parameters.wandb_entity), ("wandbRunId", parameters.wandb_run_id)):
        if value is not None and not wandb:
            yield Problem(field=f"metadata.{wire}", message="the job does not report to W&B")
