"""A layer being served for money: its fold, and what it needs next. Pure; the daemon's `deployments` carries it out.

Its time runs from the moment the call was intended, since from then on it may cost. It ends when the provider has
nothing of it any more, not when somebody asked for its end.
"""

from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from genomed.entities.clock_jumps import still_ahead
from genomed.entities.deployment_events import (
    DeploymentAccepted,
    DeploymentDeferred,
    DeploymentEnded,
    DeploymentEvent,
    DeploymentFailed,
    DeploymentIntended,
    DeploymentNotFound,
    DeploymentReady,
    DeploymentRequested,
    DeploymentTroubled,
    DeploymentUnknown,
    UndeployRequested,
)
from genomed.entities.errors import ErrorBody
from genomed.entities.ids import submission_key
from genomed.entities.ports import DeploymentRequest
from genomed.entities.spend import Ledger
from genomed.entities.spend_events import SpendReleased, SpendSettled

HOUR_US = 3_600_000_000

OPEN_STATES = ("wanted", "intended", "unknown", "uncertain", "accepted", "ready")


class Deployment(Struct, frozen=True, kw_only=True, rename="camel"):
    """All that is known of a deployment. Times in microseconds since 1970; null until they happened.

    state: `wanted` (nothing was sent, or certainly not taken), `intended` (outcome not in the log), `unknown` (ask by
    key), `uncertain` (cannot be asked; a person says), `accepted` (being made), `ready`, `ended`, `failed`. metered_us:
    since when it may cost. ending: why its end was asked for; null while it may go on.
    """

    requested: DeploymentRequested
    requested_us: int
    updated_us: int
    state: str = "wanted"
    metered_us: int | None = None
    provider_id: str | None = None
    model: str | None = None
    base_model: str | None = None
    ready_us: int | None = None
    ended_us: int | None = None
    not_before_us: int | None = None
    ending: str | None = None
    message: str | None = None
    troubled: bool = False
    error: ErrorBody | None = None
    usd: float | None = None

    @property
    def terminal(self) -> bool:
        return self.state not in OPEN_STATES

    @property
    def due_us(self) -> int | None:
        """When it is undeployed by itself; null while it does not run."""
        return None if self.metered_us is None else self.metered_us + int(self.requested.hours * HOUR_US)


def evolve(deployment: Deployment | None, event: DeploymentEvent, *, at_us: int) -> Deployment:
    """The deployment after `event`. Terminal is terminal. Raises ValueError for a stream that opens with another."""
    if isinstance(event, DeploymentRequested):
        return deployment or Deployment(requested=event, requested_us=at_us, updated_us=at_us)
    if deployment is None:
        raise ValueError(f"a deployment's stream opens with deployment.requested, not {type(event).__name__}")
    if deployment.terminal:
        return deployment
    return replace(_moved(deployment, event, at_us), updated_us=at_us)


Move = (
    DeploymentIntended
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


def _moved(deployment: Deployment, event: Move, at_us: int) -> Deployment:
    match event:
        case DeploymentIntended():
            return replace(deployment, state="intended", metered_us=at_us, not_before_us=None, message=None)
        case DeploymentUnknown(reason=reason, searchable=searchable):
            return replace(deployment, state="unknown" if searchable else "uncertain", message=reason)
        case DeploymentNotFound():
            return replace(deployment, state="wanted", metered_us=None, message=None)
        case DeploymentDeferred(reason=reason, not_before_us=until):
            return replace(deployment, state="wanted", metered_us=None, message=reason, not_before_us=until)
        case DeploymentAccepted(provider_id=theirs):
            return replace(deployment, state="accepted", provider_id=theirs, message=None, troubled=False)
        case DeploymentReady(model=model, base_model=base):
            return replace(
                deployment,
                state="ready",
                model=model,
                base_model=base,
                ready_us=deployment.ready_us or at_us,
                message=None,
                troubled=False,
            )
        case DeploymentTroubled(message=message):
            return replace(deployment, message=message, troubled=True)
        case UndeployRequested(reason=reason):
            return replace(deployment, ending=deployment.ending or reason)
        case DeploymentFailed(error=error):
            failed = replace(deployment, error=error, message=error.message, ending=deployment.ending or error.message)
            return failed if deployment.provider_id is not None else replace(failed, state="failed", ended_us=at_us)
        case DeploymentEnded(reason=reason, usd=usd):
            state = "failed" if deployment.error is not None else "ended"
            return replace(deployment, state=state, ended_us=at_us, message=reason, usd=usd, troubled=False)
        case _:
            assert_never(event)


class Rest(Struct, frozen=True):
    """Nothing to do until an event or a time. until_us null: until an event."""

    until_us: int | None = None


class Deploy(Struct, frozen=True):
    """Write the intention down, then call."""

    key: str


class Find(Struct, frozen=True):
    """Ask the provider by key whether the call went through: what is there is adopted, not made twice."""

    key: str


class Look(Struct, frozen=True):
    """Ask how it stands. soon: it is being made; else it answers, and is looked at now and then."""

    provider_id: str
    soon: bool


class EndItsTime(Struct, frozen=True):
    """The hours that were asked for are over."""


class Undeploy(Struct, frozen=True):
    """Ask for its end, and look whether it has come."""

    provider_id: str


class EndUnsent(Struct, frozen=True):
    """Nothing runs anywhere: it has simply ended."""


Step = Rest | Deploy | Find | Look | EndItsTime | Undeploy | EndUnsent


def next_step(deployment_id: str, deployment: Deployment, *, now_us: int) -> Step:
    """The one thing to do now."""
    match deployment.state:
        case "wanted":
            if deployment.ending is not None:
                return EndUnsent()
            if deployment.not_before_us is not None and still_ahead(deployment.not_before_us, now_us=now_us):
                return Rest(deployment.not_before_us)
            return Deploy(deployment_key(deployment_id))
        case "intended" | "unknown":
            return Find(deployment_key(deployment_id))
        case "accepted" | "ready" if deployment.provider_id is not None:
            return _where_it_runs(deployment, deployment.provider_id, now_us)
        case _:
            return Rest()


def _where_it_runs(deployment: Deployment, provider_id: str, now_us: int) -> Step:
    if deployment.ending is not None:
        return Undeploy(provider_id)
    if deployment.due_us is not None and now_us >= deployment.due_us:
        return EndItsTime()
    return Look(provider_id, soon=deployment.state == "accepted")


def deployment_key(deployment_id: str) -> str:
    """Ours at the provider: the same deployment, the same key, so that it is made once."""
    return submission_key(deployment_id, 1)


def request_of(deployment_id: str, requested: DeploymentRequested) -> DeploymentRequest:
    return DeploymentRequest(
        key=deployment_key(deployment_id),
        layer_id=requested.layer_id,
        artifact=requested.artifact,
        base_model=requested.base_model,
        accelerator=requested.accelerator,
        accelerators=requested.accelerators,
    )


FIRST_ATTEMPT = 1
"""A deployment is not tried again under the same id; the ledger wants a number."""


def ended(deployment: Deployment, *, reason: str, now_us: int) -> DeploymentEnded:
    """Its end, with what it may have cost: all the time since the call was intended, at the price of the wish."""
    if deployment.metered_us is None:
        return DeploymentEnded(reason=reason, hours=0.0, usd=0.0)
    hours = max(0, now_us - deployment.metered_us) / HOUR_US
    price = deployment.requested.hourly.usd
    return DeploymentEnded(reason=reason, hours=hours, usd=None if price is None else price * hours)


def settlement(
    ledger: Ledger | None, deployment_id: str, end: DeploymentEnded | DeploymentFailed
) -> SpendSettled | SpendReleased | None:
    """What its end does to its reservation; None where it holds none, so that it happens once."""
    if ledger is None or deployment_id not in ledger.open:
        return None
    if isinstance(end, DeploymentFailed) or end.hours == 0:
        return SpendReleased(job_id=deployment_id, first_attempt=FIRST_ATTEMPT, reason="nothing ran")
    basis = "none" if end.usd is None else "hours"
    return SpendSettled(job_id=deployment_id, first_attempt=FIRST_ATTEMPT, usd=end.usd, basis=basis)
