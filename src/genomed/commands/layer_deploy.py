"""genome/layer-deploy: have a layer answer requests at its provider, for so many hours at a price that is shown first.

Never done unasked, and it ends by itself. Writes the wish and its reservation down; the daemon's loop carries it out.
"""

from dataclasses import replace
from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, Decided, as_int, as_text, load_as
from genomed.commands.deployment_view import DeploymentView, deployment_view, load_deployment
from genomed.commands.spending import Asked, Reserved, reservation
from genomed.entities.configuration import Name
from genomed.entities.deployment import deployment_key, evolve
from genomed.entities.deployment_events import DeploymentRequested
from genomed.entities.envelope import Write
from genomed.entities.errors import BudgetExceeded, Conflict, InvalidRequest, Problem, Unsupported
from genomed.entities.facts import Estimate
from genomed.entities.layer import Layer, refuse_withdrawn
from genomed.entities.ports import DeploymentRequest, Provider, Serving
from genomed.entities.types import Role

NAME = "genome/layer-deploy"
SUMMARY = "Have a layer served by its provider, for money by the hour."
ROLE = Role.OPERATE

MAX_HOURS = 31 * 24


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """hours: how long at most; then it is undeployed by itself. accelerator: the provider's word for it.

    maxHourlyUsd: refuse above this price. acceptUnknownPrice: deploy though nobody knows what an hour costs.
    dryRun: show the price and change nothing.
    """

    layer_id: Name
    hours: Annotated[float, Meta(gt=0, le=MAX_HOURS)]
    accelerator: Name | None = None
    accelerators: Annotated[int, Meta(ge=1, le=1024)] = 1
    max_hourly_usd: Annotated[float, Meta(ge=0, le=1_000_000)] | None = None
    accept_unknown_price: bool = False
    dry_run: bool = False
    reason: Name = "asked for by hand"


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """hourly: the price with its basis. mostUsd: all hours at that price, which is what is reserved; null: unknown.

    deployment: null for a dry run.
    """

    message: str
    hourly: Estimate
    most_usd: float | None
    deployment: DeploymentView | None


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, Unsupported, InvalidRequest without a known price, BudgetExceeded, Conflict."""
    layer, version = await load_as(context, f"layer/{params.layer_id}", Layer, what=f"layer {params.layer_id}")
    refuse_withdrawn(params.layer_id, layer)
    provider = context.providers.get(layer.published.provider)
    serving = await _serving(provider, layer)
    deployment_id = await free_deployment_id(context, params.layer_id)
    request = DeploymentRequest(
        key=deployment_key(deployment_id),
        layer_id=params.layer_id,
        artifact=layer.published.artifact,
        base_model=layer.published.base_model,
        accelerator=params.accelerator,
        accelerators=params.accelerators,
    )
    hourly = await serving.hourly_usd(request)
    most = None if hourly.usd is None else hourly.usd * params.hours
    if params.dry_run:
        return Decided(
            result=Result(message="nothing was deployed: a dry run", hourly=hourly, most_usd=most, deployment=None),
            writes=(),
        )
    _refuse_price(params, hourly, provider.name)
    held = await _reserved(context, deployment_id, layer, params.hours, hourly, most)
    decided = _decided(params, context, deployment_id, layer, hourly, held)
    unwithdrawn = Write(stream=f"layer/{params.layer_id}", expected=version, events=())
    return replace(decided, writes=(unwithdrawn, *decided.writes))


def _decided(
    params: Params, context: Context, deployment_id: str, layer: Layer, hourly: Estimate, held: Reserved
) -> Decided[Result]:
    event = DeploymentRequested(
        layer_id=params.layer_id,
        provider=layer.published.provider,
        artifact=layer.published.artifact,
        base_model=layer.published.base_model,
        accelerators=params.accelerators,
        hours=params.hours,
        hourly=hourly,
        reason=params.reason,
        accelerator=params.accelerator,
        ledger=held.ledger,
        simulated=layer.published.simulated,
    )
    after = evolve(None, event, at_us=context.now_us())
    result = Result(
        message=f"it is being deployed, and undeployed by itself after {params.hours:g} h",
        hourly=hourly,
        most_usd=None if hourly.usd is None else hourly.usd * params.hours,
        deployment=deployment_view(deployment_id, after),
    )
    write = Write(stream=f"deployment/{deployment_id}", expected=0, events=(event,))
    return Decided(result=result, writes=(write, *held.writes))


async def _serving(provider: Provider, layer: Layer) -> Serving:
    """Raises Unsupported with the reason where nothing can, or need be, deployed."""
    if provider.serving is None:
        raise Unsupported(
            f"{provider.name} serves nothing: its layers are files that a server of yours loads",
            field="layerId",
            provider=provider.name,
            remedy=f"the layer lies at {layer.published.path}",
        )
    if not (await provider.capabilities()).features.serving:
        raise Unsupported(
            f"{provider.name} serves its models without a deployment: ask for {layer.published.artifact.location}",
            field="layerId",
            provider=provider.name,
            remedy="nothing needs to be deployed, and nothing is paid by the hour",
        )
    return provider.serving


async def free_deployment_id(context: Context, layer_id: str) -> str:
    """The next deployment of this layer: two that are asked for at once get the same id, and only one of them it.

    Raises Conflict while one is open.
    """
    rows = await context.log.query(
        "SELECT count(*), max(CASE WHEN state NOT IN ('ended', 'failed') THEN deployment_id END) FROM deployments"
        " WHERE layer_id = ?",
        (layer_id,),
    )
    count, running = rows[0]
    if running is not None:
        deployment_id = as_text(running)
        deployment, _ = await load_deployment(context, deployment_id)
        raise Conflict(
            f"layer {layer_id} is deployed already: {deployment_id} is {deployment.state}",
            field="layerId",
            remedy="use that one, or end it with genome/layer-undeploy first",
        )
    return f"dep-{layer_id.removeprefix('ly-')}-{as_int(count) + 1}"


def _refuse_price(params: Params, hourly: Estimate, provider: str) -> None:
    if hourly.usd is None and not params.accept_unknown_price:
        problem = Problem(
            field="acceptUnknownPrice",
            message=f"nobody knows what an hour costs: {hourly.basis}",
            remedy=f"write a price table into [providers.{provider}] of the configuration, or accept it expressly",
        )
        raise InvalidRequest.of([problem])
    if hourly.usd is not None and params.max_hourly_usd is not None and hourly.usd > params.max_hourly_usd:
        raise BudgetExceeded(
            f"an hour costs ${hourly.usd:g} ({hourly.basis}), more than the ${params.max_hourly_usd:g} that you allow",
            field="maxHourlyUsd",
            provider=provider,
        )


async def _reserved(
    context: Context, deployment_id: str, layer: Layer, hours: float, hourly: Estimate, most: float | None
) -> Reserved:
    if hourly.usd == 0:
        return Reserved()
    asked = Asked(
        job_id=deployment_id,
        persona_id=layer.published.persona_id,
        provider=layer.published.provider,
        attempt_of="deploy",
    )
    whole = Estimate(
        usd=most,
        basis=f"{hours:g} h; {hourly.basis}",
        source=hourly.source,
        seconds=hours * 3600,
        as_of=hourly.as_of,
    )
    return await reservation(context, asked, whole)
