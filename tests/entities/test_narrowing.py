"""The schema that forms and agents see of a provider: valid JSON Schema, and as narrow as the provider."""

from copy import deepcopy
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from tests.entities.lives import JSON_CONFIGURATION

from genomed.entities.capabilities import BaseModelOffer, ParameterDefinition, ParameterType, ProviderCapabilities
from genomed.entities.checking import given_paths
from genomed.entities.configuration import JobConfiguration
from genomed.entities.facts import DatasetFacts
from genomed.entities.limits import PARAMETER_RANGES, RANGED_FIELDS, Range
from genomed.entities.narrowing import narrowed, narrowed_schema
from genomed.entities.types import LRSchedulerType, ModelPrecision, OptimizationFeature, RowKind, TrainingMethod
from genomed.entities.validation import check_configuration

UNIVERSAL = msgspec.json.schema(JobConfiguration)
ABLE = ProviderCapabilities(
    provider="local",
    available=True,
    supported_methods=(TrainingMethod.LORA,),
    supported_optimizations=(OptimizationFeature.GRADIENT_CHECKPOINTING,),
    supported_precisions=(ModelPrecision.FP32, ModelPrecision.BF16),
    supported_schedulers=(LRSchedulerType.LINEAR,),
    parameter_ranges={
        "schedule": {"epochs": Range(min=2, max=5, default=3)},
        "optimizer": {"cycles": Range(min=0, max=1, default=None), "minLRRatio": Range(min=0, max=0.5, default=0)},
        "lora": {"rank": Range(min=8, max=9999, default=8)},
    },
    custom_parameters={
        "steps": ParameterDefinition(type=ParameterType.NUMBER, description="how many", min=1, max=9, default=3),
        "mood": ParameterDefinition(
            type=ParameterType.ENUM, description="how", enum_values=("calm", "wild"), required=True
        ),
    },
)
NARROW = narrowed_schema(UNIVERSAL, ABLE)


def objections(schema: dict[str, Any], given_: Any) -> set[str]:
    """Paths of what the schema refuses."""
    found = Draft202012Validator(schema).iter_errors(given_)
    return {".".join(str(part) for part in error.absolute_path) for error in found}


def configured(**sections: object) -> dict[str, object]:
    return {**JSON_CONFIGURATION, "metadata": {"mood": "calm"}, **sections}


@pytest.mark.parametrize("able", [ABLE, ProviderCapabilities(provider="none", available=False)])
def test_a_narrowed_schema_is_valid_json_schema(able: ProviderCapabilities) -> None:
    Draft202012Validator.check_schema(narrowed_schema(UNIVERSAL, able))


def test_the_universal_schema_is_left_as_it_was() -> None:
    before = deepcopy(UNIVERSAL)
    narrowed_schema(UNIVERSAL, ABLE)
    assert before == UNIVERSAL


def test_what_the_provider_can_do_fits_the_schema() -> None:
    assert objections(NARROW, configured()) == set()
    assert objections(NARROW, configured(model={"baseModel": "tiny", "precision": "bf16"})) == set()


@pytest.mark.parametrize(
    ("sections", "path"),
    [
        ({"method": {"type": "qlora"}}, "method.type"),
        ({"model": {"baseModel": "tiny", "precision": "int4"}}, "model.precision"),
        ({"optimizations": {"enabled": ["flash_attention"]}}, "optimizations.enabled.0"),
        ({"optimizer": {"scheduler": {"type": "cosine"}}}, "optimizer.scheduler.type"),
        ({"optimizer": {"scheduler": {"cycles": 1.5}}}, "optimizer.scheduler.cycles"),
        ({"optimizer": {"scheduler": {"minLRRatio": 0.6}}}, "optimizer.scheduler.minLRRatio"),
        ({"schedule": {"epochs": 1}}, "schedule.epochs"),
        ({"schedule": {"epochs": 6}}, "schedule.epochs"),
        ({"method": {"type": "lora", "loraConfig": {"rank": 4}}}, "method.loraConfig"),
        ({"metadata": {"mood": "sad"}}, "metadata.mood"),
        ({"metadata": {"mood": "calm", "steps": 10}}, "metadata.steps"),
        ({"metadata": {"mood": "calm", "other": 1}}, "metadata"),
        ({"metadata": {}}, "metadata"),
    ],
)
def test_what_the_provider_cannot_do_does_not_fit(sections: dict[str, object], path: str) -> None:
    assert objections(UNIVERSAL, configured(**sections)) == set()
    assert objections(NARROW, configured(**sections)) == {path}


def test_a_provider_never_widens_a_universal_range() -> None:
    definitions = NARROW["$defs"]
    rank = definitions["LoRAConfiguration"]["properties"]["rank"]
    cycles = definitions["LRSchedulerConfig"]["properties"]["cycles"]["anyOf"][0]
    assert (rank["minimum"], rank["maximum"]) == (8, 256)
    assert (cycles["minimum"], cycles["maximum"]) == (0.1, 1)


RANGES = st.builds(
    lambda low, high: Range(min=min(low, high), max=max(low, high), default=None),
    st.floats(-1e3, 1e5),
    st.floats(-1e3, 1e5),
)


@settings(max_examples=25)  # each checks a whole schema
@given(st.sampled_from(sorted(RANGED_FIELDS.values())), RANGES)
def test_any_range_leaves_valid_json_schema_within_the_universal_one(line: tuple[str, str], limits: Range) -> None:
    section, name = line
    able = msgspec.structs.replace(ABLE, parameter_ranges={section: {name: limits}})
    schema = narrowed_schema(UNIVERSAL, able)
    Draft202012Validator.check_schema(schema)
    owners = {"schedule": "ScheduleSection", "lora": "LoRAConfiguration", "optimizer": "OptimizerSection"}
    scheduler = name in ("warmupRatio", "minLRRatio", "cycles")
    field = schema["$defs"]["LRSchedulerConfig" if scheduler else owners[section]]["properties"][name]
    number = field["anyOf"][0] if "anyOf" in field else field
    universal = PARAMETER_RANGES[section][name]
    assert (number["minimum"], number["maximum"]) == (max(universal.min, limits.min), min(universal.max, limits.max))


def test_where_only_the_named_base_models_work_the_schema_lists_them() -> None:
    offers = (BaseModelOffer(name="small"), BaseModelOffer(name="large"))
    only = msgspec.structs.replace(ABLE, base_models=offers, any_base_model=False)
    others_too = msgspec.structs.replace(ABLE, base_models=offers)
    assert objections(narrowed_schema(UNIVERSAL, only), configured()) == {"model.baseModel"}
    assert objections(narrowed_schema(UNIVERSAL, only), configured(model={"baseModel": "small"})) == set()
    assert objections(narrowed_schema(UNIVERSAL, others_too), configured()) == set()


def test_a_default_that_the_provider_would_refuse_must_be_said_and_is_not_offered_as_one() -> None:
    able = msgspec.structs.replace(
        ABLE,
        parameter_ranges={
            "schedule": {"epochs": Range(min=5, max=9, default=6)},
            "optimizer": {"warmupRatio": Range(min=0.1, max=0.2, default=None)},
            "lora": {"rank": Range(min=16, max=32, default=None)},
        },
        supported_schedulers=(LRSchedulerType.COSINE,),
        additional_required_params=("hardware.gpuType",),
    )
    schema = narrowed_schema(UNIVERSAL, able)
    Draft202012Validator.check_schema(schema)
    assert set(narrowed(able).must_be_said) == {
        "hardware.gpuType", "schedule.epochs", "optimizer.scheduler.warmupRatio", "method.loraConfig.rank",
        "optimizer.scheduler.type",
    }  # fmt: skip
    assert schema["$defs"]["ScheduleSection"]["properties"]["epochs"]["default"] == 6
    assert "default" not in schema["$defs"]["LRSchedulerConfig"]["properties"]["warmupRatio"]
    assert objections(schema, configured()) == {""}
    said = configured(
        schedule={"epochs": 5},
        optimizer={"scheduler": {"type": "cosine", "warmupRatio": 0.1}},
        hardware={"gpuType": "any"},
    )
    assert objections(schema, said) == set()
    assert objections(schema, {**said, "method": {"type": "lora", "loraConfig": {}}}) == {"method.loraConfig"}


NARROWER = st.builds(
    lambda low, high, default: Range(min=min(low, high), max=max(low, high), default=default),
    st.integers(1, 20),
    st.integers(1, 20),
    st.none() | st.integers(0, 21),
)


@settings(max_examples=40)
@given(NARROWER, st.none() | st.integers(1, 20), st.booleans())
def test_the_schema_refuses_exactly_what_validation_refuses(limits: Range, epochs: int | None, chosen: bool) -> None:
    able = msgspec.structs.replace(
        ABLE,
        parameter_ranges={"schedule": {"epochs": limits}},
        base_models=(BaseModelOffer(name="tiny" if chosen else "other"),),
        any_base_model=False,
        supported_row_kinds=(RowKind.CHAT,),
    )
    given_ = configured(**({} if epochs is None else {"schedule": {"epochs": epochs}}))
    configuration = msgspec.convert(given_, JobConfiguration)
    rows = DatasetFacts(dataset_id="ds-1", row_kind=RowKind.CHAT, rows=40, eval_rows=10, size_bytes=1)
    checked = check_configuration(configuration, able, rows, asked=given_paths(given_))
    assert checked.valid == (objections(narrowed_schema(UNIVERSAL, able), given_) == set())
