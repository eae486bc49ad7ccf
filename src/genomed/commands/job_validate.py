"""genome/job-validate: everything job-create would check, and the exact payload that would be sent. Creates nothing."""

from msgspec import Struct

from genomed.commands.context import Context
from genomed.commands.job_building import active_layer, plan_job, why_not_warm
from genomed.commands.job_opening import approval_needed, over_caps
from genomed.entities.checking import given_paths
from genomed.entities.configuration import JobConfiguration, Name, PersonaName
from genomed.entities.errors import ErrorKind, Problem
from genomed.entities.facts import EffectiveField, Estimate
from genomed.entities.types import Role

NAME = "genome/job-validate"
SUMMARY = "Check a job without creating it; shows what would be sent."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """As job-create takes them. personaId: whose caps and active layer to look at too."""

    provider: Name
    configuration: JobConfiguration
    persona_id: PersonaName | None = None
    domain: Name | None = None
    warm_start: bool = False


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """payload: as the provider would get it; null when refused. fields: what becomes of each setting, refused ones too.

    estimatedCost (USD), estimatedDuration (seconds): null where nobody knows; estimate says how they were made.
    approvalNeeded: were this caller to create the job, it would wait for genome/job-approve.
    """

    valid: bool
    kind: ErrorKind | None
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    payload: dict[str, object] | None
    fields: tuple[EffectiveField, ...]
    estimated_cost: float | None = None
    estimated_duration: float | None = None
    estimate: Estimate | None = None
    approval_needed: bool = False
    simulated: bool


async def run(params: Params, context: Context) -> Result:
    """Raises NotFound for a provider or dataset that does not exist; objections are the result, not an error."""
    asked = given_paths(context.given.get("configuration"))
    plan = await plan_job(context, provider_name=params.provider, configuration=params.configuration, asked=asked)
    cold = await _not_warm(params, context)
    over = await over_caps(context, plan, persona_id=params.persona_id or "")
    valid = plan.checked.valid and not over and not cold
    kind = ErrorKind.BUDGET_EXCEEDED if over else ErrorKind.INVALID_REQUEST if cold else plan.checked.kind
    return Result(
        valid=valid,
        kind=None if valid else kind,
        errors=(*plan.checked.errors, *cold, *over),
        warnings=plan.checked.warnings,
        payload=plan.translation.payload if plan.translation else None,
        fields=plan.fields,
        estimated_cost=plan.estimate.usd if plan.estimate else None,
        estimated_duration=plan.estimate.seconds if plan.estimate else None,
        estimate=plan.estimate,
        approval_needed=approval_needed(context, plan, origin="command"),
        simulated=plan.simulated,
    )


async def _not_warm(params: Params, context: Context) -> list[Problem]:
    if not params.warm_start:
        return []
    base_model = params.configuration.model.base_model
    parent = await active_layer(context, params.persona_id or "", params.domain, base_model)
    reason = await why_not_warm(context, parent, params.configuration, provider_name=params.provider)
    return [Problem(field="warmStart", message=reason, remedy="leave warmStart out")] if reason else []
