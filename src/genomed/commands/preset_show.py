"""genome/preset-show: a preset as a whole JobConfiguration, filled with what is given, and checked."""

from msgspec import Struct

from genomed.commands.context import Context
from genomed.commands.job_building import plan_job
from genomed.entities.checking import convert, given_paths, problems
from genomed.entities.configuration import JobConfiguration, Name
from genomed.entities.errors import InvalidRequest, NotFound, Problem
from genomed.entities.presets import filled, left_open, with_placeholders
from genomed.entities.types import Role, RowKind

NAME = "genome/preset-show"
SUMMARY = "Show a preset as a configuration that job-create takes."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """baseModel: in place of the preset's own, or where it names none."""

    name: Name
    training_file_id: Name | None = None
    base_model: Name | None = None
    validation_file_id: Name | None = None


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """configuration: for genome/job-create as it stands, once leftOpen is empty.

    valid: whether the provider takes it on this dataset; null while something is left open, since then nobody can say.
    """

    name: str
    provider: str
    row_kind: RowKind
    summary: str
    configuration: dict[str, object]
    left_open: tuple[str, ...]
    valid: bool | None
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


async def run(params: Params, context: Context) -> Result:
    """Raises NotFound for a preset, provider or dataset that does not exist, InvalidRequest for what fits no type."""
    presets = (await context.presets.shelf()).presets
    preset = presets.get(params.name)
    if preset is None:
        raise NotFound(
            f"there is no preset {params.name!r}; there are: {', '.join(sorted(presets)) or 'none'}",
            field="name",
            remedy="list them with genome/preset-list",
        )
    configuration = filled(
        preset,
        base_model=params.base_model,
        training_file_id=params.training_file_id,
        validation_file_id=params.validation_file_id,
    )
    if wrong := problems(with_placeholders(configuration), JobConfiguration, root="configuration"):
        raise InvalidRequest.of(wrong)
    missing = left_open(configuration)
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    if not missing:
        plan = await plan_job(
            context,
            provider_name=preset.provider,
            configuration=convert(configuration, JobConfiguration, root="configuration"),
            asked=given_paths(configuration),
        )
        errors, warnings = plan.checked.errors, plan.checked.warnings
        if plan.facts.row_kind is not preset.row_kind:
            message = f"the dataset has {plan.facts.row_kind} rows, and the preset is meant for {preset.row_kind} rows"
            warnings = (*warnings, Problem(field="trainingFileId", message=message))
    return Result(
        name=params.name,
        provider=preset.provider,
        row_kind=preset.row_kind,
        summary=preset.summary,
        configuration=configuration,
        left_open=missing,
        valid=None if missing else not errors,
        errors=errors,
        warnings=warnings,
    )
