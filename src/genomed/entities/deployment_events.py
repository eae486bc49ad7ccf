"""What happens to a layer at its provider: made to answer for money by the hour, compared, withdrawn. Facts only."""

from msgspec import Struct

from genomed.entities.errors import ErrorBody, ErrorKind
from genomed.entities.facts import Artifact, Estimate


class DeploymentRequested(Struct, frozen=True, kw_only=True, rename="camel", tag="deployment.requested"):
    """A wish of a person to have a layer served. hours: how long at most; then it is undeployed by itself.

    hourly: the price of one hour with its basis. ledger: the spend stream that holds hours times that price; null where
    no price is known, which was accepted expressly. accelerator: the provider's word for it; null: its own choice.
    """

    layer_id: str
    provider: str
    artifact: Artifact
    base_model: str
    accelerators: int
    hours: float
    hourly: Estimate
    reason: str
    accelerator: str | None = None
    ledger: str | None = None
    simulated: bool = False


class DeploymentIntended(Struct, frozen=True, kw_only=True, rename="camel", tag="deployment.intended"):
    """Durable before the call that starts the meter. key: ours, and what it is found by again."""

    key: str


class DeploymentUnknown(Struct, frozen=True, kw_only=True, rename="camel", tag="deployment.unknown"):
    """The call's outcome is unknown; searchable says whether the provider can be asked by key."""

    reason: str
    searchable: bool


class DeploymentNotFound(Struct, frozen=True, kw_only=True, rename="camel", tag="deployment.not_found"):
    """The provider was asked by key and has nothing: asking for it (again) is safe."""


class DeploymentDeferred(Struct, frozen=True, kw_only=True, rename="camel", tag="deployment.deferred"):
    """Certainly not accepted, and asking later can help: no free accelerator, a rate limit."""

    reason: str
    not_before_us: int


class DeploymentAccepted(Struct, frozen=True, kw_only=True, rename="camel", tag="deployment.accepted"):
    """The provider has it. adopted: found by key rather than answered by the call."""

    provider_id: str
    adopted: bool = False


class DeploymentReady(Struct, frozen=True, kw_only=True, rename="camel", tag="deployment.ready"):
    """It answers. model: what requests call the tuned model; base_model: the untuned one, where both are there."""

    model: str
    base_model: str | None = None


class DeploymentTroubled(Struct, frozen=True, kw_only=True, rename="camel", tag="deployment.troubled"):
    """The provider refuses to be asked (a revoked key, a closed account): it may go on there, and cost. Tried again."""

    kind: ErrorKind
    message: str


class DeploymentFailed(Struct, frozen=True, kw_only=True, rename="camel", tag="deployment.failed"):
    """It will never be ready. What the provider made of it is taken down next."""

    error: ErrorBody


class UndeployRequested(Struct, frozen=True, kw_only=True, rename="camel", tag="deployment.undeploy_requested"):
    """A person wants its end, or its time is over."""

    reason: str


class DeploymentEnded(Struct, frozen=True, kw_only=True, rename="camel", tag="deployment.ended"):
    """Nothing of it runs any more. hours: how long it could have cost. usd: hours times the price; null: unknown."""

    reason: str
    hours: float
    usd: float | None = None


class LayerCompared(Struct, frozen=True, kw_only=True, rename="camel", tag="layer.compared"):
    """The tuned model and its base were asked the same. answers_sha256: of the blob with what was asked and answered.

    answered: of `prompts` twice, how many answers came. seconds: until all were there.
    """

    prompts: int
    answered: int
    answers_sha256: str
    size_bytes: int
    tuned_model: str
    base_model: str
    seconds: float
    deployment_id: str | None = None
    prompt_set: str | None = None


class LayerWithdrawalRequested(Struct, frozen=True, kw_only=True, rename="camel", tag="layer.withdrawal_requested"):
    """A person wants the result deleted at its provider; durable before it is asked. model: the provider's name."""

    model: str
    reason: str


class LayerWithdrawalTroubled(Struct, frozen=True, kw_only=True, rename="camel", tag="layer.withdrawal_troubled"):
    """The provider refuses to delete it (no such right, still in use there). Tried again."""

    kind: ErrorKind
    message: str


class LayerWithdrawn(Struct, frozen=True, kw_only=True, rename="camel", tag="layer.withdrawn"):
    """The provider keeps it no more."""

    model: str


WithdrawalEvent = LayerWithdrawalRequested | LayerWithdrawalTroubled | LayerWithdrawn
DeploymentEvent = (
    DeploymentRequested
    | DeploymentIntended
    | DeploymentUnknown
    | DeploymentNotFound
    | DeploymentDeferred
    | DeploymentAccepted
    | DeploymentReady
    | DeploymentTroubled
    | DeploymentFailed
    | UndeployRequested
    | DeploymentEnded
)
