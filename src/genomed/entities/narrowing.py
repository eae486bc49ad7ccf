"""What one provider takes of the universal configuration: ranges, choices, and what must be said. Pure.

Validation, forms and tools read the same facts here; `narrowed_schema` tells them as JSON Schema.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from msgspec import Struct

from genomed.entities.capabilities import ParameterDefinition, ParameterType, ProviderCapabilities
from genomed.entities.limits import RANGED_FIELDS, Range, range_of
from genomed.entities.types import LRSchedulerType

_SECTIONS = {
    "model": "ModelSection",
    "method": "MethodSection",
    "schedule": "ScheduleSection",
    "optimizer": "OptimizerSection",
    "scheduler": "LRSchedulerConfig",
    "loraConfig": "LoRAConfiguration",
    "hardware": "HardwareSection",
    "output": "OutputSection",
    "optimizations": "OptimizationsSection",
    "datasets": "DatasetsSection",
}

_ENUMS = {
    "method.type": "TrainingMethod",
    "model.precision": "ModelPrecision",
    "optimizations.enabled": "OptimizationFeature",
    "optimizer.scheduler.type": "LRSchedulerType",
}

DEFAULT_SCHEDULER = LRSchedulerType.LINEAR


class Narrowed(Struct, frozen=True, kw_only=True):
    """The facts about one provider, by wire path.

    ranges: where it is stricter than the universal table; a default that does not fit is null. choices: the words it
    takes. must_be_said: what it needs, and what it would refuse as it is by default.
    """

    ranges: dict[str, Range]
    choices: dict[str, tuple[str, ...]]
    must_be_said: tuple[str, ...]


def narrowed(able: ProviderCapabilities) -> Narrowed:
    ranges = {
        path: _within(range_of(path), limits)
        for path, (section, name) in RANGED_FIELDS.items()
        if (limits := able.parameter_ranges.get(section, {}).get(name)) is not None
    }
    choices: dict[str, tuple[str, ...]] = {
        "method.type": able.supported_methods,
        "model.precision": able.supported_precisions,
        "optimizations.enabled": able.supported_optimizations,
        "optimizer.scheduler.type": able.supported_schedulers,
    }
    if not able.any_base_model:
        choices["model.baseModel"] = tuple(offer.name for offer in able.base_models)
    needed = dict.fromkeys(able.additional_required_params)
    needed |= dict.fromkeys(path for path, limits in ranges.items() if not _fits(range_of(path).default, limits))
    if able.supported_schedulers and DEFAULT_SCHEDULER not in able.supported_schedulers:
        needed["optimizer.scheduler.type"] = None
    return Narrowed(ranges=ranges, choices=choices, must_be_said=tuple(needed))


def _within(universal: Range, own: Range) -> Range:
    """No provider widens a universal range. Its own default is what a form begins with, where it fits."""
    both = Range(min=max(universal.min, own.min), max=min(universal.max, own.max), default=None)
    fitting = (one for one in (universal.default, own.default) if one is not None and _fits(one, both))
    return Range(min=both.min, max=both.max, default=next(fitting, None))


def _fits(default: float | None, limits: Range) -> bool:
    return default is None or limits.min <= default <= limits.max


def narrowed_schema(universal: dict[str, Any], able: ProviderCapabilities) -> dict[str, Any]:
    """A copy that takes what this provider takes: its words, ranges, base models and parameters, and what it needs."""
    schema = deepcopy(universal)
    definitions = schema["$defs"]
    facts = narrowed(able)
    for path, name in _ENUMS.items():
        _narrow_enum(definitions, name, facts.choices[path])
    for path, limits in facts.ranges.items():
        _narrow_number(_field(definitions, path), limits)
    _narrow_base_models(_field(definitions, "model.baseModel"), able, facts.choices.get("model.baseModel"))
    for path in facts.must_be_said:
        _require(definitions, path)
    definitions["JobConfiguration"]["properties"]["metadata"] = _metadata(able.custom_parameters)
    return schema


def _narrow_enum(definitions: dict[str, Any], name: str, supported: Sequence[str]) -> None:
    if name in definitions:
        definitions[name]["enum"] = [value for value in definitions[name]["enum"] if value in supported]


def _narrow_number(field: dict[str, Any], limits: Range) -> None:
    number = next(branch for branch in field.get("anyOf", [field]) if branch.get("type") != "null")
    number["minimum"], number["maximum"] = limits.min, limits.max
    if limits.default is not None:
        field["default"] = int(limits.default) if number["type"] == "integer" else limits.default
    elif field.get("default") is not None:
        del field["default"]


def _narrow_base_models(field: dict[str, Any], able: ProviderCapabilities, only: Sequence[str] | None) -> None:
    if only is not None:
        field["enum"] = list(only)
    elif able.base_models:
        field["examples"] = [offer.name for offer in able.base_models]


def _require(definitions: dict[str, Any], path: str) -> None:
    """The field and the sections it lies in; a section that stands by its default would not say the field.

    LoRA settings are required where they are given: they have no place in full training.
    """
    owner, parts = "JobConfiguration", path.split(".")
    for depth, name in enumerate(parts):
        if depth > 0:
            owner = _SECTIONS.get(parts[depth - 1], "")
        properties = definitions.get(owner, {}).get("properties", {})
        if name not in properties:
            return
        if name == "loraConfig":
            continue
        required = definitions[owner].setdefault("required", [])
        if name not in required:
            required.append(name)
        if depth < len(parts) - 1 or name == "type":
            properties[name].pop("default", None)


def _field(definitions: dict[str, Any], path: str) -> dict[str, Any]:
    parent, leaf = path.split(".")[-2:]
    field: dict[str, Any] = definitions[_SECTIONS[parent]]["properties"][leaf]
    return field


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
