"""genome/layer-undeploy: end a deployment before its time; and say what became of one whose outcome nobody can ask."""

from msgspec import Struct

from genomed.commands.context import Context, Decided
from genomed.commands.deployment_view import DeploymentView, deployment_view, load_deployment
from genomed.entities.configuration import Name
from genomed.entities.deployment import Deployment, evolve
from genomed.entities.deployment_events import (
    DeploymentAccepted,
    DeploymentEvent,
    DeploymentNotFound,
    UndeployRequested,
)
from genomed.entities.envelope import Write
from genomed.entities.errors import Conflict, InvalidRequest, Problem
from genomed.entities.types import Role

NAME = "genome/layer-undeploy"
SUMMARY = "End a deployment, so that it costs no more."
ROLE = Role.OPERATE

UNKNOWN_STATES = ("intended", "unknown", "uncertain")
"""The call may have gone through: only of these a person may say what is there."""


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """For a deployment of unknown outcome, once you have looked at the provider's own page: providerId: it is this one.

    nothingThere: it is certain that there is none.
    """

    deployment_id: Name
    reason: Name = "asked for by hand"
    provider_id: Name | None = None
    nothing_there: bool = False


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """accepted: the wish is in the log; the deployment has ended when the provider has nothing of it any more."""

    accepted: bool
    message: str
    deployment: DeploymentView


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound; Conflict when it has ended, or when its outcome must be said first or is known already."""
    deployment, version = await load_deployment(context, params.deployment_id)
    if params.provider_id is not None and params.nothing_there:
        raise InvalidRequest.of([Problem(field="nothingThere", message="contradicts providerId")])
    if deployment.terminal:
        raise Conflict(f"deployment {params.deployment_id} has ended: {deployment.message or deployment.state}")
    told = _told(params, deployment)
    if deployment.ending is not None and not told:
        return Decided(
            result=Result(
                accepted=False,
                message=f"its end was asked for already: {deployment.ending}",
                deployment=deployment_view(params.deployment_id, deployment),
            ),
            writes=(),
        )
    events = (*told, *(() if deployment.ending is not None else (UndeployRequested(reason=params.reason),)))
    after = deployment
    for event in events:
        after = evolve(after, event, at_us=context.now_us())
    return Decided(
        result=Result(
            accepted=True,
            message="it is being undeployed",
            deployment=deployment_view(params.deployment_id, after),
        ),
        writes=(Write(stream=f"deployment/{params.deployment_id}", expected=version, events=events),),
    )


def _told(params: Params, deployment: Deployment) -> tuple[DeploymentEvent, ...]:
    """What the caller knows of an unknown outcome."""
    says = params.provider_id is not None or params.nothing_there
    if says and deployment.state not in UNKNOWN_STATES:
        raise Conflict(
            f"nothing is unknown about deployment {params.deployment_id}: it is {deployment.state}",
            remedy="leave providerId and nothingThere out",
        )
    if deployment.state == "uncertain" and not says:
        raise Conflict(
            f"whether deployment {params.deployment_id} runs is unknown, and {deployment.requested.provider} cannot be"
            " asked",
            field="providerId",
            remedy="look at the provider's own page, then give its providerId, or nothingThere",
        )
    if params.provider_id is not None:
        return (DeploymentAccepted(provider_id=params.provider_id, adopted=True),)
    return (DeploymentNotFound(),) if params.nothing_there else ()
