"""The universal JSON Schema of a configuration, narrowed to one provider. Pure; used by forms and tools."""

from copy import deepcopy
from typing import Any

from genomed.entities.capabilities import ParameterDefinition, ParameterType, ProviderCapabilities
from genomed.entities.limits import RANGED_FIELDS

_SECTIONS = {
    "schedule": "ScheduleSection",
    "optimizer": "OptimizerSection",
    "scheduler": "LRSchedulerConfig",
    "loraConfig": "LoRAConfiguration",
}


def narrowed_schema(universal: dict[str, Any], able: ProviderCapabilities) -> dict[str, Any]:
    """A copy in which enums list only what is supported, ranges are the provider's, and metadata its parameters."""
    schema = deepcopy(universal)
    definitions = schema["$defs"]
    _narrow_enum(definitions, "TrainingMethod", able.supported_methods)
    _narrow_enum(definitions, "ModelPrecision", able.supported_precisions)
    _narrow_enum(definitions, "OptimizationFeature", able.supported_optimizations)
    _narrow_enum(definitions, "LRSchedulerType", able.supported_schedulers)
    for path, (section, name) in RANGED_FIELDS.items():
        limits = able.parameter_ranges.get(section, {}).get(name)
        if limits is None:
            continue
        parent, leaf = path.split(".")[-2:]
        field = _number(definitions[_SECTIONS[parent]]["properties"][leaf])
        field["minimum"] = max(field.get("minimum", limits.min), limits.min)
        field["maximum"] = min(field.get("maximum", limits.max), limits.max)
    definitions["JobConfiguration"]["properties"]["metadata"] = _metadata(able.custom_parameters)
    return schema


def _narrow_enum(definitions: dict[str, Any], name: str, supported: tuple[str, ...]) -> None:
    if name in definitions:
        definitions[name]["enum"] = [value for value in definitions[name]["enum"] if value in supported]


def _number(field: dict[str, Any]) -> dict[str, Any]:
    """The branch of an optional number that holds its limits."""
    branches: list[dict[str, Any]] = field.get("anyOf", [field])
    return next(branch for branch in branches if branch.get("type") != "null")


def _metadata(parameters: dict[str, ParameterDefinition]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": sorted(name for name, wanted in parameters.items() if wanted.required),
        "properties": {name: _parameter(wanted) for name, wanted in parameters.items()},
    }


def _parameter(wanted: ParameterDefinition) -> dict[str, Any]:
    made: dict[str, Any] = {"description": wanted.description}
    if wanted.type is ParameterType.ENUM:
        made["enum"] = list(wanted.enum_values)
    else:
        made["type"] = wanted.type.value
    if wanted.default is not None:
        made["default"] = wanted.default
    if wanted.min is not None:
        made["minimum"] = wanted.min
    if wanted.max is not None:
        made["maximum"] = wanted.max
    return made
