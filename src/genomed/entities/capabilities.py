"""What a provider can do, and what it says of a configuration. Source: seed "Provider Capabilities Schema"."""

from enum import StrEnum

from msgspec import Struct

from genomed.entities.configuration import Scalar
from genomed.entities.engines import EngineChoice, EngineOffer
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


class WarmStart(StrEnum):
    """From which layers a provider can go on: none, those it made and keeps itself, or any whose files it can read."""

    NEVER = "never"
    OWN = "own"
    FILES = "files"


class Features(Struct, frozen=True, kw_only=True, rename="camel"):
    """What can be done with a job once it runs, and around it.

    resume: a paused job can go on. continues: so can one that failed or was cancelled, from its last checkpoint.

    quote: asked for its own price before the create call. serving: results need a billed deployment to answer.
    download: the trained weights come here. tools, message_weights, speaker_names: it trains on rows that have them.
    """

    cancel: bool = True
    pause: bool = False
    resume: bool = False
    continues: bool = False
    metrics: bool = True
    judgement: bool = False
    lookup: bool = True
    uploads: bool = False
    quote: bool = False
    serving: bool = False
    download: bool = True
    warm_start: WarmStart = WarmStart.NEVER
    tools: bool = False
    message_weights: bool = False
    speaker_names: bool = False


class Sunset(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The announced end of a provider or of some of its models. Dates are ISO days, the last on which it works.

    models: base model name or its prefix -> last day on which results trained from it are served.
    """

    message: str
    source: str
    last_new_job: str | None = None
    models: dict[str, str] = {}


class BaseModelOffer(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A base model that a provider names. methods, row_kinds: empty means all that the provider has."""

    name: str
    methods: tuple[TrainingMethod, ...] = ()
    row_kinds: tuple[RowKind, ...] = ()
    note: str | None = None


class ProviderCapabilities(Struct, frozen=True, kw_only=True, rename="camel"):
    """available: can it take a job here and now; reason says why not, and what to do. broken: it is meant to be there,
    and its settings are wrong or its plug-in does not work.

    parameter_ranges: where it is stricter than the universal table, by the table's sections and names.
    required_secrets: reference -> present; never a value. simulated: nothing it reports was measured.
    paid: a job here costs money. base_models: those it names, where it names them; others may work where
    any_base_model is true. status_words: its own words -> ours. engines: where it trains by itself, what with; engine:
    which of them a job of chat rows gets that names none.
    """

    provider: str
    available: bool
    reason: str | None = None
    broken: bool = False
    simulated: bool = False
    paid: bool = False
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
    base_models: tuple[BaseModelOffer, ...] = ()
    any_base_model: bool = True
    sunset: Sunset | None = None
    status_words: dict[str, str] = {}
    hardware: dict[str, Scalar] = {}
    versions: dict[str, Scalar] = {}
    engines: tuple[EngineOffer, ...] = ()
    engine: EngineChoice | None = None


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
    """A configuration in the provider's own form, and what became of each universal field on the way.

    uploads: the parts of the dataset that the provider must be sent first, in this order: `train`, `eval`. payload:
    what is known only later stands in it as `{upload:train}`, `{key}` or `{secret:env:NAME}`, and is filled in when
    it is sent; a secret is never in a payload that is shown or stored.
    """

    payload: dict[str, object]
    fields: tuple[EffectiveField, ...]
    uploads: tuple[str, ...] = ()
