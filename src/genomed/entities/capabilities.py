"""What a provider can do, and what it says of a configuration. Source: seed "Provider Capabilities Schema"."""

from enum import StrEnum

from msgspec import Struct

from genomed.entities.configuration import Scalar
from genomed.entities.errors import ErrorKind, Problem
from genomed.entities.facts import EffectiveField
from genomed.entities.limits import Range
from genomed.entities.types import (
    LRSchedulerType,
    ModelPrecision,
    OptimizationFeature,
    RowKind,
    TrainingMethod,
)


class ParameterType(StrEnum):
    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    ENUM = "enum"


class ParameterDefinition(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A parameter of one provider, passed by name in a configuration's metadata."""

    type: ParameterType
    description: str
    required: bool = False
    default: Scalar = None
    enum_values: tuple[str, ...] = ()
    min: float | None = None
    max: float | None = None


class Features(Struct, frozen=True, kw_only=True, rename="camel"):
    """What can be done with a job once it runs."""

    cancel: bool = True
    pause: bool = False
    resume: bool = False
    metrics: bool = True
    judgement: bool = False
    lookup: bool = True


class ProviderCapabilities(Struct, frozen=True, kw_only=True, rename="camel"):
    """available: can it take a job here and now; reason says why not, and what to do.

    parameter_ranges: where it is stricter than the universal table, by the table's sections and names.
    required_secrets: name -> present; never a value. simulated: nothing it reports was measured.
    """

    provider: str
    available: bool
    reason: str | None = None
    simulated: bool = False
    description: str = ""
    supported_methods: tuple[TrainingMethod, ...] = ()
    supported_optimizations: tuple[OptimizationFeature, ...] = ()
    supported_precisions: tuple[ModelPrecision, ...] = ()
    supported_schedulers: tuple[LRSchedulerType, ...] = ()
    supported_row_kinds: tuple[RowKind, ...] = ()
    parameter_ranges: dict[str, dict[str, Range]] = {}
    additional_required_params: tuple[str, ...] = ()
    custom_parameters: dict[str, ParameterDefinition] = {}
    required_secrets: dict[str, bool] = {}
    features: Features = Features()
    hardware: dict[str, Scalar] = {}
    versions: dict[str, Scalar] = {}


class ValidationResult(Struct, frozen=True, kw_only=True, rename="camel"):
    """Everything a check found. Errors refuse the job; warnings are shown and do not.

    kind: of the error to raise for `errors` (unsupported, capacity, missing_credentials...).
    """

    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    kind: ErrorKind = ErrorKind.UNSUPPORTED

    @property
    def valid(self) -> bool:
        return not self.errors


class Translation(Struct, frozen=True, kw_only=True, rename="camel"):
    """A configuration in the provider's own form, and what became of each universal field on the way."""

    payload: dict[str, object]
    fields: tuple[EffectiveField, ...]
