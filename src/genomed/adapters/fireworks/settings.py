"""The operator's settings of Fireworks, and the parameters of its own that a job may set in its metadata.

Knows types and limits; whether a parameter fits the rows at hand is for `objections` to say.
"""

import os
from typing import Annotated, Literal

from msgspec import Meta, Struct

from genomed.adapters._prices import PriceTable
from genomed.entities import checking
from genomed.entities.configuration import REFERENCE

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]

MEGABYTE = 1_000_000
ONE_REQUEST_BYTES = 150 * MEGABYTE
"""The most that `:upload` takes at once (API reference "Upload Dataset Files", Nov 2026); more goes to a signed URL."""

ENVIRONMENT = "env:"


class FireworksSettings(PriceTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The provider's section of the daemon's configuration.

    account_id: the account's name, or `env:NAME` for one that stands in the environment; it is no secret.
    inference_url: where chat completions live; null is base_url with /inference.
    lookup_timeout_s: for questions whose answer is not needed, such as the list of base models.
    settle_looks, settle_pause_s: how often a record that waits for its content is looked at, and how far apart, before
    it is believed that the content never came.
    layer_bytes: the most that a downloaded layer may take. max_replicas: of a deployment.
    scale_to_zero_s: idle time after which a deployment stops costing; the API takes no less than 300.
    """

    base_url: str = "https://api.fireworks.ai"
    inference_url: str | None = None
    api_key: Annotated[str, Meta(pattern=REFERENCE)] = "env:FIREWORKS_API_KEY"
    account_id: Annotated[str, Meta(pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]*|[a-z0-9][a-z0-9-]{0,62})$(?!\n)")] = (
        "env:FIREWORKS_ACCOUNT_ID"
    )
    timeout_s: Seconds = 120
    upload_timeout_s: Seconds = 3600
    lookup_timeout_s: Seconds = 5
    settle_looks: Annotated[int, Meta(ge=1, le=100)] = 4
    settle_pause_s: Annotated[float, Meta(ge=0, le=60)] = 2
    one_request_bytes: Annotated[int, Meta(ge=0, le=ONE_REQUEST_BYTES)] = ONE_REQUEST_BYTES
    layer_bytes: Annotated[int, Meta(ge=1)] = 20_000 * MEGABYTE
    scale_to_zero_s: Annotated[int, Meta(ge=300, le=86_400)] = 300
    max_replicas: Annotated[int, Meta(ge=1, le=64)] = 1

    def account(self) -> str | None:
        """Null where the environment does not name it."""
        if self.account_id.startswith(ENVIRONMENT):
            return os.environ.get(self.account_id.removeprefix(ENVIRONMENT)) or None
        return self.account_id

    @property
    def inference(self) -> str:
        return self.inference_url or f"{self.base_url.rstrip('/')}/inference"


def settings_from(section: dict[str, object]) -> FireworksSettings:
    """Raises InvalidRequest that names every problem."""
    return checking.convert(section, FireworksSettings, root="providers.fireworks")


def _told(description: str) -> Meta:
    return Meta(description=description)


class FireworksParameters(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a job's metadata may set, by Fireworks' own names. Null: not sent, so its default holds.

    Left out on purpose: what its newer trainer rejects or calls deprecated (batchSize, gradientAccumulationSteps,
    earlyStop, nodes, jinjaTemplate, mtp...; API reference 5.10.0, Nov 2026).
    """

    eval_auto_carveout: Annotated[bool, _told("split rows off for evaluation by itself")] | None = None
    is_turbo: Annotated[bool, _told("supervised: train in turbo mode")] | None = None
    decay_ratio: (
        Annotated[float, Meta(ge=0, le=1, description="supervised: share of steps over which the rate falls")] | None
    ) = None
    sampler_checkpoint_save_interval_steps: (
        Annotated[int, Meta(ge=0, le=1_000_000, description="keep a checkpoint there every so many steps")] | None
    ) = None
    renderer_hugging_face_repo_id: (
        Annotated[str, Meta(min_length=1, max_length=256, description="whose chat template renders the rows")] | None
    ) = None
    use_reservation: Annotated[bool, _told("use reserved capacity first")] | None = None
    reservation_target: (
        Annotated[str, Meta(min_length=1, max_length=256, description="the reservation to draw on")] | None
    ) = None
    wandb_entity: Annotated[str, Meta(min_length=1, max_length=128, description="W&B team or user")] | None = None
    wandb_run_id: Annotated[str, Meta(min_length=1, max_length=128, description="W&B run to write to")] | None = None
    loss_method: (
        Annotated[
            Literal["DPO", "ORPO", "GRPO", "DAPO", "GSPO_TOKEN"],
            _told("preference rows: DPO or ORPO; reinforcement: GRPO, DAPO or GSPO_TOKEN"),
        ]
        | None
    ) = None
    dpo_beta: (
        Annotated[float, Meta(ge=0.001, le=0.499, description="preference rows: pull towards the reference model")]
        | None
    ) = None
    kl_beta: Annotated[float, Meta(ge=0, le=1, description="reinforcement: weight of the KL term")] | None = None
    evaluator: (
        Annotated[str, Meta(min_length=1, max_length=256, description="makes it reinforcement, graded by this")] | None
    ) = None
    temperature: Annotated[float, Meta(ge=0, le=2, description="reinforcement: of the rollouts")] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1, description="reinforcement: of the rollouts")] | None = None
    top_k: Annotated[int, Meta(ge=0, le=1000, description="reinforcement: of the rollouts")] | None = None
    max_output_tokens: Annotated[int, Meta(ge=1, le=131_072, description="reinforcement: longest rollout")] | None = (
        None
    )
    response_candidates_count: (
        Annotated[int, Meta(ge=2, le=128, description="reinforcement: rollouts per prompt")] | None
    ) = None
    chunk_size: (
        Annotated[int, Meta(ge=1, le=10_000, description="reinforcement: rows per round of rollouts")] | None
    ) = None
    node_count: Annotated[int, Meta(ge=1, le=64, description="reinforcement: machines")] | None = None
    max_concurrent_rollouts: Annotated[Count, _told("reinforcement: rollouts at once")] | None = None
    max_concurrent_evaluations: Annotated[Count, _told("reinforcement: gradings at once")] | None = None
    max_inference_replica_count: Annotated[Count, _told("reinforcement: replicas that roll out")] | None = None
    mcp_server: Annotated[str, Meta(min_length=1, max_length=256, description="reinforcement: tools")] | None = None
