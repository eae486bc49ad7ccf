"""genome/configuration-convert: a job row of the existing system, with flat hyperparameters, as a configuration."""

from msgspec import Struct

from genomed.commands.context import Context
from genomed.entities.checking import convert
from genomed.entities.configuration import JobConfiguration, Name, Scalar
from genomed.entities.migration import configuration_from_hyperparameters
from genomed.entities.types import Role

NAME = "genome/configuration-convert"
SUMMARY = "Bring a job's old flat hyperparameters into a configuration."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """hyperparameters: n_epochs, batch_size, warmup_ratio, weight_decay; learning_rate_multiplier has no equal here."""

    base_model: Name
    training_file_id: Name
    validation_file_id: Name | None = None
    suffix: Name | None = None
    hyperparameters: dict[str, Scalar] = {}


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    configuration: JobConfiguration


async def run(params: Params, _: Context) -> Result:
    """Raises InvalidRequest naming every value that has no equal or is out of range."""
    made = configuration_from_hyperparameters(
        {
            "baseModel": params.base_model,
            "trainingFileId": params.training_file_id,
            "validationFileId": params.validation_file_id,
            "suffix": params.suffix,
            "hyperparameters": params.hyperparameters,
        }
    )
    return Result(configuration=convert(made, JobConfiguration, root="configuration"))
