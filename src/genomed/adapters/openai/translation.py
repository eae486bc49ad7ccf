"""A configuration as OpenAI's create call, and what became of each of its fields on the way. Pure.

OpenAI has few knobs: passes, batch, a multiplier of a learning rate that it does not tell, a few per method. What it
has no knob for is said, field by field; what was wanted otherwise is refused by `objections`.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from genomed.adapters import _parameters
from genomed.adapters._accounting import Sent, account, is_wanted, values_of
from genomed.adapters._placeholders import KEY, upload
from genomed.adapters.openai.objects import LABEL
from genomed.adapters.openai.settings import NAME, OpenAIParameters, OpenAISettings
from genomed.entities.capabilities import Translation
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import InvalidRequest, Problem, Unsupported
from genomed.entities.facts import DatasetFacts
from genomed.entities.types import RowKind

RATE = "optimizer.learningRate"
SUPERVISED, PREFERENCE, REINFORCEMENT = "supervised", "dpo", "reinforcement"

NO_RATE = "OpenAI takes no learning rate, only a multiplier of one that it chooses per model and does not tell"
RATE_REMEDY = (
    "leave it out, or set metadata.learningRateMultiplier; or let the operator name the model's base rate in "
    f"base_learning_rates of provider {NAME}, and it is converted"
)

NOT_OFFERED: dict[str, str] = {
    "model.precision": "OpenAI does not say in what precision it trains",
    "method.loraConfig.rank": "OpenAI does not say how weights change, and has no knob for it",
    "method.loraConfig.alpha": "OpenAI does not say how weights change, and has no knob for it",
    "method.loraConfig.dropout": "OpenAI does not say how weights change, and has no knob for it",
    "method.loraConfig.trainableModules": "OpenAI does not say how weights change, and has no knob for it",
    "schedule.sequenceLength": "longer rows are cut at the model's own context",
    "schedule.gradientAccumulation": "batchSize is the whole batch of a step, which nothing is accumulated over",
    "schedule.checkpoints": "OpenAI keeps the checkpoints of the last epochs, as it likes",
    "schedule.evaluations": "OpenAI evaluates as it likes, where there is a validation file",
    "schedule.trainOnInputs": "the loss is of the assistant's turns alone",
    "optimizer.scheduler.type": "OpenAI chooses the schedule",
    "optimizer.scheduler.minLRRatio": "OpenAI chooses the schedule",
    "optimizer.scheduler.warmupRatio": "OpenAI chooses the schedule",
    "optimizer.scheduler.cycles": "OpenAI chooses the schedule",
    "optimizer.weightDecay": "OpenAI has no such setting",
    "optimizer.maxGradientNorm": "OpenAI has no such setting",
    "optimizations.enabled": "OpenAI chooses how it runs",
    "hardware.gpuType": "OpenAI chooses the hardware",
    "hardware.numGPUs": "OpenAI chooses the hardware",
    "integrations.huggingface": "the weights never leave OpenAI",
}
"""By path: why there is nothing to send."""


class Grader(Struct, frozen=True):
    """The part of a grader that every kind has."""

    type: Literal["string_check", "text_similarity", "python", "score_model", "multi"]
    name: str | None = None


class Rate(Struct, frozen=True):
    """multiplier: None is not sent. told: what became of the configured absolute rate."""

    multiplier: float | None
    told: Sent


def translation(
    configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str], settings: OpenAISettings
) -> Translation:
    """Raises InvalidRequest or Unsupported for what the check refuses, and for a learning rate that cannot be sent."""
    if wrong := _parameters.problems(configuration.metadata, OpenAIParameters):
        raise InvalidRequest.of(wrong)
    parameters = _parameters.read(configuration.metadata, OpenAIParameters)
    if unread := grader_problems(parameters):
        raise InvalidRequest.of(unread)
    rate = learning_rate(configuration, parameters, settings, asked=asked)
    method = method_of(dataset, parameters)
    batch_size = (
        configuration.schedule.batch_size if is_wanted(configuration, "schedule.batchSize", asked=asked) else None
    )
    held_out = dataset.eval_rows > 0 or configuration.datasets.validation_file_id is not None
    hyperparameters = _without_nulls(
        {
            "n_epochs": configuration.schedule.epochs,
            "batch_size": batch_size,
            "learning_rate_multiplier": rate.multiplier,
        }
    )
    payload = _without_nulls(
        {
            "model": configuration.model.base_model,
            "training_file": upload("train"),
            "validation_file": upload("eval") if held_out else None,
            "suffix": configuration.output.suffix,
            "seed": parameters.seed,
            **_method(method, hyperparameters, parameters, settings),
            "integrations": _integrations(configuration, parameters),
            "metadata": {LABEL: KEY, "genome_dataset": dataset.dataset_id[:512]} if settings.searchable else None,
        }
    )
    exceptions = _exceptions(configuration, method, held_out=held_out) | {RATE: rate.told}
    if batch_size is None:
        exceptions["schedule.batchSize"] = Sent(note="OpenAI chooses by the size of the dataset")
    given = _parameters.values(parameters)
    exceptions |= {f"metadata.{name}": Sent(applicable=False) for name, value in given.items() if value is None}
    fields = account(configuration, asked=asked, parameters=given, exceptions=exceptions)
    return Translation(payload=payload, fields=fields, uploads=("train", "eval") if held_out else ("train",))


def method_of(dataset: DatasetFacts, parameters: OpenAIParameters) -> str:
    """The rows decide; chat rows with a grader are prompts to reinforce on."""
    if dataset.row_kind is RowKind.PREFERENCE:
        return PREFERENCE
    return SUPERVISED if parameters.grader is None else REINFORCEMENT


def learning_rate(
    configuration: JobConfiguration, parameters: OpenAIParameters, settings: OpenAISettings, *, asked: Sequence[str]
) -> Rate:
    """Converted by the operator's base rate, or refused: an absolute rate is no multiplier."""
    rate, multiplier = configuration.optimizer.learning_rate, parameters.learning_rate_multiplier
    if not is_wanted(configuration, RATE, asked=asked):
        note = "OpenAI's own" if multiplier is None else "metadata.learningRateMultiplier says it"
        return Rate(multiplier, Sent(applicable=False, note=note))
    if multiplier is not None:
        raise Unsupported(
            "the rate is given twice, here and by metadata.learningRateMultiplier",
            field=RATE,
            provider=NAME,
            remedy="leave one of them out",
        )
    base = settings.base_learning_rate(configuration.model.base_model)
    if base is None:
        raise Unsupported(NO_RATE, field=RATE, provider=NAME, remedy=RATE_REMEDY)
    converted = float(f"{rate / base:.9g}")  # 0.3 is meant where the division says 0.30000000000000004
    if converted == 0:
        raise Unsupported("a learning rate of 0 teaches nothing", field=RATE, provider=NAME)
    note = f"sent as learning_rate_multiplier {converted:g}: {rate:g} / {base:g}, the model's rate in the settings"
    return Rate(converted, Sent(converted, note))


def grader_problems(parameters: OpenAIParameters) -> list[Problem]:
    if parameters.grader is None:
        return []
    try:
        msgspec.json.decode(parameters.grader, type=Grader)
    except msgspec.DecodeError as wrong:
        return [Problem(field="metadata.grader", message=f"is not the JSON text of a grader: {wrong}")]
    return []


def _method(
    method: str, hyperparameters: dict[str, object], parameters: OpenAIParameters, settings: OpenAISettings
) -> dict[str, object]:
    """Azure knows only the older place for supervised jobs, and wants to be told where to run."""
    own: dict[str, object] = {"trainingType": settings.training_type}
    if method == SUPERVISED and settings.dialect == "azure":
        return own | {"hyperparameters": hyperparameters}
    section: dict[str, object] = {"hyperparameters": hyperparameters}
    if method == PREFERENCE:
        section["hyperparameters"] = _without_nulls({**hyperparameters, "beta": parameters.beta})
    if parameters.grader is not None and method == REINFORCEMENT:
        more = {
            "compute_multiplier": parameters.compute_multiplier,
            "eval_interval": parameters.eval_interval,
            "eval_samples": parameters.eval_samples,
            "reasoning_effort": parameters.reasoning_effort,
        }
        section["hyperparameters"] = _without_nulls({**hyperparameters, **more})
        section["grader"] = msgspec.json.decode(parameters.grader)
    return own | {"method": {"type": method, method: section}}


def _integrations(configuration: JobConfiguration, parameters: OpenAIParameters) -> list[object] | None:
    """No key goes with it: OpenAI uses the one that the organisation registered there."""
    wandb = configuration.integrations and configuration.integrations.wandb
    if not wandb:
        return None
    tags = [tag.strip() for tag in (parameters.wandb_tags or "").split(",") if tag.strip()]
    section = {
        "project": wandb.project,
        "name": wandb.run_name,
        "entity": parameters.wandb_entity,
        "tags": tags or None,
    }
    return [{"type": "wandb", "wandb": _without_nulls(section)}]


def _exceptions(configuration: JobConfiguration, method: str, *, held_out: bool) -> dict[str, Sent]:
    """Where more is to say than that the value went out as it stands."""
    values = values_of(configuration)
    found = {path: Sent(applicable=False, note=note) for path, note in NOT_OFFERED.items()}
    found["method.type"] = Sent(method, "OpenAI names methods by what they learn from; how weights change it decides")
    if not held_out:
        found["schedule.evaluations"] = Sent(applicable=False, note="the dataset has no held-out rows")
    for path in ("datasets.validationFileId", "integrations.wandb", "output.suffix"):
        if values[path] is None:
            found[path] = Sent(applicable=False)
    return found


def _without_nulls(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}
