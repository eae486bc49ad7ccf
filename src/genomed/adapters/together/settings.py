"""The operator's settings of Together, and the parameters that a job may set in its metadata."""

from typing import Annotated

from msgspec import Meta, Struct
from yarl import URL

from genomed.adapters._prices import PriceTable
from genomed.entities.checking import convert
from genomed.entities.configuration import REFERENCE

BASE_URL = "https://api.together.ai/v1"
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
GIB = 1 << 30


class TogetherSettings(PriceTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The provider's section of the daemon's configuration, with its price table.

    api_key: a reference, never the key. lookup_lag_s: how long their lists may lag behind a create call.
    limits_ttl_s: how long a model's limits and the list of models are trusted. upload_bytes_per_s: the slowest line
    that an upload is waited for. max_download_bytes: of a layer's archive, packed and unpacked.
    """

    base_url: Annotated[str, Meta(pattern=r"^https?://[^\s/]+")] = BASE_URL
    api_key: Annotated[str, Meta(pattern=REFERENCE)] = "env:TOGETHER_API_KEY"
    timeout_s: Seconds = 60
    lookup_lag_s: Annotated[float, Meta(ge=0, le=86_400)] = 60
    limits_ttl_s: Annotated[float, Meta(ge=0, le=86_400)] = 300
    upload_bytes_per_s: Annotated[int, Meta(ge=1_000)] = 250_000
    max_download_bytes: Annotated[int, Meta(ge=1)] = 64 * GIB

    @property
    def endpoint(self) -> str:
        """Their SDKs disagree whether a base ends in /v1: a base without a path gets it, any other is left alone."""
        bare = URL(self.base_url).path in {"", "/"}
        return f"{self.base_url.rstrip('/')}/v1" if bare else self.base_url.rstrip("/")


def settings_from(section: dict[str, object]) -> TogetherSettings:
    """Raises InvalidRequest that names every problem."""
    return convert(section, TogetherSettings, root="providers.together")


class TogetherParameters(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a job's metadata may set. Null is left to Together, or off."""

    seed: (
        Annotated[int, Meta(ge=0, le=2**31 - 1, description="of shuffling and fresh weights; theirs is 42")] | None
    ) = None
    dpo_beta: Annotated[float, Meta(ge=0, le=10, description="preference rows: pull towards the reference model")] | (
        None
    ) = None
    rpo_alpha: Annotated[float, Meta(ge=0, le=100, description="preference rows: share of plain likelihood")] | None = (
        None
    )
    simpo_gamma: (
        Annotated[float, Meta(ge=0, le=100, description="preference rows: above 0 trains SimPO, without a reference")]
        | None
    ) = None
    dpo_normalize_by_length: (
        Annotated[bool, Meta(description="preference rows: log-probabilities per token instead of per answer")] | None
    ) = None
    early_stopping: Annotated[bool, Meta(description="stop when the validation loss stops improving")] | None = None
    early_stopping_patience: (
        Annotated[int, Meta(ge=1, le=100, description="evaluations without improvement before it stops; theirs is 2")]
        | None
    ) = None
    early_stopping_min_delta: (
        Annotated[float, Meta(ge=0, le=100, description="what counts as improvement; theirs is 0")] | None
    ) = None
    early_stopping_warmup: (
        Annotated[int, Meta(ge=0, le=100, description="evaluations at the start that do not count; theirs is 1")] | None
    ) = None
    from_hf_model: (
        Annotated[str, Meta(min_length=1, max_length=256, description="hub repository to take the weights from")] | None
    ) = None
    hf_model_revision: (
        Annotated[str, Meta(min_length=1, max_length=128, description="revision of fromHfModel")] | None
    ) = None
    wandb_entity: (
        Annotated[str, Meta(min_length=1, max_length=256, description="W&B entity that the run belongs to")] | None
    ) = None
