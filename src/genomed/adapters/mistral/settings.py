"""The operator's settings of Mistral, and the parameters of its own that a job may set in its metadata."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.adapters._prices import PriceTable
from genomed.entities.capabilities import Sunset
from genomed.entities.checking import convert
from genomed.entities.configuration import REFERENCE

NAME = "mistral"
BASE_URL = "https://api.mistral.ai"
LONGEST_FILE_BYTES = 512_000_000
"""Of one uploaded file (reference/providers.md 4.4)."""

SUNSET = Sunset(
    message=(
        "Mistral's fine-tuning API is deprecated: it left the public description on 15 July 2026 and is gone from the"
        " SDK; already in March 2026 every model was seen to refuse it. Prefer fireworks, together or local."
    ),
    source="github.com/mistralai/platform-docs-public at 2f0dd463; github.com/mistralai/client-python issue 450",
)

Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class MistralSettings(PriceTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The provider's section of the daemon's configuration, with its price table.

    api_key: a reference, never the key. lookup_lag_s: how long their lists may lag behind a create call.
    upload_bytes_per_s: the slowest line that an upload is waited for. check_models: ask before any upload whether the
    base model can be fine-tuned.
    """

    base_url: Annotated[str, Meta(pattern=r"^https?://[^\s/]+")] = BASE_URL
    api_key: Annotated[str, Meta(pattern=REFERENCE)] = "env:MISTRAL_API_KEY"
    timeout_s: Seconds = 60
    lookup_lag_s: Annotated[float, Meta(ge=0, le=86_400)] = 60
    upload_bytes_per_s: Annotated[int, Meta(ge=1_000)] = 250_000
    check_models: bool = True

    @property
    def endpoint(self) -> str:
        """Without the /v1 that every path brings along."""
        return self.base_url.rstrip("/").removesuffix("/v1")


def settings_from(section: dict[str, object]) -> MistralSettings:
    """Raises InvalidRequest that names every problem."""
    return convert(section, MistralSettings, root=f"providers.{NAME}")


class MistralParameters(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a job's metadata may set. Null is left to Mistral."""

    fim_ratio: (
        Annotated[float, Meta(ge=0, le=1, description="share of rows trained as fill-in-the-middle; theirs is 0.9")]
        | None
    ) = None
    invalid_sample_skip_percentage: Annotated[
        float, Meta(ge=0, le=0.5, description="share of bad rows that is skipped before the job fails")
    ] = 0.0
