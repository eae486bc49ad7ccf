"""One table of ranges: the configuration's schema says exactly what it says, and no leaf is unaccounted for."""

from typing import Any

import msgspec
import pytest
from msgspec import inspect

from genomed.entities.configuration import CONFIGURATION_FIELDS, JobConfiguration
from genomed.entities.limits import PARAMETER_RANGES, RANGED_FIELDS, range_of

SEED: dict[str, dict[str, tuple[float, float, float]]] = {
    "schedule": {
        "epochs": (1, 20, 3),
        "batchSize": (1, 64, 4),
        "sequenceLength": (512, 33000, 2048),
        "gradientAccumulation": (1, 16, 1),
        "checkpoints": (0, 10, 1),
        "evaluations": (0, 20, 1),
    },
    "optimizer": {
        "learningRate": (0, 1, 0.00001),
        "weightDecay": (0, 1, 0),
        "maxGradientNorm": (0, 10, 1),
        "warmupRatio": (0, 1, 0),
        "minLRRatio": (0, 1, 0),
    },
    "lora": {"rank": (1, 256, 8), "alpha": (1, 512, 16), "dropout": (0, 1, 0)},
}
"""(min, max, default), verbatim from the seed's "Parameter Validation Ranges"."""


def walked(kind: inspect.Type, path: str = "") -> dict[str, inspect.Field]:
    """Leaf path -> field; a section that CONFIGURATION_FIELDS names as a whole is a leaf."""
    match kind:
        case inspect.Metadata(type=inner):
            return walked(inner, path)
        case inspect.UnionType(types=types):
            return {name: leaf for one in types for name, leaf in walked(one, path).items()}
        case inspect.StructType(fields=fields):
            found: dict[str, inspect.Field] = {}
            for field in fields:
                name = f"{path}.{field.encode_name}".lstrip(".")
                inner_leaves = {} if name in CONFIGURATION_FIELDS else walked(field.type, name)
                found |= inner_leaves or {name: field}
            return found
        case _:
            return {}


LEAVES = walked(inspect.type_info(JobConfiguration))


def number_schema(path: str) -> dict[str, Any]:
    """The JSON Schema of a ranged field, found by its wire path."""
    schema = msgspec.json.schema(JobConfiguration)
    found: dict[str, Any] = schema
    for name in path.split("."):
        branches = [found, *found.get("anyOf", []), *found.get("allOf", [])]
        reference = next(branch["$ref"] for branch in branches if "$ref" in branch)
        found = schema["$defs"][reference.rpartition("/")[2]]["properties"][name]
    branches = found.get("anyOf", [found])
    number = next(branch for branch in branches if branch.get("type") != "null")
    return {"default": found.get("default"), **number}


@pytest.mark.parametrize(("section", "name"), [(s, name) for s, names in SEED.items() for name in names])
def test_the_ranges_are_the_seeds(section: str, name: str) -> None:
    ranged = PARAMETER_RANGES[section][name]
    assert (ranged.min, ranged.max, ranged.default) == SEED[section][name]


def test_the_seeds_scheduler_cycles_have_their_range_and_stay_unset() -> None:
    cycles = range_of("optimizer.scheduler.cycles")
    assert (cycles.min, cycles.max, cycles.default) == (0.1, 2.0, None)
    assert {section: set(names) for section, names in PARAMETER_RANGES.items()} == {
        section: set(names) | ({"cycles"} if section == "optimizer" else set()) for section, names in SEED.items()
    }


@pytest.mark.parametrize("path", RANGED_FIELDS)
def test_the_schema_of_a_ranged_field_is_its_line_in_the_table(path: str) -> None:
    ranged, schema = range_of(path), number_schema(path)
    assert (schema["minimum"], schema["maximum"], schema["default"]) == (ranged.min, ranged.max, ranged.default)
    assert schema["description"]


def test_every_line_of_the_table_applies_to_exactly_one_field() -> None:
    lines = [(section, name) for section, names in PARAMETER_RANGES.items() for name in names]
    assert sorted(RANGED_FIELDS.values()) == sorted(lines)
    with pytest.raises(KeyError):
        range_of("schedule.trainOnInputs")


def test_every_number_of_a_configuration_has_a_range() -> None:
    numbers = {path for path, field in LEAVES.items() if {"minimum", "maximum"} & set(_keys(field))}
    assert numbers - set(RANGED_FIELDS) == {"hardware.numGPUs"}  # the seed gives it none


def _keys(field: inspect.Field) -> list[str]:
    kinds = field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
    bare = [kind.type if isinstance(kind, inspect.Metadata) else kind for kind in kinds]
    numeric = any(isinstance(kind, inspect.IntType | inspect.FloatType) for kind in bare)
    return ["minimum", "maximum"] if numeric else []


def test_every_leaf_but_metadata_is_accounted_for_once() -> None:
    assert sorted(CONFIGURATION_FIELDS) == sorted(set(LEAVES) - {"metadata"})


def test_defaults_lie_within_their_ranges() -> None:
    for path in RANGED_FIELDS:
        ranged = range_of(path)
        assert ranged.min < ranged.max
        assert ranged.default is None or ranged.min <= ranged.default <= ranged.max
