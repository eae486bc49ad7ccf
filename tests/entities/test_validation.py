"""A configuration against a provider: every objection at once, with its path and what would be taken instead."""

from typing import Any

import msgspec
import pytest
from tests.entities.lives import JSON_CONFIGURATION

from genomed.entities.capabilities import (
    BaseModelOffer,
    Features,
    ParameterDefinition,
    ParameterType,
    ProviderCapabilities,
    ValidationResult,
)
from genomed.entities.checking import convert, given_paths
from genomed.entities.configuration import CONFIGURATION_FIELDS, JobConfiguration, Scalar
from genomed.entities.errors import ErrorKind
from genomed.entities.facts import DatasetFacts
from genomed.entities.limits import RANGED_FIELDS, Range, range_of
from genomed.entities.types import (
    LRSchedulerType,
    ModelPrecision,
    OptimizationFeature,
    RowKind,
    TrainingMethod,
)
from genomed.entities.validation import check_configuration, value_at

ABLE = ProviderCapabilities(
    provider="local",
    available=True,
    supported_methods=(TrainingMethod.FULL, TrainingMethod.LORA),
    supported_optimizations=(OptimizationFeature.GRADIENT_CHECKPOINTING,),
    supported_precisions=(ModelPrecision.FP32,),
    supported_schedulers=(LRSchedulerType.LINEAR, LRSchedulerType.COSINE),
    supported_row_kinds=(RowKind.CHAT,),
)
ROWS = DatasetFacts(dataset_id="ds-1", row_kind=RowKind.CHAT, rows=40, eval_rows=10, size_bytes=1)


def check(*, able: ProviderCapabilities = ABLE, rows: DatasetFacts = ROWS, **sections: object) -> ValidationResult:
    given = {**JSON_CONFIGURATION, **sections}
    return check_configuration(convert(given, JobConfiguration), able, rows, asked=given_paths(given))


def objections(result: ValidationResult) -> dict[str, str]:
    return {problem.field.removeprefix("configuration."): problem.message for problem in result.errors}


def with_able(**changes: object) -> ProviderCapabilities:
    return msgspec.structs.replace(ABLE, **changes)


def test_a_configuration_that_the_provider_can_do_has_no_objections() -> None:
    assert (check().errors, check().warnings, check().valid) == ((), (), True)


def test_a_provider_that_is_not_available_says_why_and_nothing_else() -> None:
    gone = with_able(available=False, reason="torch is not installed")
    assert objections(check(able=gone, method={"type": "qlora"})) == {
        "provider": "local is not available: torch is not installed"
    }


def test_every_value_that_the_provider_lacks_is_named_at_once() -> None:
    result = check(
        model={"baseModel": "tiny", "precision": "fp8"},
        method={"type": "qlora"},
        optimizations={"enabled": ["gradient_checkpointing", "flash_attention", "fused_kernels"]},
        optimizer={"scheduler": {"type": "polynomial"}},
    )
    assert list(objections(result)) == [
        "method.type",
        "model.precision",
        "optimizations.enabled[1]",
        "optimizations.enabled[2]",
        "optimizer.scheduler.type",
    ]
    assert result.kind is ErrorKind.UNSUPPORTED
    assert result.errors[0].message == "local does not support qlora"
    assert result.errors[0].remedy == "it supports: full, lora"


def test_a_scheduler_that_nobody_asked_for_is_no_objection_where_there_are_none() -> None:
    none = with_able(supported_schedulers=())
    assert check(able=none).valid
    assert list(objections(check(able=none, optimizer={"scheduler": {"type": "linear"}}))) == [
        "optimizer.scheduler.type"
    ]


@pytest.mark.parametrize(
    ("sections", "field"),
    [
        ({"method": {"type": "full", "loraConfig": {}}}, "method.loraConfig"),
        ({"optimizations": {"enabled": ["gradient_checkpointing"] * 2}}, "optimizations.enabled"),
        (
            {"datasets": {"trainingFileId": "ds-1", "validationFileId": "ds-1"}},
            "datasets.validationFileId",
        ),
    ],
)
def test_a_configuration_that_contradicts_itself_is_an_invalid_request(sections: dict[str, Any], field: str) -> None:
    result = check(**sections)
    assert (list(objections(result)), result.kind) == ([field], ErrorKind.INVALID_REQUEST)


def test_what_a_provider_requires_must_have_been_given() -> None:
    demanding = with_able(additional_required_params=("schedule.epochs", "output.suffix"))
    assert list(objections(check(able=demanding, schedule={"epochs": 3}))) == ["output.suffix"]


def with_value(path: str, value: float) -> dict[str, Any]:
    """The section that gives one ranged field this value."""
    section, *names = path.split(".")
    inner: object = int(value) if value == int(value) else value
    for name in reversed(names):
        inner = {name: inner}
    assert isinstance(inner, dict)
    return {section: {**({"type": "lora"} if section == "method" else {}), **inner}}


@pytest.mark.parametrize("path", RANGED_FIELDS)
def test_a_range_that_a_provider_narrows_is_kept_in_every_ranged_field(path: str) -> None:
    section, name = RANGED_FIELDS[path]
    low, high = range_of(path).min, range_of(path).max
    for fits, too_far in ((low, high), (high, low)):
        narrow = with_able(parameter_ranges={section: {name: Range(min=fits, max=fits, default=None)}})
        assert list(objections(check(able=narrow, **with_value(path, fits)))) == []
        assert list(objections(check(able=narrow, **with_value(path, too_far)))) == [path]


def test_a_default_outside_a_providers_range_is_told_as_a_default() -> None:
    narrow = with_able(parameter_ranges={"schedule": {"batchSize": Range(min=8, max=64, default=8)}})
    message = "4 (the default; universal range 1 to 64) is outside 8 to 64 of local"
    assert objections(check(able=narrow)) == {"schedule.batchSize": message}
    given = check(able=narrow, schedule={"batchSize": 4})
    assert objections(given) == {"schedule.batchSize": "4 is outside 8 to 64 of local"}


KNOBS = {
    "steps": ParameterDefinition(type=ParameterType.NUMBER, description="how many", min=1, max=9),
    "mood": ParameterDefinition(type=ParameterType.ENUM, description="how", enum_values=("calm", "wild")),
    "loud": ParameterDefinition(type=ParameterType.BOOLEAN, description="whether"),
    "name": ParameterDefinition(type=ParameterType.STRING, description="who"),
}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("steps", 5, None),
        ("steps", 0, "must be at least 1"),
        ("steps", 9.5, "must be at most 9"),
        ("steps", "5", "must be a number"),
        ("steps", True, "must be a number"),
        ("mood", "calm", None),
        ("mood", "sad", "must be one of calm, wild"),
        ("loud", False, None),
        ("loud", 0, "must be true or false"),
        ("name", "x", None),
        ("name", 5, "must be text"),
        ("other", 1, "local has no such parameter"),
    ],
)
def test_a_providers_own_parameters_are_checked_by_their_definitions(
    name: str, value: Scalar, message: str | None
) -> None:
    result = check(able=with_able(custom_parameters=KNOBS), metadata={name: value})
    assert objections(result) == ({} if message is None else {f"metadata.{name}": message})


def test_an_unknown_parameter_is_answered_with_the_known_ones() -> None:
    (problem,) = check(able=with_able(custom_parameters=KNOBS), metadata={"other": 1}).errors
    assert problem.remedy == "parameters of local: loud, mood, name, steps"


def test_a_required_parameter_must_be_given() -> None:
    needed = {"key": ParameterDefinition(type=ParameterType.STRING, description="which", required=True)}
    assert objections(check(able=with_able(custom_parameters=needed))) == {"metadata.key": "is required by local"}


def test_rows_that_the_provider_cannot_train_on_are_refused() -> None:
    pairs = msgspec.structs.replace(ROWS, row_kind=RowKind.PREFERENCE, rows=0)
    result = check(rows=pairs)
    assert [problem.message for problem in result.errors] == [
        "local does not train on preference rows",
        "has no rows to train on",
    ]


@pytest.mark.parametrize(
    ("sections", "rows", "field"),
    [
        ({"optimizer": {"learningRate": 0}}, ROWS, "configuration.optimizer.learningRate"),
        ({}, msgspec.structs.replace(ROWS, eval_rows=0), "configuration.datasets"),
        (
            {"method": {"type": "lora", "loraConfig": {"rank": 128, "alpha": 16}}},
            ROWS,
            "configuration.method.loraConfig.alpha",
        ),
    ],
)
def test_what_is_allowed_but_hardly_meant_is_a_warning(
    sections: dict[str, Any], rows: DatasetFacts, field: str
) -> None:
    result = check(rows=rows, **sections)
    assert result.valid
    assert [problem.field for problem in result.warnings] == [field]


def test_a_validation_dataset_makes_up_for_rows_not_held_out() -> None:
    named = {"trainingFileId": "ds-1", "validationFileId": "ds-2"}
    assert check(rows=msgspec.structs.replace(ROWS, eval_rows=0), datasets=named).warnings == ()


def test_every_leaf_of_a_configuration_has_a_value_or_none_at_its_path() -> None:
    configuration = convert(JSON_CONFIGURATION, JobConfiguration)
    values = {path: value_at(configuration, path) for path in CONFIGURATION_FIELDS}
    assert (values["model.baseModel"], values["schedule.epochs"], values["method.type"]) == ("tiny", 3, "lora")
    assert (values["hardware.numGPUs"], values["method.loraConfig.rank"]) == (None, None)
    assert value_at(configuration, "model.baseModel.more") is None


def test_a_base_model_that_is_not_offered_is_refused_where_only_the_offered_ones_work() -> None:
    offers = (BaseModelOffer(name="small"), BaseModelOffer(name="large"))
    refused = check(able=with_able(base_models=offers, any_base_model=False))
    assert objections(refused) == {"model.baseModel": "local does not support tiny"}
    assert refused.errors[0].remedy == "it supports: small, large"
    assert check(able=with_able(base_models=offers)).valid


def test_what_a_provider_does_only_with_other_base_models_is_refused() -> None:
    offer = BaseModelOffer(name="tiny", methods=(TrainingMethod.FULL,), row_kinds=(RowKind.PREFERENCE,))
    kinds = (RowKind.CHAT, RowKind.PREFERENCE)
    assert set(objections(check(able=with_able(base_models=(offer,), supported_row_kinds=kinds)))) == {
        "method.type",
        "datasets.trainingFileId",
    }


@pytest.mark.parametrize(
    ("feature", "able"),
    [
        ("tools", Features(tools=True)),
        ("weights", Features(message_weights=True)),
        ("names", Features(speaker_names=True)),
    ],
)
def test_rows_with_more_than_a_provider_trains_on_are_refused_by_name(feature: str, able: Features) -> None:
    rows = msgspec.structs.replace(ROWS, features=(feature,))
    assert objections(check(rows=rows)) == {"datasets.trainingFileId": f"local does not train on rows with {feature}"}
    assert check(rows=rows, able=with_able(features=able)).valid


def test_a_feature_that_this_build_does_not_know_is_refused() -> None:
    rows = msgspec.structs.replace(ROWS, features=("pictures",))
    assert objections(check(rows=rows)) == {"datasets.trainingFileId": "local does not train on rows with pictures"}
