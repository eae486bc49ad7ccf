"""genome/layer-withdraw: have the provider delete the result that it keeps for us. Nothing uses the layer from then on.

Writes the wish down; the daemon's loop carries it out.
"""

from msgspec import Struct

from genomed.commands.context import Context, Decided, as_text, load_as, load_job
from genomed.commands.layer_deploy import free_deployment_id
from genomed.commands.layer_show import LayerView, layer_view
from genomed.entities.configuration import Name
from genomed.entities.deployment_events import LayerWithdrawalRequested
from genomed.entities.envelope import Write
from genomed.entities.errors import Conflict, Unsupported
from genomed.entities.layer import Genome, Layer, evolve_layer, refuse_withdrawn
from genomed.entities.ports import Provider
from genomed.entities.types import Role

NAME = "genome/layer-withdraw"
SUMMARY = "Have a layer deleted at its provider, for ever."
ROLE = Role.OPERATE

HOSTED = "hosted"
OPEN_JOBS = "SELECT job_id FROM jobs WHERE status NOT IN ('succeeded', 'failed', 'cancelled') ORDER BY job_id"


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    layer_id: Name
    reason: Name = "asked for by hand"


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """layer.withdrawn.withdrawnUs is told once the provider keeps it no more."""

    message: str
    layer: LayerView


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, Unsupported, or Conflict when it is in use, deployed or withdrawn already."""
    layer_id = params.layer_id
    layer, version = await load_as(context, f"layer/{layer_id}", Layer, what=f"layer {layer_id}")
    refuse_withdrawn(layer_id, layer)
    provider = context.providers.get(layer.published.provider)
    _refuse_undeletable(provider, layer)
    await _refuse_going_on(context, layer_id)
    inactive = await _inactive(context, layer_id, layer)
    # Whoever deploys it at the same time writes this very stream, or finds the layer changed.
    undeployed = Write(stream=f"deployment/{await free_deployment_id(context, layer_id)}", expected=0, events=())
    event = LayerWithdrawalRequested(model=layer.published.artifact.location, reason=params.reason)
    after = evolve_layer(layer, event, at_us=context.now_us())
    return Decided(
        result=Result(
            message=f"{event.model} is being deleted at {provider.name}",
            layer=await layer_view(context, layer_id, after),
        ),
        writes=(Write(stream=f"layer/{layer_id}", expected=version, events=(event,)), inactive, undeployed),
    )


def _refuse_undeletable(provider: Provider, layer: Layer) -> None:
    facts = layer.published
    location = facts.artifact.location
    if provider.serving is None and facts.artifact.format == HOSTED:
        raise Unsupported(
            f"{provider.name} keeps {location}, and genomed knows no way to delete it there",
            field="layerId",
            provider=provider.name,
            remedy=f"delete it at {provider.name} by hand",
        )
    if provider.serving is None:
        raise Unsupported(
            f"{provider.name} is asked to keep nothing: its layers are files of yours",
            field="layerId",
            provider=provider.name,
            remedy=f"the layer lies at {facts.path}",
        )
    if location == facts.base_model:
        raise Unsupported(f"{location} is a base model", field="layerId", provider=provider.name)


async def _refuse_going_on(context: Context, layer_id: str) -> None:
    for (found,) in await context.log.query(OPEN_JOBS):
        job_id = as_text(found)
        job, _ = await load_job(context, job_id)
        if job.warm_start and job.parent_layer_id == layer_id:
            raise Conflict(
                f"job {job_id} goes on from layer {layer_id}",
                field="layerId",
                remedy="wait for its end, or cancel it with genome/job-cancel, first",
            )


async def _inactive(context: Context, layer_id: str, layer: Layer) -> Write:
    """That it is active nowhere, as the condition of a write."""
    facts = layer.published
    stream = f"genome/{facts.persona_id}"
    loaded = await context.log.load(stream)
    if isinstance(loaded.state, Genome) and loaded.state.active(facts.domain, facts.base_model) == layer_id:
        raise Conflict(
            f"layer {layer_id} is active for {facts.domain!r} of {facts.persona_id}",
            field="layerId",
            remedy="take it out with genome/layer-rollback, or activate another one, first",
        )
    return Write(stream=stream, expected=loaded.version, events=())
