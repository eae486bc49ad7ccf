"""genome/job-migrate: the same dataset and settings on another provider; first what would change, then a new job.

The old job is left as it is: what runs or was paid there is for a person to end.
"""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, Decided, load_job
from genomed.commands.job_building import Plan, active_layer, plan_job, refusal
from genomed.commands.job_opening import Opening, Wish, approval_needed, open_job, over_caps
from genomed.entities.capabilities import ProviderCapabilities, Sunset
from genomed.entities.configuration import Name, Scalar
from genomed.entities.differences import FeatureChange, FieldChange, Moved, feature_changes, field_changes, moved
from genomed.entities.errors import ErrorKind, InvalidRequest, NotFound, Problem
from genomed.entities.events import ConfigurationResolved
from genomed.entities.facts import EffectiveField, Estimate
from genomed.entities.job import Job
from genomed.entities.refusals import NEEDED
from genomed.entities.types import JobStatus, Role

NAME = "genome/job-migrate"
SUMMARY = "Show what changes for a job on another provider; with apply, create it there."
ROLE = Role.OPERATE

ORIGIN = "migrate"


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """baseModel: the other provider's name of it. metadata: parameters of the other provider.

    drop: wire paths of settings to give up on (`metadata.seed`, `optimizer.weightDecay`): only these are left out.
    apply: create the job; without it only the differences are shown.
    """

    job_id: Name
    provider: Name
    base_model: Name | None = None
    metadata: dict[str, Scalar] = {}
    drop: Annotated[tuple[Name, ...], Meta(max_length=100)] = ()
    apply: bool = False


class Place(Struct, frozen=True, kw_only=True, rename="camel"):
    """One of the two. costUsd: what the provider said it cost; estimate: what it was or is thought to cost."""

    provider: str
    base_model: str
    job_id: str | None
    status: JobStatus | None
    simulated: bool
    estimate: Estimate | None
    cost_usd: float | None
    sunset: Sunset | None


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """valid: the other provider takes it. jobId: of the new job, once applied. kind: of the refusal.

    droppable: refused settings that were asked for, and that `drop` would leave out.
    """

    applied: bool
    valid: bool
    job_id: str | None
    message: str
    approval_needed: bool
    before: Place
    after: Place
    kind: ErrorKind | None
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    droppable: tuple[str, ...]
    changes: tuple[FieldChange, ...]
    features: tuple[FeatureChange, ...]


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, InvalidRequest; with apply also Unsupported with every objection, and BudgetExceeded."""
    job, _ = await load_job(context, params.job_id)
    if params.provider == job.provider:
        problem = Problem(
            field="provider",
            message=f"the job is on {job.provider} already",
            remedy="start it over there with genome/job-retry, or create another with genome/job-create",
        )
        raise InvalidRequest.of([problem])
    wanted = moved(
        job.configuration, job.asked, base_model=params.base_model, metadata=params.metadata, drop=params.drop
    )
    plan = await plan_job(
        context, provider_name=params.provider, configuration=wanted.configuration, asked=wanted.asked
    )
    opening = await _open(params, context, job, wanted, plan) if params.apply else None
    return Decided(
        result=await _result(params, context, job, wanted, plan, opening),
        writes=opening.writes if opening is not None else (),
    )


async def _open(params: Params, context: Context, job: Job, wanted: Moved, plan: Plan) -> Opening:
    if not plan.checked.valid:
        raise refusal(plan.checked, params.provider)
    base_model = wanted.configuration.model.base_model
    return await open_job(
        context,
        plan,
        Wish(
            persona_id=job.persona_id,
            provider=params.provider,
            configuration=wanted.configuration,
            asked=wanted.asked,
            origin=ORIGIN,
            domain=job.domain,
            parent_layer_id=await active_layer(context, job.persona_id, job.domain, base_model),
            migrated_from=params.job_id,
        ),
    )


async def _result(
    params: Params, context: Context, job: Job, wanted: Moved, plan: Plan, opening: Opening | None
) -> Result:
    there = await _able(context, job.provider)
    here = await context.providers.get(params.provider).capabilities()
    changes = field_changes(await _sent_before(params, context), plan.fields, dropped=params.drop)
    over = await over_caps(context, plan, persona_id=job.persona_id) if opening is None else []
    valid = plan.checked.valid and not over
    kind = None if valid else ErrorKind.BUDGET_EXCEEDED if over else plan.checked.kind
    refused = [one.field for one in changes if one.change == "refused"]
    return Result(
        applied=opening is not None,
        valid=valid,
        job_id=opening.job_id if opening else None,
        message=_message(params, job, opening, valid=valid),
        approval_needed=opening.approval_needed if opening else approval_needed(context, plan, origin=ORIGIN),
        before=Place(
            provider=job.provider,
            base_model=job.configuration.model.base_model,
            job_id=params.job_id,
            status=job.status,
            simulated=job.simulated,
            estimate=job.quote or job.estimate,
            cost_usd=job.cost_usd,
            sunset=there.sunset if there else None,
        ),
        after=Place(
            provider=params.provider,
            base_model=wanted.configuration.model.base_model,
            job_id=opening.job_id if opening else None,
            status=JobStatus.QUEUED if opening else None,
            simulated=plan.simulated,
            estimate=plan.estimate,
            cost_usd=None,
            sunset=here.sunset,
        ),
        kind=kind,
        errors=(*plan.checked.errors, *over),
        warnings=(*plan.checked.warnings, *_left_behind(job)),
        droppable=tuple(path for path in refused if _was_asked(path, wanted.asked) and path not in NEEDED),
        changes=changes,
        features=feature_changes(there.features if there else None, here.features),
    )


def _was_asked(path: str, asked: Sequence[str]) -> bool:
    return any(one == path or one.startswith(f"{path}.") for one in asked)


def _message(params: Params, job: Job, opening: Opening | None, *, valid: bool) -> str:
    stays = (
        f"job {params.job_id} has ended and stays as it is"
        if job.terminal
        else f"job {params.job_id} on {job.provider} goes on; end it with genome/job-cancel"
    )
    if opening is not None:
        return f"job {opening.job_id} was created on {params.provider}; {stays}"
    if not valid:
        return f"{params.provider} would refuse it: mend what is refused, or give up on it with drop"
    return f"{params.provider} takes it; nothing was changed, apply creates the job there; {stays}"


def _left_behind(job: Job) -> list[Problem]:
    """What does not move with a job."""
    found = []
    if job.warm_start:
        message = f"the old job went on from layer {job.parent_layer_id}; the new one begins at its base model"
        found.append(Problem(field="warmStart", message=message))
    if job.bucket_id is not None:
        message = f"the examples of bucket {job.bucket_id} stay with the old job, and follow its end"
        found.append(Problem(field="bucketId", message=message))
    return found


async def _able(context: Context, provider: str) -> ProviderCapabilities | None:
    """Of the old provider; None where the operator does not allow it any more."""
    try:
        return await context.providers.get(provider).capabilities()
    except NotFound:
        return None


async def _sent_before(params: Params, context: Context) -> tuple[EffectiveField, ...]:
    """What became of each setting there, as the log has it from the job's beginning."""
    for envelope in await context.log.read(f"job/{params.job_id}", limit=10):
        if isinstance(envelope.event, ConfigurationResolved):
            return envelope.event.fields
    return ()
