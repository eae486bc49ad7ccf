"""A configuration as Mistral's JobIn, what became of each field, and what is refused beforehand. Pure.

Mistral trains in one way of its own: no rank, no batch size, no scheduler can be set. What somebody asked
for is refused then, be it the universal default; a default that nobody asked for is reported as not applicable.
"""

from collections.abc import Iterator, Sequence

from genomed.adapters import _parameters, _placeholders
from genomed.adapters._accounting import LORA_FIELDS, Sent, account, is_wanted, wants_lora_settings
from genomed.adapters.mistral.objects import ModelCard
from genomed.adapters.mistral.settings import LONGEST_FILE_BYTES, NAME, MistralParameters
from genomed.entities.capabilities import Translation
from genomed.entities.configuration import JobConfiguration, WandBIntegration
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.facts import DatasetFacts
from genomed.entities.limits import Range
from genomed.entities.types import TrainOnInputs

LEARNING_RATES = Range(min=1e-8, max=1, default=0.00001)
"""Of CompletionTrainingParametersIn; the default is the universal one."""

WANDB_KEY_LENGTH = 40

ITS_OWN = "Mistral decides it; its API has no field for it"
KEY_IN_SUFFIX = "the 18 characters of Mistral's suffix hold the key by which the job is found again"

NOT_THEIRS = (
    "schedule.batchSize",
    "schedule.gradientAccumulation",
    "schedule.checkpoints",
    "schedule.evaluations",
    "optimizer.maxGradientNorm",
    "optimizer.scheduler.type",
    "optimizer.scheduler.minLRRatio",
    "optimizer.scheduler.cycles",
    "hardware.gpuType",
    "hardware.numGPUs",
)
"""What Mistral has no field for."""


def has_held_out_rows(dataset: DatasetFacts) -> bool:
    return dataset.eval_rows > 0


def translation(configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]) -> Translation:
    """Raises InvalidRequest for metadata that the check refuses."""
    if wrong := _parameters.problems(configuration.metadata, MistralParameters):
        raise InvalidRequest.of(wrong)
    parameters = _parameters.read(configuration.metadata, MistralParameters)
    fields = account(
        configuration,
        asked=asked,
        parameters=_parameters.values(parameters),
        exceptions=_exceptions(configuration, parameters),
    )
    held_out = has_held_out_rows(dataset)
    return Translation(
        payload=_payload(configuration, parameters, held_out=held_out),
        fields=fields,
        uploads=("train", "eval") if held_out else ("train",),
    )


def _payload(configuration: JobConfiguration, parameters: MistralParameters, *, held_out: bool) -> dict[str, object]:
    optimizer, schedule = configuration.optimizer, configuration.schedule
    hyperparameters: dict[str, object] = {
        # epochs, never training_steps: how many rows make a step is Mistral's to know
        "epochs": schedule.epochs,
        "learning_rate": optimizer.learning_rate,
        "weight_decay": optimizer.weight_decay,
        "warmup_fraction": optimizer.scheduler.warmup_ratio,
        "seq_len": schedule.sequence_length,
    }
    if parameters.fim_ratio is not None:
        hyperparameters["fim_ratio"] = parameters.fim_ratio
    payload: dict[str, object] = {
        "model": configuration.model.base_model,
        "job_type": "completion",
        "training_files": [{"file_id": _placeholders.upload("train"), "weight": 1.0}],
        "suffix": _placeholders.KEY,
        "auto_start": False,
        "invalid_sample_skip_percentage": parameters.invalid_sample_skip_percentage,
        "hyperparameters": hyperparameters,
    }
    if held_out:
        payload["validation_files"] = [_placeholders.upload("eval")]
    integrations = configuration.integrations
    if integrations is not None and integrations.wandb is not None:
        payload["integrations"] = [_wandb(integrations.wandb)]
    return payload


def _wandb(wanted: WandBIntegration) -> dict[str, object]:
    section: dict[str, object] = {"type": "wandb", "project": wanted.project}
    if wanted.api_key is not None:
        section["api_key"] = _placeholders.secret(wanted.api_key)
    if wanted.run_name is not None:
        section["run_name"] = wanted.run_name
    return section


def _exceptions(configuration: JobConfiguration, parameters: MistralParameters) -> dict[str, Sent]:
    found = {path: Sent(applicable=False, note=ITS_OWN) for path in (*NOT_THEIRS, *LORA_FIELDS)}
    found |= {
        "model.precision": Sent(applicable=False, note=ITS_OWN),
        "schedule.trainOnInputs": Sent(applicable=False, note=ITS_OWN),
        "optimizations.enabled": Sent(applicable=False, note=ITS_OWN),
        "integrations.huggingface": Sent(applicable=False, note="Mistral uploads nothing to the hub"),
        "output.suffix": Sent(applicable=False, note=KEY_IN_SUFFIX),
        "method.type": Sent(configuration.method.type.value, "not sent: Mistral has one way to train"),
    }
    if configuration.integrations is None or configuration.integrations.wandb is None:
        found["integrations.wandb"] = Sent(applicable=False)
    if configuration.datasets.validation_file_id is None:
        found["datasets.validationFileId"] = Sent(applicable=False)
    if parameters.fim_ratio is None:
        found["metadata.fimRatio"] = Sent(applicable=False, note="left to Mistral")
    return found


def objections(configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]) -> list[Problem]:
    """Everything that can be said without asking Mistral."""
    return [
        *_parameters.problems(configuration.metadata, MistralParameters),
        *(_refused(path) for path in NOT_THEIRS if is_wanted(configuration, path, asked=asked)),
        *_of_learning_rate(configuration),
        *_of_sections(configuration, asked),
        *_of_dataset(dataset),
    ]


def model_objections(name: str, cards: Sequence[ModelCard]) -> list[Problem]:
    """cards: the models that Mistral shows to this key."""
    able = [card for card in cards if card.capabilities.fine_tuning]
    if any(name == card.id or name in card.aliases for card in able):
        return []
    known = any(name == card.id or name in card.aliases for card in cards)
    message = f"Mistral has {name}, and does not fine-tune it" if known else f"Mistral does not name {name}"
    offered = ", ".join(card.id for card in able[:10])
    remedy = f"it fine-tunes {offered}" if able else "it fine-tunes no model for this key; use another provider"
    return [Problem(field="model.baseModel", message=message, remedy=remedy)]


def _of_learning_rate(configuration: JobConfiguration) -> Iterator[Problem]:
    rate = configuration.optimizer.learning_rate
    if not LEARNING_RATES.min <= rate <= LEARNING_RATES.max:
        message = f"{rate:g} is outside {LEARNING_RATES.min:g} to {LEARNING_RATES.max:g} of {NAME}"
        yield Problem(field="optimizer.learningRate", message=message)


def _of_sections(configuration: JobConfiguration, asked: Sequence[str]) -> Iterator[Problem]:
    if wants_lora_settings(configuration, asked=asked):
        yield _refused("method.loraConfig")
    if configuration.schedule.train_on_inputs is not TrainOnInputs.AUTO:
        yield _refused("schedule.trainOnInputs")
    integrations = configuration.integrations
    if integrations is not None and integrations.huggingface is not None:
        message = "Mistral keeps the weights and uploads nothing to the hub"
        yield Problem(field="integrations.huggingface", message=message, remedy="leave it out")
    if integrations is not None and integrations.wandb is not None:
        yield from _of_wandb(integrations.wandb)
    if configuration.output.suffix is not None:
        message = f"cannot be sent: {KEY_IN_SUFFIX}"
        yield Problem(field="output.suffix", message=message, remedy="leave it out")


def _of_wandb(wanted: WandBIntegration) -> Iterator[Problem]:
    if wanted.api_key is None:
        message = "Mistral reports to Weights & Biases with a key of yours"
        yield Problem(field="integrations.wandb.apiKey", message=message, remedy="give a reference, such as env:NAME")
    if wanted.base_url is not None:
        message = "Mistral reports to Weights & Biases itself, and to no other server"
        yield Problem(field="integrations.wandb.baseUrl", message=message, remedy="leave it out")


def _of_dataset(dataset: DatasetFacts) -> Iterator[Problem]:
    if dataset.rows < 1:
        yield Problem(field="datasets.trainingFileId", message="the dataset has no rows to train on")
    if dataset.size_bytes > LONGEST_FILE_BYTES:
        message = f"{dataset.size_bytes:,} bytes are more than the {LONGEST_FILE_BYTES:,} that Mistral takes in a file"
        yield Problem(field="datasets.trainingFileId", message=message, remedy="train on fewer rows")


def _refused(path: str) -> Problem:
    return Problem(field=path, message=f"cannot be sent: {ITS_OWN}", remedy="leave it out, or use another provider")
