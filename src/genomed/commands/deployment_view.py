"""A deployment as callers see it: the shape that deploy, undeploy and list share."""

from msgspec import Struct

from genomed.commands.context import Context, load_as
from genomed.entities.deployment import Deployment
from genomed.entities.errors import ErrorBody
from genomed.entities.facts import Estimate


class DeploymentView(Struct, frozen=True, kw_only=True, rename="camel"):
    """state: wanted, intended, unknown, uncertain, accepted, ready, ended or failed. model: what to ask, once ready.

    hourly: the price of one hour as it was accepted. costUsd: what it may have cost, once it has ended. dueUs: when it
    is undeployed by itself. Times in microseconds since 1970; unknown numbers are null.
    """

    deployment_id: str
    layer_id: str
    provider: str
    simulated: bool
    state: str
    model: str | None
    base_model: str | None
    provider_id: str | None
    accelerator: str | None
    accelerators: int
    hours: float
    hourly: Estimate
    cost_usd: float | None
    message: str | None
    ending: str | None
    error: ErrorBody | None
    requested_us: int
    metered_us: int | None
    ready_us: int | None
    due_us: int | None
    ended_us: int | None


def deployment_view(deployment_id: str, deployment: Deployment) -> DeploymentView:
    asked = deployment.requested
    return DeploymentView(
        deployment_id=deployment_id,
        layer_id=asked.layer_id,
        provider=asked.provider,
        simulated=asked.simulated,
        state=deployment.state,
        model=deployment.model,
        base_model=deployment.base_model,
        provider_id=deployment.provider_id,
        accelerator=asked.accelerator,
        accelerators=asked.accelerators,
        hours=asked.hours,
        hourly=asked.hourly,
        cost_usd=deployment.usd,
        message=deployment.message,
        ending=deployment.ending,
        error=deployment.error,
        requested_us=deployment.requested_us,
        metered_us=deployment.metered_us,
        ready_us=deployment.ready_us,
        due_us=None if deployment.terminal else deployment.due_us,
        ended_us=deployment.ended_us,
    )


async def load_deployment(context: Context, deployment_id: str) -> tuple[Deployment, int]:
    """Raises NotFound."""
    return await load_as(
        context, f"deployment/{deployment_id}", Deployment, what=f"deployment {deployment_id}; see deployment-list"
    )
