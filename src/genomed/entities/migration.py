"""Job settings of the existing system, brought into a JobConfiguration.

Two old forms: the flat `hyperparameters` of a stored job row (seed "Entity Schema Updates") and the flat
parameters of `genome/train` (reference/continuum.md a.1). A value that has no equal here is named, not guessed.
"""

from typing import Any

from msgspec import Struct

from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.limits import range_of

_HYPERPARAMETERS = {
    "n_epochs": ("schedule", "epochs"),
    "batch_size": ("schedule", "batchSize"),
    "weight_decay": ("optimizer", "weightDecay"),
}


def configuration_from_hyperparameters(row: dict[str, Any]) -> dict[str, Any]:
    """The configuration (as JSON) of an old job row with `baseModel`, `trainingFileId` and flat `hyperparameters`.

    Raises InvalidRequest for unknown names, for `auto`, and for learning_rate_multiplier, which scales a rate
    that only the old provider knew.
    """
    flat = row.get("hyperparameters") or {}
    if not isinstance(flat, dict):
        raise InvalidRequest.of([Problem(field="hyperparameters", message="must be an object")])
    problems: list[Problem] = []
    made: dict[str, Any] = {
        "model": {"baseModel": row.get("baseModel")},
        "datasets": {"trainingFileId": row.get("trainingFileId"), "validationFileId": row.get("validationFileId")},
        "method": {"type": "lora"},
        "schedule": {},
        "optimizer": {},
    }
    for name, value in flat.items():
        field = f"hyperparameters.{name}"
        if value is None:
            continue
        if name == "learning_rate_multiplier":
            problems.append(
                Problem(
                    field=field,
                    message="scales a rate that is not known here",
                    remedy="give the absolute optimizer.learningRate instead",
                )
            )
        elif value == "auto":
            problems.append(
                Problem(field=field, message="auto has no meaning here", remedy="leave it out to take the default")
            )
        elif name == "warmup_ratio":
            made["optimizer"]["scheduler"] = {"warmupRatio": value}
        elif name in _HYPERPARAMETERS:
            section, wire = _HYPERPARAMETERS[name]
            made[section][wire] = value
        else:
            problems.append(Problem(field=field, message="is not a known hyperparameter"))
    if row.get("suffix"):
        made["output"] = {"suffix": row["suffix"]}
    if problems:
        raise InvalidRequest.of(problems)
    return made


class FlatTraining(Struct, frozen=True, kw_only=True):
    """The settings of `genome/train`. alpha None: twice the rank. quantize: 4-bit, which is the qlora method."""

    base_model: str
    dataset_id: str
    rank: int
    alpha: float | None
    epochs: int
    learning_rate: float
    batch_size: int
    sequence_length: int | None
    quantize: bool


def configuration_from_train(flat: FlatTraining) -> dict[str, Any]:
    """The configuration (as JSON) that the flat parameters mean; unchecked, like everything that comes from outside."""
    alpha = flat.alpha if flat.alpha is not None else min(2 * flat.rank, range_of("method.loraConfig.alpha").max)
    schedule: dict[str, Any] = {"epochs": flat.epochs, "batchSize": flat.batch_size}
    if flat.sequence_length is not None:
        schedule["sequenceLength"] = flat.sequence_length
    return {
        "model": {"baseModel": flat.base_model},
        "datasets": {"trainingFileId": flat.dataset_id},
        "method": {
            "type": "qlora" if flat.quantize else "lora",
            "loraConfig": {"rank": flat.rank, "alpha": alpha},
        },
        "schedule": schedule,
        "optimizer": {"learningRate": flat.learning_rate},
    }
