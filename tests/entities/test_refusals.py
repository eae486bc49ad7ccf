"""The account of a configuration says of every setting what becomes of it, also where it is refused, and why."""

from genomed.entities.configuration import (
    CONFIGURATION_FIELDS,
    DatasetsSection,
    JobConfiguration,
    MethodSection,
    ModelSection,
    OptimizationsSection,
)
from genomed.entities.errors import Problem
from genomed.entities.facts import EffectiveField
from genomed.entities.refusals import with_refusals
from genomed.entities.types import OptimizationFeature, TrainingMethod

CONFIGURATION = JobConfiguration(
    model=ModelSection(base_model="tiny"),
    datasets=DatasetsSection(training_file_id="ds-1"),
    method=MethodSection(type=TrainingMethod.LORA),
    optimizations=OptimizationsSection(enabled=(OptimizationFeature.FUSED_KERNELS,)),
    metadata={"seed": 7},
)
ASKED = ("model.baseModel", "datasets.trainingFileId", "method.type", "optimizations.enabled", "metadata.seed")
SENT = tuple(EffectiveField(field=path, sent="x", disposition="defaulted") for path in CONFIGURATION_FIELDS)


def refused(*errors: Problem, fields: tuple[EffectiveField, ...] = SENT) -> dict[str, EffectiveField]:
    account = with_refusals(fields, errors, CONFIGURATION, asked=ASKED)
    assert len({field.field for field in account}) == len(account), "a field is told once"
    return {field.field: field for field in account if field.disposition == "refused"}


def test_without_a_refusal_the_account_is_the_providers() -> None:
    assert with_refusals(SENT, (), CONFIGURATION, asked=ASKED) == SENT


def test_an_item_of_a_list_refuses_the_list_with_its_value() -> None:
    told = refused(Problem(field="configuration.optimizations.enabled[0]", message="no kernels here"))
    assert told == {
        "optimizations.enabled": EffectiveField(
            field="optimizations.enabled", asked=("fused_kernels",), disposition="refused", note="no kernels here"
        )
    }


def test_a_default_that_does_not_fit_is_refused_and_was_not_asked_for() -> None:
    told = refused(Problem(field="configuration.schedule.epochs", message="at most 2"))
    assert told["schedule.epochs"].asked is None


def test_all_reasons_against_one_field_stand_in_one_note() -> None:
    told = refused(
        Problem(field="configuration.model.baseModel", message="unknown"),
        Problem(field="configuration.model.baseModel", message="too large"),
    )
    assert told["model.baseModel"].note == "unknown; too large"


def test_an_error_about_a_section_refuses_what_was_asked_in_it_else_the_section_itself() -> None:
    told = refused(
        Problem(field="configuration.datasets", message="x"),
        Problem(field="configuration.method.loraConfig", message="y"),
    )
    assert set(told) == {"datasets.trainingFileId", "method.loraConfig"}


def test_what_is_no_setting_refuses_none() -> None:
    assert refused(Problem(field="provider", message="it is closed")) == {}


def test_where_the_provider_made_nothing_of_it_only_what_is_refused_is_told() -> None:
    account = with_refusals(
        (), [Problem(field="configuration.metadata.seed", message="no such parameter")], CONFIGURATION, asked=ASKED
    )
    assert account == (EffectiveField(field="metadata.seed", asked=7, disposition="refused", note="no such parameter"),)
