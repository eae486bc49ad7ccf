"""genome/job-validate: everything job-create would check, and the exact payload that would be sent. Creates nothing."""

from msgspec import Struct

from genomed.commands.context import Context
from genomed.commands.job_building import plan_job
from genomed.entities.checking import given_paths
from genomed.entities.configuration import JobConfiguration, Name
from genomed.entities.errors import ErrorKind, Problem
from genomed.entities.facts import EffectiveField
from genomed.entities.types import Role

NAME = "genome/job-validate"
SUMMARY = "Check a job without creating it; shows what would be sent."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    provider: Name
    configuration: JobConfiguration


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """payload: as the provider would get it; null when refused. fields: what becomes of each setting."""

    valid: bool
    kind: ErrorKind | None
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    payload: dict[str, object] | None
    fields: tuple[EffectiveField, ...]
    simulated: bool


async def run(params: Params, context: Context) -> Result:
    """Raises NotFound for a provider or dataset that does not exist; objections are the result, not an error."""
    asked = given_paths(context.given.get("configuration"))
    plan = await plan_job(context, provider_name=params.provider, configuration=params.configuration, asked=asked)
    sent = plan.translation
    return Result(
        valid=plan.checked.valid,
        kind=None if plan.checked.valid else plan.checked.kind,
        errors=plan.checked.errors,
        warnings=plan.checked.warnings,
        payload=sent.payload if sent else None,
        fields=sent.fields if sent else (),
        simulated=plan.simulated,
    )
