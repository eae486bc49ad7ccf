"""A JobConfiguration against itself and a provider's capabilities. Pure; the adapter adds what only it can know."""

from collections.abc import Sequence

import msgspec

from genomed.entities.capabilities import ParameterDefinition, ParameterType, ProviderCapabilities, ValidationResult
from genomed.entities.configuration import JobConfiguration, Scalar
from genomed.entities.errors import ErrorKind, Problem
from genomed.entities.facts import DatasetFacts
from genomed.entities.limits import range_of
from genomed.entities.narrowing import narrowed
from genomed.entities.placeholders import smuggled
from genomed.entities.rows import NAMES, TOOLS, WEIGHTS
from genomed.entities.types import TrainingMethod


def check_configuration(
    configuration: JobConfiguration,
    capabilities: ProviderCapabilities,
    dataset: DatasetFacts,
    *,
    asked: Sequence[str],
) -> ValidationResult:
    """Every objection at once. Ranges proper were checked when the configuration was decoded."""
    if not capabilities.available:
        problem = Problem(field="provider", message=f"{capabilities.provider} is not available: {capabilities.reason}")
        return ValidationResult(errors=(problem,))
    errors = [
        *_consistency(configuration),
        *_supported(configuration, capabilities, asked),
        *_offered(configuration, capabilities, dataset),
        *_narrower(configuration, capabilities, asked),
        *_metadata(configuration.metadata, capabilities),
        *_dataset(dataset, capabilities),
    ]
    consistent = not _consistency(configuration)
    kind = ErrorKind.UNSUPPORTED if consistent else ErrorKind.INVALID_REQUEST
    return ValidationResult(errors=tuple(errors), warnings=tuple(_warnings(configuration, dataset)), kind=kind)


def value_at(configuration: JobConfiguration, path: str) -> object:
    """The value of a wire path as JSON would hold it; None where a section on the way is absent."""
    value: object = msgspec.to_builtins(configuration)
    for name in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _consistency(configuration: JobConfiguration) -> list[Problem]:
    found = smuggled(configuration)
    if configuration.method.type is TrainingMethod.FULL and configuration.method.lora_config is not None:
        found.append(
            Problem(
                field="configuration.method.loraConfig",
                message="has no meaning when method.type is full",
                remedy="remove it, or set method.type to lora",
            )
        )
    enabled = configuration.optimizations.enabled
    if len(set(enabled)) != len(enabled):
        found.append(Problem(field="configuration.optimizations.enabled", message="names a feature twice"))
    datasets = configuration.datasets
    if datasets.validation_file_id == datasets.training_file_id:
        found.append(
            Problem(
                field="configuration.datasets.validationFileId",
                message="is the training dataset, so it would prove nothing",
                remedy="leave it out: a dataset holds out rows of its own",
            )
        )
    return found


def _supported(configuration: JobConfiguration, able: ProviderCapabilities, asked: Sequence[str]) -> list[Problem]:
    found = []
    facts = narrowed(able)

    def need(path: str, value: str, *, field: str | None = None) -> None:
        allowed = facts.choices[path]
        if value not in allowed:
            remedy = f"it supports: {', '.join(allowed) or 'none'}"
            message = f"{able.provider} does not support {value}"
            found.append(Problem(field=f"configuration.{field or path}", message=message, remedy=remedy))

    if "model.baseModel" in facts.choices:
        need("model.baseModel", configuration.model.base_model)
    need("method.type", configuration.method.type)
    if configuration.model.precision is not None:
        need("model.precision", configuration.model.precision)
    for n, feature in enumerate(configuration.optimizations.enabled):
        need("optimizations.enabled", feature, field=f"optimizations.enabled[{n}]")
    if "optimizer.scheduler.type" in asked or able.supported_schedulers:
        need("optimizer.scheduler.type", configuration.optimizer.scheduler.type)
    missing = [path for path in able.additional_required_params if path not in asked]
    found += [Problem(field=f"configuration.{path}", message=f"is required by {able.provider}") for path in missing]
    return found


def _offered(configuration: JobConfiguration, able: ProviderCapabilities, dataset: DatasetFacts) -> list[Problem]:
    """What the provider does in general and not with this base model."""
    name = configuration.model.base_model
    offer = next((one for one in able.base_models if one.name == name), None)
    found = []
    method = configuration.method.type
    if offer is not None and offer.methods and method in able.supported_methods and method not in offer.methods:
        remedy = f"with this base model: {', '.join(offer.methods)}"
        message = f"{able.provider} does not train {name} with {method}"
        found.append(Problem(field="configuration.method.type", message=message, remedy=remedy))
    kind = dataset.row_kind
    if offer is not None and offer.row_kinds and kind in able.supported_row_kinds and kind not in offer.row_kinds:
        remedy = f"with this base model: {', '.join(offer.row_kinds)}"
        message = f"{able.provider} does not train {name} on {kind} rows"
        found.append(Problem(field="configuration.datasets.trainingFileId", message=message, remedy=remedy))
    return found


def _narrower(configuration: JobConfiguration, able: ProviderCapabilities, asked: Sequence[str]) -> list[Problem]:
    """Ranges that are tighter than the universal ones; a default that does not fit is an objection too."""
    found = []
    for path, limits in narrowed(able).ranges.items():
        value = value_at(configuration, path)
        if not isinstance(value, int | float) or limits.min <= value <= limits.max:
            continue
        given = (
            "" if path in asked else f" (the default; universal range {range_of(path).min:g} to {range_of(path).max:g})"
        )
        found.append(
            Problem(
                field=f"configuration.{path}",
                message=f"{value:g}{given} is outside {limits.min:g} to {limits.max:g} of {able.provider}",
            )
        )
    return found


def _metadata(metadata: dict[str, Scalar], able: ProviderCapabilities) -> list[Problem]:
    found = []
    for name, value in metadata.items():
        field = f"configuration.metadata.{name}"
        definition = able.custom_parameters.get(name)
        if definition is None:
            known = ", ".join(sorted(able.custom_parameters)) or "none"
            remedy = f"parameters of {able.provider}: {known}"
            found.append(Problem(field=field, message=f"{able.provider} has no such parameter", remedy=remedy))
        elif message := _misfit(value, definition):
            found.append(Problem(field=field, message=message, remedy=definition.description))
    for name, definition in able.custom_parameters.items():
        if definition.required and name not in metadata:
            found.append(Problem(field=f"configuration.metadata.{name}", message=f"is required by {able.provider}"))
    return found


def _misfit(value: Scalar, wanted: ParameterDefinition) -> str | None:
    match wanted.type:
        case ParameterType.BOOLEAN:
            return None if isinstance(value, bool) else "must be true or false"
        case ParameterType.STRING:
            return None if isinstance(value, str) else "must be text"
        case ParameterType.ENUM:
            return None if value in wanted.enum_values else f"must be one of {', '.join(wanted.enum_values)}"
        case ParameterType.NUMBER:
            if isinstance(value, bool) or not isinstance(value, int | float):
                return "must be a number"
            if wanted.min is not None and value < wanted.min:
                return f"must be at least {wanted.min:g}"
            if wanted.max is not None and value > wanted.max:
                return f"must be at most {wanted.max:g}"
            return None


def _dataset(dataset: DatasetFacts, able: ProviderCapabilities) -> list[Problem]:
    found = []
    if dataset.row_kind not in able.supported_row_kinds:
        message = f"{able.provider} does not train on {dataset.row_kind} rows"
        remedy = f"it trains on: {', '.join(able.supported_row_kinds)}"
        found.append(Problem(field="configuration.datasets.trainingFileId", message=message, remedy=remedy))
    has = able.features
    able_of = {TOOLS: has.tools, WEIGHTS: has.message_weights, NAMES: has.speaker_names}
    for feature in dataset.features:
        if not able_of.get(feature, False):
            message = f"{able.provider} does not train on rows with {feature}"
            remedy = "name another provider, or a dataset without them: nothing of a row is dropped in silence"
            found.append(Problem(field="configuration.datasets.trainingFileId", message=message, remedy=remedy))
    if dataset.rows == 0:
        found.append(Problem(field="configuration.datasets.trainingFileId", message="has no rows to train on"))
    return found


def _warnings(configuration: JobConfiguration, dataset: DatasetFacts) -> list[Problem]:
    found = []
    if configuration.optimizer.learning_rate == 0:
        found.append(Problem(field="configuration.optimizer.learningRate", message="0 trains nothing"))
    if dataset.eval_rows == 0 and configuration.datasets.validation_file_id is None:
        found.append(
            Problem(
                field="configuration.datasets",
                message="no rows are held out, so the result cannot be proved and will not be adopted",
                remedy="import with evalShare above 0, or name a validationFileId",
            )
        )
    lora = configuration.lora
    if lora is not None and lora.rank > 64 and lora.alpha < lora.rank:
        found.append(
            Problem(field="configuration.method.loraConfig.alpha", message="is below a large rank: updates are weak")
        )
    return found
