"""genome/job-create: write down that a persona wants a model trained.

Knows the log and what providers object to. Submits nothing: the courier does, from the log, so a crash here loses
neither job nor money.
"""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, Decided
from genomed.commands.job_building import Wish, active_layer, opening_events, plan_job, refusal, why_not_warm
from genomed.entities.checking import given_paths
from genomed.entities.configuration import JobConfiguration, Name, PersonaName
from genomed.entities.envelope import Write
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.job import Job
from genomed.entities.types import JobStatus, Role

NAME = "genome/job-create"
SUMMARY = "Create a fine-tuning job on a provider."
ROLE = Role.OPERATE


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
    """providerJobId, estimatedCost, estimatedDuration (seconds): null until known; nothing is guessed."""

    job_id: str
    status: JobStatus
    provider_job_id: str | None = None
    estimated_cost: float | None = None
    estimated_duration: float | None = None
    warnings: tuple[Problem, ...] = ()
    simulated: bool = False


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, Unsupported or InvalidRequest with every objection."""
    asked = given_paths(context.given.get("configuration"))
    plan = await plan_job(context, provider_name=params.provider, configuration=params.configuration, asked=asked)
    if not plan.checked.valid:
        raise refusal(plan.checked, params.provider)
    base_model = params.configuration.model.base_model
    parent = await active_layer(context, params.persona_id, params.domain, base_model)
    if params.warm_start and (reason := await why_not_warm(context, parent, params.configuration)):
        raise InvalidRequest.of([Problem(field="warmStart", message=reason, remedy="leave warmStart out")])
    job_id = context.new_id("job")
    opening = opening_events(
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
    result = Result(job_id=job_id, status=JobStatus.QUEUED, warnings=plan.checked.warnings, simulated=plan.simulated)

    async def settle() -> Result:
        job = await context.maintenance.until(job_id, _accepted, timeout_s=params.wait_s)
        theirs = job.attempt.provider_job_id if job.attempt else None
        return Result(
            job_id=job_id,
            status=job.status,
            provider_job_id=theirs,
            warnings=plan.checked.warnings,
            simulated=plan.simulated,
        )

    return Decided(
        result=result,
        writes=(Write(stream=f"job/{job_id}", expected=0, events=opening),),
        settle=settle if params.wait_s > 0 else None,
    )


def _accepted(job: Job) -> bool:
    return job.terminal or (job.attempt is not None and job.attempt.provider_job_id is not None)
