"""How a bucket becomes a job: examples to a frozen dataset, reserved for one new job, all in one append.

The trigger and bucket-flush both come here, so what starts by itself and what is started by hand are the same.
"""

import msgspec
from msgspec import Struct

from genomed.commands.bucket_state import BucketState
from genomed.commands.context import Context, Decided
from genomed.commands.dataset_freezing import Origin, frozen_as, frozen_writes
from genomed.commands.dataset_history import earlier_of_bucket
from genomed.commands.guarding import applied
from genomed.commands.job_building import active_layer, plan_job, refusal, why_not_warm
from genomed.commands.job_opening import Opening, Wish, open_job
from genomed.commands.lessons import Lessons, pending_lessons
from genomed.entities.bucket import reserve
from genomed.entities.checking import given_paths
from genomed.entities.configuration import DatasetsSection, JobConfiguration, MethodSection, ModelSection
from genomed.entities.dataset_port import Freezing, FrozenFiles
from genomed.entities.envelope import Write
from genomed.entities.errors import Conflict
from genomed.entities.experience_events import ExamplesReserved, taking
from genomed.entities.facts import DatasetFacts, DatasetSource
from genomed.entities.guards import Tightened
from genomed.entities.readiness import FEWEST_EXAMPLES, ReadinessCode, row_kind_of
from genomed.entities.row_guards import GuardEffect
from genomed.entities.rows import LabelledRow
from genomed.entities.trigger_rule import MethodRule, TriggerRule
from genomed.entities.types import RowKind
from genomed.entities.validation import value_at

SPLIT_SEED = 20251
"""Any fixed number: the same bucket always holds out the same interactions."""


FLUSHED = "flush"
"""The origin of a job that an operator asked for by hand: it may go below the fewest examples of triggers."""


class Started(Struct, frozen=True, kw_only=True, rename="camel"):
    """A job that a bucket started. reason: why, as the log has it. approvalNeeded: it waits for genome/job-approve.

    heldBack: what guards let wait. tightened: settings that guards changed.
    """

    job_id: str
    dataset_id: str
    examples: int
    rows: int
    eval_rows: int
    reason: str
    approval_needed: bool = False
    consent_missing: bool = False
    held_back: tuple[GuardEffect, ...] = ()
    tightened: tuple[Tightened, ...] = ()


async def start_learning(
    context: Context, state: BucketState, *, code: ReadinessCode, reason: str, origin: str
) -> Decided[Started]:
    """Raises Conflict when the bucket is taken or too small, BudgetExceeded, or whatever the provider objects."""
    if state.bucket is not None and state.bucket.reservation is not None:
        raise Conflict(f"job {state.bucket.reservation.job_id} is training on this bucket")
    rule, key = state.rule, state.key
    row_kind = row_kind_of(rule, state.counts) or rule.row_kind  # a flush goes below what `auto` calls enough
    paired_only = rule.method is MethodRule.AUTO and row_kind is RowKind.PREFERENCE
    labelled_only = row_kind is RowKind.LABELLED
    which = taking(paired_only=paired_only, labelled_only=labelled_only)
    taught = await pending_lessons(
        context, state.bucket_id, state.guarding, row_kind=row_kind, limit=rule.max_examples, taking=which
    )
    fewest = FEWEST_EXAMPLES if origin == FLUSHED else max(FEWEST_EXAMPLES, state.guarding.guards.min_examples)
    if len(taught.lessons) < fewest:
        raise _too_few(taught, fewest)
    _refuse_one_label(taught)
    how = await _freezing(context, state, row_kind)
    files = await context.datasets.freeze(taught.lessons, how)
    opening = await _opening(context, state, files, row_kind=row_kind, origin=origin)
    reserved = ExamplesReserved(
        bucket=key,
        job_id=opening.job_id,
        dataset_id=files.dataset_id,
        through_position=taught.through_position,
        examples=taught.examples,
        reason_code=code,
        reason=reason,
        paired_only=paired_only,
        held_back=taught.held_back,
        labelled_only=labelled_only,
    )
    guarded = applied(
        state.guarding,
        taught.let,
        dataset_id=files.dataset_id,
        job_id=opening.job_id,
        tightened=state.tightened,
    )
    writes = [
        *await frozen_writes(context, files, frozen_as(files, how, _origin(state, taught))),
        Write(stream=f"bucket/{state.bucket_id}", expected=state.version, events=(reserve(state.bucket, reserved),)),
        *opening.writes,
        *guarded,
    ]
    started = Started(
        job_id=opening.job_id,
        dataset_id=files.dataset_id,
        examples=taught.examples,
        rows=files.rows,
        eval_rows=files.eval_rows,
        reason=reason,
        approval_needed=opening.approval_needed,
        consent_missing=opening.consent_missing,
        held_back=taught.let.effects,
        tightened=state.tightened,
    )
    return Decided(result=started, writes=tuple(writes))


async def _freezing(context: Context, state: BucketState, row_kind: RowKind) -> Freezing:
    return Freezing(
        persona_id=state.key.persona_id,
        row_kind=row_kind,
        eval_share=state.rule.held_out_share,
        seed=SPLIT_SEED,
        held_out_with=await earlier_of_bucket(context, state.bucket_id),
    )


def _refuse_one_label(taught: Lessons) -> None:
    labels = {one.row.label for one in taught.lessons if isinstance(one.row, LabelledRow)}
    if len(labels) == 1:
        how = "wanted" if labels == {True} else "not wanted"
        message = f"all of the {len(taught.lessons)} answers are {how}; labelled rows teach by both"
        raise Conflict(message, remedy="judge more of them")


def _too_few(taught: Lessons, fewest: int) -> Conflict:
    guards = "".join(f"; {one.reason}" for one in taught.let.effects)
    return Conflict(
        f"the bucket has {len(taught.lessons)} examples to learn from; {fewest} are the least{guards}",
        remedy="capture more interactions, or judge those that are there",
    )


def _origin(state: BucketState, taught: Lessons) -> Origin:
    return Origin(
        name=f"{state.key.persona_id}/{state.key.domain}",
        source=DatasetSource(kind="bucket", bucket_id=state.bucket_id, through_position=taught.through_position),
        steps=taught.steps,
        unusable=taught.unusable,
    )


async def _opening(
    context: Context, state: BucketState, files: FrozenFiles, *, row_kind: RowKind, origin: str
) -> Opening:
    key = state.key
    configuration, asked = configured(state.rule, base_model=key.base_model, dataset_id=files.dataset_id)
    plan = await plan_job(
        context,
        provider_name=state.rule.provider,
        configuration=configuration,
        asked=asked,
        facts=facts_of(files, row_kind),
    )
    if not plan.checked.valid:
        raise refusal(plan.checked, state.rule.provider)
    parent = await active_layer(context, key.persona_id, key.domain, key.base_model)
    return await open_job(
        context,
        plan,
        Wish(
            persona_id=key.persona_id,
            provider=state.rule.provider,
            configuration=configuration,
            asked=asked,
            origin=origin,
            domain=key.domain,
            bucket_id=state.bucket_id,
            parent_layer_id=parent,
            warm_start=await why_not_warm(context, parent, configuration, provider_name=state.rule.provider) is None,
        ),
    )


def configured(rule: TriggerRule, *, base_model: str, dataset_id: str) -> tuple[JobConfiguration, tuple[str, ...]]:
    """The rule's template for this base model and dataset, and what of it was chosen rather than defaulted."""
    template = rule.template
    configuration = JobConfiguration(
        model=ModelSection(base_model=base_model),
        datasets=DatasetsSection(training_file_id=dataset_id),
        method=template.method,
        schedule=template.schedule,
        optimizer=template.optimizer,
        optimizations=template.optimizations,
        metadata=template.metadata,
    )
    bare = JobConfiguration(
        model=configuration.model, datasets=configuration.datasets, method=MethodSection(type=template.method.type)
    )
    named = given_paths(msgspec.to_builtins(configuration))
    required = ("model.baseModel", "datasets.trainingFileId", "method.type")
    return configuration, tuple(
        path for path in named if path in required or value_at(configuration, path) != value_at(bare, path)
    )


def facts_of(files: FrozenFiles, row_kind: RowKind) -> DatasetFacts:
    return DatasetFacts(
        dataset_id=files.dataset_id,
        row_kind=row_kind,
        rows=files.rows,
        eval_rows=files.eval_rows,
        size_bytes=files.size_bytes,
        longest_row_bytes=files.longest_row_bytes,
        features=files.features,
    )
