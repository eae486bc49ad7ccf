"""What OpenAI would refuse, or take without doing it. Pure: nobody is asked, nothing is sent."""

from collections.abc import Sequence

from genomed.adapters import _parameters
from genomed.adapters._accounting import is_wanted, values_of, wants_lora_settings
from genomed.adapters.openai import sunset
from genomed.adapters.openai.settings import (
    MOST_FILE_BYTES,
    REINFORCEMENT_ONLY,
    OpenAIParameters,
    OpenAISettings,
)
from genomed.adapters.openai.translation import (
    NOT_OFFERED,
    RATE,
    REINFORCEMENT,
    grader_problems,
    learning_rate,
    method_of,
)
from genomed.entities.capabilities import ValidationResult
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import Problem, Unsupported
from genomed.entities.facts import DatasetFacts
from genomed.entities.types import RowKind, TrainingMethod, TrainOnInputs


def objections(
    configuration: JobConfiguration,
    dataset: DatasetFacts,
    settings: OpenAISettings,
    *,
    asked: Sequence[str],
    now_us: int,
) -> ValidationResult:
    """Every problem at once."""
    errors = _parameters.problems(configuration.metadata, OpenAIParameters)
    wrong = {problem.field for problem in errors}
    sound = {name: value for name, value in configuration.metadata.items() if f"metadata.{name}" not in wrong}
    parameters = _parameters.read(sound, OpenAIParameters)
    errors += [
        *_of_rate(configuration, parameters, settings, asked),
        *_of_method(configuration, dataset, parameters, asked),
        *grader_problems(parameters),
    ]
    errors += [*_of_knobs(configuration, asked), *_of_sections(configuration), *_of_dataset(dataset, settings)]
    if settings.hosted:
        errors += sunset.refusals(configuration.model.base_model, now_us)
    return ValidationResult(errors=tuple(errors))


def _of_rate(
    configuration: JobConfiguration, parameters: OpenAIParameters, settings: OpenAISettings, asked: Sequence[str]
) -> list[Problem]:
    try:
        learning_rate(configuration, parameters, settings, asked=asked)
    except Unsupported as refused:
        return [Problem(field=RATE, message=refused.message, remedy=refused.remedy)]
    return []


def _of_method(
    configuration: JobConfiguration, dataset: DatasetFacts, parameters: OpenAIParameters, asked: Sequence[str]
) -> list[Problem]:
    found = []
    if configuration.method.type is TrainingMethod.QLORA:
        message = "OpenAI does not say how weights change; a quantized base cannot be asked for"
        found.append(Problem(field="method.type", message=message, remedy="use lora or full: both let OpenAI decide"))
    if wants_lora_settings(configuration, asked=asked):
        message = NOT_OFFERED["method.loraConfig.rank"]
        found.append(Problem(field="method.loraConfig", message=message, remedy="leave it out"))
    preference, reinforcement = dataset.row_kind is RowKind.PREFERENCE, method_of(dataset, parameters) == REINFORCEMENT
    if parameters.grader is not None and dataset.features:
        message = f"a job with a grader reads prompts: rows with {' and '.join(dataset.features)} say more than that"
        found.append(Problem(field="metadata.grader", message=message, remedy="leave it out, or use plain rows"))
    if preference and parameters.grader is not None:
        message = "a grader judges answers to prompts; preference rows bring theirs along"
        found.append(Problem(field="metadata.grader", message=message, remedy="leave it out, or use chat rows"))
    if not preference and parameters.beta is not None:
        message = f"only preference rows use it; this dataset holds {dataset.row_kind.value} rows"
        found.append(Problem(field="metadata.beta", message=message, remedy="leave it out"))
    if not reinforcement:
        unused = [name for name in REINFORCEMENT_ONLY if name in configuration.metadata]
        message = "only reinforcement jobs use it, and metadata.grader makes a job one"
        found += [Problem(field=f"metadata.{name}", message=message, remedy="leave it out") for name in unused]
    return found


def _of_knobs(configuration: JobConfiguration, asked: Sequence[str]) -> list[Problem]:
    """What OpenAI has no knob for, where somebody means it. What it does by itself is no knob that is missing."""
    values = values_of(configuration)
    done: dict[str, object] = {"schedule.gradientAccumulation": 1, "optimizations.enabled": ()}
    own = ("method.", "schedule.trainOnInputs")
    found = [
        Problem(field=path, message=f"{values[path]} cannot be asked for: {why}", remedy="leave it out")
        for path, why in NOT_OFFERED.items()
        if not path.startswith(own) and is_wanted(configuration, path, asked=asked) and values[path] != done.get(path)
    ]
    if configuration.schedule.train_on_inputs is TrainOnInputs.ENABLED:
        message = "OpenAI trains on the assistant's turns alone"
        found.append(Problem(field="schedule.trainOnInputs", message=message, remedy="leave it out"))
    return found


def _of_sections(configuration: JobConfiguration) -> list[Problem]:
    wandb = configuration.integrations and configuration.integrations.wandb
    if not wandb:
        unused = [name for name in ("wandbEntity", "wandbTags") if name in configuration.metadata]
        message = "integrations.wandb is not asked for"
        return [Problem(field=f"metadata.{name}", message=message, remedy="leave it out") for name in unused]
    found = []
    if wandb.api_key is not None:
        message = "OpenAI takes no key with a job: it uses the one that the organisation registered with it"
        found.append(Problem(field="integrations.wandb.apiKey", message=message, remedy="leave it out"))
    if wandb.base_url is not None:
        message = "OpenAI reports to the public Weights & Biases only"
        found.append(Problem(field="integrations.wandb.baseUrl", message=message, remedy="leave it out"))
    return found


def _of_dataset(dataset: DatasetFacts, settings: OpenAISettings) -> list[Problem]:
    field = "datasets.trainingFileId"
    if dataset.rows < settings.min_rows:
        message = f"has {dataset.rows} rows; OpenAI takes no fewer than {settings.min_rows}"
        return [Problem(field=field, message=message, remedy="train when there are more")]
    if dataset.size_bytes > MOST_FILE_BYTES:
        message = f"has {dataset.size_bytes:,} bytes; OpenAI takes no more than {MOST_FILE_BYTES:,} in one file"
        return [Problem(field=field, message=message)]
    return []
