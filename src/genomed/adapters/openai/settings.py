"""The operator's settings of the `openai` provider, and the parameters that a job may set in its metadata.

The same shape is spoken by Azure OpenAI, LiteLLM and others: `base_url` says where, `dialect` what differs there.
"""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct, field

from genomed.adapters._prices import PriceTable
from genomed.entities import checking
from genomed.entities.configuration import REFERENCE
from genomed.entities.errors import InvalidRequest, Problem

NAME = "openai"
HOSTED = "api.openai.com"
HOSTED_URL = f"https://{HOSTED}/v1"

MOST_FILE_BYTES = 8_000_000_000
"""What /uploads takes in parts; one request takes a sixteenth of it (providers.md 4.1, Nov 2026)."""

SECRET_HEADERS = frozenset({"authorization", "api-key", "x-api-key", "proxy-authorization"})

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Word = Annotated[str, Meta(min_length=1, max_length=256)]


class OpenAISettings(PriceTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The provider's section of the daemon's configuration; the price table stands in the same section.

    dialect: `azure` puts the hyperparameters of supervised jobs at the top level and has no models that answer at
    once. api_version: Azure's dated API; without it, Azure's /openai/v1. training_type: Azure's own field.
    metadata: whether jobs keep what they are labelled with, so that they can be found by it; null: not on Azure.
    lookup_lag_s: how long a new job may be missing from lists. base_learning_rates: model name or its beginning -> the
    rate that a multiplier of 1 stands for, where the operator knows it. min_rows: fewer are refused before any upload.
    probe_models: ask whether the base model is there. models_ttl_s: how long the list of base models is believed.
    ready_words: the states in which a file may be named.
    one_request_bytes: larger files go in parts of part_bytes.
    """

    base_url: Word = HOSTED_URL
    api_key: Annotated[str, Meta(pattern=REFERENCE)] = "env:OPENAI_API_KEY"
    dialect: Literal["openai", "azure"] = "openai"
    api_version: Word | None = None
    training_type: Word | int | None = None
    organization: Word | None = None
    project: Word | None = None
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    timeout_s: Seconds = 60
    upload_timeout_s: Seconds = 3600
    lookup_lag_s: Annotated[float, Meta(ge=0, le=86_400)] = 60
    metadata: bool | None = None
    base_learning_rates: dict[str, Annotated[float, Meta(gt=0, le=1)]] = field(default_factory=dict)
    min_rows: Annotated[int, Meta(ge=1)] = 10
    probe_models: bool = True
    models_ttl_s: Annotated[float, Meta(ge=0, le=86_400)] = 300
    ready_words: tuple[str, ...] = ("processed",)
    one_request_bytes: Annotated[int, Meta(ge=1, le=512_000_000)] = 512_000_000
    part_bytes: Annotated[int, Meta(ge=1, le=64_000_000)] = 64_000_000

    @property
    def searchable(self) -> bool:
        return self.metadata if self.metadata is not None else self.dialect == "openai"

    @property
    def hosted(self) -> bool:
        """OpenAI itself, its regional addresses included: what it announces holds nowhere else."""
        host = urlsplit(self.base_url).hostname or ""
        return host == HOSTED or host.endswith(f".{HOSTED}")

    def base_learning_rate(self, model: str) -> float | None:
        """The longest beginning wins."""
        known = [name for name in self.base_learning_rates if plain_model(model).startswith(name)]
        return self.base_learning_rates[max(known, key=len)] if known else None


def settings_from(section: dict[str, object]) -> OpenAISettings:
    """Raises InvalidRequest that names every problem."""
    settings = checking.convert(section, OpenAISettings, root=f"providers.{NAME}")
    found = [
        Problem(
            field=f"providers.{NAME}.headers.{name}",
            message="a key does not belong into the settings",
            remedy="name it by reference, in api_key",
        )
        for name in settings.headers
        if name.lower() in SECRET_HEADERS
    ]
    if not settings.base_url.startswith(("http://", "https://")):
        found.append(Problem(field=f"providers.{NAME}.base_url", message="must start with http:// or https://"))
    if settings.dialect == "openai" and settings.training_type is not None:
        found.append(Problem(field=f"providers.{NAME}.training_type", message="only the azure dialect has it"))
    if found:
        raise InvalidRequest.of(found)
    return settings


def plain_model(name: str) -> str:
    """The base model in the name of one that was fine-tuned: `ft:gpt-4o-mini:org:suffix:id` is a gpt-4o-mini."""
    parts = name.split(":")
    return parts[1] if parts[0] == "ft" and len(parts) > 1 else name


class OpenAIParameters(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a job's metadata may set. Null: not sent, so that OpenAI decides."""

    learning_rate_multiplier: (
        Annotated[float, Meta(gt=0, le=10_000, description="of the rate that OpenAI chose for the model")] | None
    ) = None
    beta: Annotated[float, Meta(gt=0, le=2, description="preference rows: pull towards the reference model")] | None = (
        None
    )
    seed: Annotated[int, Meta(ge=0, le=2**31 - 1, description="of the run; OpenAI makes one up")] | None = None
    grader: (
        Annotated[str, Meta(min_length=2, max_length=100_000, description="JSON text; makes it a reinforcement job")]
        | None
    ) = None
    compute_multiplier: (
        Annotated[float, Meta(gt=1e-5, le=10, description="reinforcement: compute spent on exploring")] | None
    ) = None
    eval_interval: Annotated[int, Meta(ge=1, description="reinforcement: steps between evaluations")] | None = None
    eval_samples: Annotated[int, Meta(ge=1, description="reinforcement: samples per evaluation")] | None = None
    reasoning_effort: (
        Annotated[Literal["default", "low", "medium", "high"], Meta(description="reinforcement: effort of reasoning")]
        | None
    ) = None
    wandb_entity: Annotated[Word, Meta(description="Weights & Biases: team or user")] | None = None
    wandb_tags: Annotated[Word, Meta(description="Weights & Biases: tags, joined by commas")] | None = None


REINFORCEMENT_ONLY = ("computeMultiplier", "evalInterval", "evalSamples", "reasoningEffort")
