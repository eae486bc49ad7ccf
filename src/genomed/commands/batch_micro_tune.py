"""genome/batch-micro-tune: one small job on the best of what waits in a bucket, chosen for quality and variety.

The examples stay in the bucket: a micro-tune takes none from the job that its trigger will start. What nobody measured
is null; there is no estimate of an improvement before the verdict on held-out rows.
"""

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from genomed.commands.bucket_state import BucketState, bucket_ids, bucket_state
from genomed.commands.context import Context, Decided, as_text
from genomed.commands.conversion import material_of
from genomed.commands.dataset_freezing import Origin, frozen_as, frozen_writes
from genomed.commands.dataset_history import earlier_of_bucket
from genomed.commands.guarding import Let, applied, let_in
from genomed.commands.job_building import active_layer, plan_job, refusal, why_not_warm
from genomed.commands.job_opening import Opening, Wish, open_job
from genomed.commands.learning import SPLIT_SEED, configured, facts_of
from genomed.curation.conversion import convert
from genomed.curation.conversion.options import SftOptions
from genomed.curation.conversion.tally import Tally
from genomed.curation.variety import varied, variety
from genomed.entities.configuration import Name, PersonaName
from genomed.entities.dataset_port import Freezing, FrozenFiles, Lesson
from genomed.entities.errors import Conflict, NotFound
from genomed.entities.facts import DatasetSource
from genomed.entities.readiness import FEWEST_EXAMPLES
from genomed.entities.row_guards import GuardEffect
from genomed.entities.trigger_rule import TriggerRule
from genomed.entities.types import JobStatus, Role, RowKind

NAME = "genome/batch-micro-tune"
SUMMARY = "Start a small job on the best waiting examples of a bucket."
ROLE = Role.CAPTURE

FEWEST_FORCED = 4
"""With fewer rows nothing could be held out to judge by."""

SIMILAR = 0.9
"""From here on, two examples say the same and one of them is enough."""


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """qualityThreshold: examples judged below it, or not at all, are left out. epochs: of this one job.

    forceUpdate: also with fewer than ten examples, or with exactly those that a job succeeded on before.
    """

    persona_id: PersonaName
    domain: Name
    base_model: Name | None = None
    quality_threshold: Annotated[float, Meta(ge=0, le=1)] = 0.7
    max_examples: Annotated[int, Meta(ge=FEWEST_FORCED, le=1000)] = 50
    epochs: Annotated[int, Meta(ge=1, le=10)] = 1
    force_update: bool = False


class Filtered(Struct, frozen=True, kw_only=True, rename="camel"):
    """Waiting examples that were left out, by the first reason that applied."""

    quality: int
    unusable: int
    similar: int
    over_limit: int
    guarded: int = 0


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """averageQuality: of the examples used. diversity: mean dissimilarity of their pairs, 0 to 1; null with one.

    updateType: `job`: it is trained like any other. improvementEstimate: always null; the verdict measures it.
    """

    job_id: str
    dataset_id: str
    examples_used: int
    examples_filtered: Filtered
    rows: int
    eval_rows: int
    average_quality: float
    diversity: float | None
    update_type: str = "job"
    improvement_estimate: float | None = None
    approval_needed: bool = False
    consent_missing: bool = False
    held_back: tuple[GuardEffect, ...] = ()


class _Chosen(Struct, frozen=True):
    let: Let
    qualities: tuple[float, ...]
    filtered: Filtered

    @property
    def lessons(self) -> tuple[Lesson, ...]:
        return self.let.lessons


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound without such a bucket, Conflict with too little to learn from, or what the provider objects."""
    state = await _bucket(params, context)
    chosen = await _chosen(params, context, state)
    fewest = _fewest(params, context, state)
    if len(chosen.lessons) < fewest:
        guards = "".join(f"; {one.reason}" for one in chosen.let.effects)
        raise Conflict(
            f"{len(chosen.lessons)} examples of quality {params.quality_threshold:g} or more differ enough to learn"
            f" from; {fewest} are the least{guards}",
            remedy="judge more interactions, lower qualityThreshold, or set forceUpdate",
        )
    how = Freezing(
        persona_id=state.key.persona_id,
        row_kind=RowKind.CHAT,
        eval_share=state.rule.held_out_share,
        seed=SPLIT_SEED,
        held_out_with=await earlier_of_bucket(context, state.bucket_id),
    )
    files = await context.datasets.freeze(chosen.lessons, how)
    if not params.force_update:
        await _refuse_again(context, files.dataset_id)
    opening = await _opening(params, context, state, files)
    origin = Origin(
        name=f"{state.key.persona_id}/{state.key.domain}",
        source=DatasetSource(kind="bucket", bucket_id=state.bucket_id, through_position=state.counts.through_position),
        unusable=chosen.filtered.unusable,
        steps=chosen.let.steps,
    )
    guarded = applied(
        state.guarding, chosen.let, dataset_id=files.dataset_id, job_id=opening.job_id, tightened=state.tightened
    )
    writes = await frozen_writes(context, files, frozen_as(files, how, origin))
    result = Result(
        job_id=opening.job_id,
        dataset_id=files.dataset_id,
        examples_used=len(chosen.lessons),
        examples_filtered=chosen.filtered,
        rows=files.rows,
        eval_rows=files.eval_rows,
        average_quality=sum(chosen.qualities) / len(chosen.qualities),
        diversity=variety([lesson.row for lesson in chosen.lessons]),
        approval_needed=opening.approval_needed,
        consent_missing=opening.consent_missing,
        held_back=chosen.let.effects,
    )
    return Decided(result=result, writes=(*writes, *opening.writes, *guarded))


async def _bucket(params: Params, context: Context) -> BucketState:
    base_model = params.base_model or context.default_base_model
    ids = await bucket_ids(context, persona_id=params.persona_id, domain=params.domain, base_model=base_model)
    if len(ids) != 1:
        found = "no bucket" if not ids else f"{len(ids)} buckets"
        remedy = "name the baseModel" if ids else "capture interactions first"
        raise NotFound(
            f"there is {found} of {params.persona_id} for domain {params.domain!r}", field="domain", remedy=remedy
        )
    return await bucket_state(context, ids[0])


async def _chosen(params: Params, context: Context, state: BucketState) -> _Chosen:
    """The best first; of those that say the same, the best."""
    rows = await context.log.query(
        "SELECT interaction_id, quality FROM examples WHERE bucket_id = ? AND state = 'pending'"
        " ORDER BY quality DESC, position DESC",
        (state.bucket_id,),
    )
    good = [(as_text(own), mark) for own, mark in rows if isinstance(mark, float) and mark >= params.quality_threshold]
    tally = Tally(RowKind.CHAT)
    found: list[tuple[Lesson, float]] = []
    for own, mark in good:
        material = await material_of(context, own)
        lessons = convert([] if material is None else [material], SftOptions(), tally)
        found += [(lesson, mark) for lesson in lessons]
    different = varied([lesson.row for lesson, _ in found], similar=SIMILAR)
    best = [found[n] for n in different]
    let = let_in(state.guarding, [lesson for lesson, _ in best], limit=params.max_examples)
    marks = {lesson.origin: mark for lesson, mark in best}
    guarded = sum(one.examples for one in let.effects)
    return _Chosen(
        let=let,
        qualities=tuple(marks[lesson.origin] for lesson in let.lessons),
        filtered=Filtered(
            quality=len(rows) - len(good),
            unusable=len(good) - len(found),
            similar=len(found) - len(different),
            over_limit=len(different) - len(let.lessons) - guarded,
            guarded=guarded,
        ),
    )


def _fewest(params: Params, context: Context, state: BucketState) -> int:
    """An agent does not get below what the operator calls the fewest."""
    fewest = FEWEST_FORCED if params.force_update else FEWEST_EXAMPLES
    return max(fewest, state.guarding.guards.min_examples) if context.caller.agent else fewest


async def _refuse_again(context: Context, dataset_id: str) -> None:
    rows = await context.log.query(
        "SELECT job_id FROM jobs WHERE dataset_id = ? AND status = ? LIMIT 1", (dataset_id, JobStatus.SUCCEEDED.value)
    )
    if rows:
        raise Conflict(
            f"job {as_text(rows[0][0])} succeeded on exactly these examples",
            remedy="capture or judge more, or set forceUpdate",
        )


async def _opening(params: Params, context: Context, state: BucketState, files: FrozenFiles) -> Opening:
    key, rule = state.key, _small(state.rule, params.epochs)
    configuration, asked = configured(rule, base_model=key.base_model, dataset_id=files.dataset_id)
    plan = await plan_job(
        context,
        provider_name=rule.provider,
        configuration=configuration,
        asked=asked,
        facts=facts_of(files, RowKind.CHAT),
    )
    if not plan.checked.valid:
        raise refusal(plan.checked, rule.provider)
    parent = await active_layer(context, key.persona_id, key.domain, key.base_model)
    return await open_job(
        context,
        plan,
        Wish(
            persona_id=key.persona_id,
            provider=rule.provider,
            configuration=configuration,
            asked=asked,
            origin="micro",
            domain=key.domain,
            parent_layer_id=parent,
            warm_start=await why_not_warm(context, parent, configuration, provider_name=rule.provider) is None,
        ),
    )


def _small(rule: TriggerRule, epochs: int) -> TriggerRule:
    """The bucket's own rule, for fewer epochs."""
    schedule = replace(rule.template.schedule, epochs=epochs)
    return replace(rule, template=replace(rule.template, schedule=schedule))
