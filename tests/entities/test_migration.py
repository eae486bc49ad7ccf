"""The old flat forms mean a configuration, or are refused with the names of what has no meaning here."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.entities.checking import convert
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import InvalidRequest
from genomed.entities.limits import range_of
from genomed.entities.migration import FlatTraining, configuration_from_hyperparameters, configuration_from_train
from genomed.entities.types import TrainingMethod


def row(**hyperparameters: Any) -> dict[str, Any]:
    return {"baseModel": "tiny", "trainingFileId": "ds-1", "hyperparameters": hyperparameters}


def migrated(old: dict[str, Any]) -> JobConfiguration:
    return convert(configuration_from_hyperparameters(old), JobConfiguration)


def test_an_old_row_becomes_a_configuration_with_its_numbers() -> None:
    old = row(n_epochs=4, batch_size=8, weight_decay=0.1, warmup_ratio=0.05) | {"suffix": "v1", "validationFileId": "e"}
    new = migrated(old)
    assert (new.model.base_model, new.datasets.training_file_id, new.datasets.validation_file_id) == (
        "tiny",
        "ds-1",
        "e",
    )
    assert (new.schedule.epochs, new.schedule.batch_size, new.optimizer.weight_decay) == (4, 8, 0.1)
    assert (new.optimizer.scheduler.warmup_ratio, new.output.suffix, new.method.type) == (0.05, "v1", "lora")


@pytest.mark.parametrize("old", [row(), row(n_epochs=None), {"baseModel": "tiny", "trainingFileId": "ds-1"}])
def test_what_an_old_row_does_not_say_takes_the_default(old: dict[str, Any]) -> None:
    new = migrated(old)
    assert (new.schedule.epochs, new.schedule.batch_size) == (3, 4)


def test_everything_without_a_meaning_here_is_named_at_once_and_not_guessed() -> None:
    with pytest.raises(InvalidRequest) as refused:
        configuration_from_hyperparameters(row(n_epochs="auto", learning_rate_multiplier=2, beta=0.1, batch_size=4))
    assert [problem.field for problem in refused.value.details] == [
        "hyperparameters.n_epochs",
        "hyperparameters.learning_rate_multiplier",
        "hyperparameters.beta",
    ]


def test_a_migrated_row_is_checked_like_everything_from_outside() -> None:
    with pytest.raises(InvalidRequest) as refused:
        migrated(row(n_epochs=99) | {"baseModel": None})
    assert {problem.field for problem in refused.value.details} == {"model.baseModel", "schedule.epochs"}


def test_a_rank_beyond_its_range_is_one_mistake_and_not_two() -> None:
    flat = FlatTraining(
        base_model="tiny",
        dataset_id="ds-1",
        rank=300,
        alpha=None,
        epochs=1,
        learning_rate=0.1,
        batch_size=1,
        sequence_length=None,
        quantize=False,
    )
    with pytest.raises(InvalidRequest) as refused:
        convert(configuration_from_train(flat), JobConfiguration)
    assert [problem.field for problem in refused.value.details] == ["method.loraConfig.rank"]


FLAT = st.builds(
    FlatTraining,
    base_model=st.just("tiny"),
    dataset_id=st.just("ds-1"),
    rank=st.integers(1, 256),
    alpha=st.none() | st.floats(1, 512),
    epochs=st.integers(1, 20),
    learning_rate=st.floats(0, 1),
    batch_size=st.integers(1, 64),
    sequence_length=st.none() | st.integers(512, 33000),
    quantize=st.booleans(),
)


@given(FLAT)
def test_every_flat_setting_within_its_range_reaches_the_configuration(flat: FlatTraining) -> None:
    new = convert(configuration_from_train(flat), JobConfiguration)
    assert new.lora is not None
    assert (new.lora.rank, new.schedule.epochs, new.schedule.batch_size) == (flat.rank, flat.epochs, flat.batch_size)
    assert new.optimizer.learning_rate == flat.learning_rate
    assert new.schedule.sequence_length == (flat.sequence_length or 2048)
    assert new.method.type is (TrainingMethod.QLORA if flat.quantize else TrainingMethod.LORA)
    most = range_of("method.loraConfig.alpha").max
    assert new.lora.alpha == (flat.alpha if flat.alpha is not None else min(2 * flat.rank, most))
