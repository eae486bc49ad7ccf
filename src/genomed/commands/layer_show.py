"""genome/layer-show: one layer: where it lies, what taught it, what it was measured at."""

import msgspec
from msgspec import Struct

from genomed.commands.context import Context, load_as
from genomed.commands.layer_lineage import Relative, family, lineage, version_of
from genomed.entities.configuration import Name
from genomed.entities.deployment_events import LayerCompared
from genomed.entities.facts import Artifact, Verdict
from genomed.entities.layer import Genome, Layer, Pruning, Withdrawal
from genomed.entities.layer_keeping_events import LayerImported
from genomed.entities.types import Role, RowKind

NAME = "genome/layer-show"
SUMMARY = "Show a layer: where it lies, what taught it, how it was judged."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """answers: also the texts of the last comparison with its base model."""

    layer_id: Name
    answers: bool = False


class LayerView(Struct, frozen=True, kw_only=True, rename="camel"):
    """path: a plain PEFT folder for artifact.format peft_lora. active: in use by its persona now.

    version: which one it is of its persona, domain and base model, from 1. jobId, datasetId: null of an imported one.
    withdrawn: deleted at its provider, or to be. pruned: its files here are gone, or go. imported: from where.
    """

    layer_id: str
    version: int
    persona_id: str
    domain: str
    base_model: str
    active: bool
    path: str
    provider: str
    simulated: bool
    job_id: str | None
    dataset_id: str | None
    row_kind: RowKind
    parent_layer_id: str | None
    artifact: Artifact
    manifest_sha256: str
    verdict: Verdict | None
    published_us: int
    withdrawn: Withdrawal | None
    pruned: Pruning | None
    imported: LayerImported | None


class ComparisonView(Struct, frozen=True, kw_only=True, rename="camel"):
    """The last genome/layer-compare. answered: of twice the prompts."""

    tuned_model: str
    base_model: str
    prompts: int
    answered: int
    seconds: float
    prompt_set: str | None
    deployment_id: str | None
    answers_sha256: str


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """lineage: this layer and its parents, newest first. family: what they and it led to, the oldest first.

    answers: null where none were asked for, or were erased.
    """

    layer: LayerView
    lineage: tuple[str, ...]
    family: tuple[Relative, ...]
    compared: ComparisonView | None
    answers: dict[str, object] | None


async def run(params: Params, context: Context) -> Result:
    """Raises NotFound."""
    layer, _ = await load_as(context, f"layer/{params.layer_id}", Layer, what=f"layer {params.layer_id}")
    ancestors = await lineage(context, params.layer_id)
    return Result(
        layer=await layer_view(context, params.layer_id, layer),
        lineage=ancestors,
        family=await family(context, layer.published, root=ancestors[-1]),
        compared=_comparison(layer.compared) if layer.compared else None,
        answers=await _answers(context, layer.compared) if params.answers and layer.compared else None,
    )


def _comparison(event: LayerCompared) -> ComparisonView:
    return ComparisonView(
        tuned_model=event.tuned_model,
        base_model=event.base_model,
        prompts=event.prompts,
        answered=event.answered,
        seconds=event.seconds,
        prompt_set=event.prompt_set,
        deployment_id=event.deployment_id,
        answers_sha256=event.answers_sha256,
    )


async def _answers(context: Context, event: LayerCompared) -> dict[str, object] | None:
    body = await context.log.blob(event.answers_sha256)
    return None if body is None else msgspec.json.decode(body, type=dict[str, object])


async def layer_view(context: Context, layer_id: str, layer: Layer) -> LayerView:
    facts = layer.published
    genome = (await context.log.load(f"genome/{facts.persona_id}")).state
    active = isinstance(genome, Genome) and genome.active(facts.domain, facts.base_model) == layer_id
    return LayerView(
        layer_id=layer_id,
        version=await version_of(context, layer_id, facts),
        persona_id=facts.persona_id,
        domain=facts.domain,
        base_model=facts.base_model,
        active=active,
        path=facts.path,
        provider=facts.provider,
        simulated=facts.simulated,
        job_id=facts.job_id or None,
        dataset_id=facts.dataset_id or None,
        row_kind=facts.row_kind,
        parent_layer_id=facts.parent_layer_id,
        artifact=facts.artifact,
        manifest_sha256=facts.manifest_sha256,
        verdict=layer.verdict,
        published_us=layer.published_us,
        withdrawn=layer.withdrawal,
        pruned=layer.pruning,
        imported=layer.imported,
    )
