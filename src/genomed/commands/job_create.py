"""genome/job-create: write down that a persona wants a model trained.

Knows the log and what providers object to. Submits nothing: the courier does, from the log, so a crash here loses
neither job nor money. What the job is thought to cost is reserved in the same append.

An agent (role capture) may ask: it was not granted to spend, so that its job always waits for genome/job-approve.
"""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, Decided
from genomed.commands.job_building import Plan, active_layer, plan_job, refusal, why_not_warm
from genomed.commands.job_opening import Opening, Wish, open_job
from genomed.entities.checking import given_paths
from genomed.entities.configuration import JobConfiguration, Name, PersonaName
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.facts import EffectiveField, Estimate
from genomed.entities.job import Job
from genomed.entities.types import JobStatus, Role

NAME = "genome/job-create"
SUMMARY = "Create a fine-tuning job on a provider."
ROLE = Role.CAPTURE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """domain: the skill the layer is for; without one the layer can be shown and activated by hand only.

    warmStart: go on from the active layer's weights. waitS: wait so long for the provider's job id.
    """

    persona_id: PersonaName
    provider: Name
    configuration: JobConfiguration
    domain: Name | None = None
    warm_start: bool = False
    wait_s: Annotated[float, Meta(ge=0, le=300)] = 0.0


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """providerJobId, estimatedCost (USD), estimatedDuration (seconds): null until known; nothing is guessed.

    estimate: the two with how they were made. fields: what becomes of each setting; payload: as the provider gets it,
    without what is known only later. approvalNeeded: it waits for genome/job-approve, and nothing is sent before;
    consentMissing: also because nobody let rows of this persona go there yet.
    """

    job_id: str
    status: JobStatus
    provider_job_id: str | None = None
    estimated_cost: float | None = None
    estimated_duration: float | None = None
    estimate: Estimate | None = None
    approval_needed: bool = False
    consent_missing: bool = False
    fields: tuple[EffectiveField, ...] = ()
    payload: dict[str, object] | None = None
    warnings: tuple[Problem, ...] = ()
    simulated: bool = False


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, Unsupported, InvalidRequest or BudgetExceeded with every objection."""
    asked = given_paths(context.given.get("configuration"))
    plan = await plan_job(context, provider_name=params.provider, configuration=params.configuration, asked=asked)
    if not plan.checked.valid:
        raise refusal(plan.checked, params.provider)
    base_model = params.configuration.model.base_model
    parent = await active_layer(context, params.persona_id, params.domain, base_model)
    if params.warm_start and (
        reason := await why_not_warm(context, parent, params.configuration, provider_name=params.provider)
    ):
        raise InvalidRequest.of([Problem(field="warmStart", message=reason, remedy="leave warmStart out")])
    opening = await open_job(
        context,
        plan,
        Wish(
            persona_id=params.persona_id,
            provider=params.provider,
            configuration=params.configuration,
            asked=asked,
            origin="command",
            domain=params.domain,
            bucket_id=None,
            parent_layer_id=parent,
            warm_start=params.warm_start,
        ),
    )

    async def settle() -> Result:
        return _result(
            plan, opening, await context.maintenance.until(opening.job_id, _accepted, timeout_s=params.wait_s)
        )

    return Decided(
        result=_result(plan, opening, None),
        writes=opening.writes,
        settle=settle if params.wait_s > 0 else None,
    )


def _result(plan: Plan, opening: Opening, job: Job | None) -> Result:
    """job: as it is now, for callers who waited."""
    return Result(
        job_id=opening.job_id,
        status=job.status if job else JobStatus.QUEUED,
        provider_job_id=job.attempt.provider_job_id if job and job.attempt else None,
        estimated_cost=plan.estimate.usd if plan.estimate else None,
        estimated_duration=plan.estimate.seconds if plan.estimate else None,
        estimate=plan.estimate,
        approval_needed=opening.approval_needed,
        consent_missing=opening.consent_missing,
        fields=plan.fields,
        payload=plan.translation.payload if plan.translation else None,
        warnings=plan.checked.warnings,
        simulated=plan.simulated,
    )


def _accepted(job: Job) -> bool:
    return job.terminal or (job.attempt is not None and job.attempt.provider_job_id is not None)
