"""From a wish to a job: what job-create, job-validate, train and a bucket's trigger share.

Checks everything there is to check and writes nothing; the caller appends the events.
"""

from collections.abc import Sequence

from msgspec import Struct

from genomed.commands.context import Context, load_as, load_job
from genomed.entities.capabilities import Translation, ValidationResult
from genomed.entities.configuration import JobConfiguration
from genomed.entities.dataset import Dataset
from genomed.entities.errors import (
    Capacity,
    ErrorKind,
    GenomeError,
    InvalidRequest,
    MissingCredentials,
    NotFound,
    Problem,
    Unsupported,
)
from genomed.entities.events import ConfigurationResolved, JobCreated
from genomed.entities.facts import DatasetFacts
from genomed.entities.layer import Genome, Layer, cannot_continue
from genomed.entities.validation import check_configuration


class Plan(Struct, frozen=True, kw_only=True):
    """A job that could be created: what was found, and what the provider would be sent."""

    facts: DatasetFacts
    checked: ValidationResult
    translation: Translation | None
    simulated: bool


async def plan_job(
    context: Context,
    *,
    provider_name: str,
    configuration: JobConfiguration,
    asked: Sequence[str],
    facts: DatasetFacts | None = None,
) -> Plan:
    """Every objection of the universal schema and of the provider. Raises NotFound for provider or dataset.

    facts: given when the dataset is about to be frozen in the same transaction.
    """
    provider = context.providers.get(provider_name)
    if facts is None:
        facts = await dataset_facts(context, configuration.datasets.training_file_id, "trainingFileId")
    if configuration.datasets.validation_file_id is not None:
        other = await dataset_facts(context, configuration.datasets.validation_file_id, "validationFileId")
        facts = with_validation(facts, other)
    able = await provider.capabilities()
    universal = check_configuration(configuration, able, facts, asked=asked)
    own = await provider.check(configuration, facts) if able.available else ValidationResult()
    checked = _merged(universal, own)
    translation = provider.translate(configuration, facts, asked=asked) if checked.valid else None
    return Plan(facts=facts, checked=checked, translation=translation, simulated=able.simulated)


def with_validation(facts: DatasetFacts, other: DatasetFacts) -> DatasetFacts:
    """The facts of a training dataset that is judged on `other` instead of on rows of its own."""
    return DatasetFacts(
        dataset_id=facts.dataset_id,
        row_kind=facts.row_kind,
        rows=facts.rows,
        eval_rows=other.rows,
        size_bytes=facts.size_bytes + other.size_bytes,
        longest_row_bytes=max(facts.longest_row_bytes, other.longest_row_bytes),
    )


def _merged(universal: ValidationResult, own: ValidationResult) -> ValidationResult:
    known = {problem.field for problem in universal.errors}
    extra = tuple(p for p in _rooted(own.errors) if p.field not in known)
    kind = universal.kind if universal.errors or not own.errors else own.kind
    return ValidationResult(
        errors=(*universal.errors, *extra), warnings=(*universal.warnings, *_rooted(own.warnings)), kind=kind
    )


def _rooted(problems: Sequence[Problem]) -> list[Problem]:
    """Adapters speak of configuration paths; the wire names the parameter they lie in."""
    return [
        p
        if p.field.startswith(("configuration", "provider"))
        else Problem(
            field=f"configuration.{p.field}" if p.field else "configuration", message=p.message, remedy=p.remedy
        )
        for p in problems
    ]


async def dataset_facts(context: Context, dataset_id: str, field: str) -> DatasetFacts:
    """Raises NotFound with the configuration's field."""
    try:
        dataset, _ = await load_as(context, f"dataset/{dataset_id}", Dataset, what=f"dataset {dataset_id}")
    except NotFound as error:
        raise NotFound(
            error.message,
            field=f"configuration.datasets.{field}",
            remedy="import one with genome/dataset-import, or freeze a bucket with genome/dataset-create",
        ) from error
    return dataset.facts(dataset_id)


def refusal(checked: ValidationResult, provider: str) -> GenomeError:
    """The error that a failed validation is: one kind, every problem."""
    problems = list(checked.errors)
    base = InvalidRequest.of(problems)
    kinds: dict[ErrorKind, type[GenomeError]] = {
        ErrorKind.CAPACITY: Capacity,
        ErrorKind.MISSING_CREDENTIALS: MissingCredentials,
        ErrorKind.INVALID_REQUEST: InvalidRequest,
    }
    cls = kinds.get(checked.kind, Unsupported)
    return cls(base.message, field=base.field, provider=provider, remedy=base.remedy, details=base.details)


async def active_layer(context: Context, persona_id: str, domain: str | None, base_model: str) -> str | None:
    """The layer a result for this slot would replace; null: the base model."""
    loaded = await context.log.load(f"genome/{persona_id}")
    if domain is None or not isinstance(loaded.state, Genome):
        return None
    return loaded.state.active(domain, base_model)


async def why_not_warm(context: Context, parent_layer_id: str | None, configuration: JobConfiguration) -> str | None:
    """Why a job with this configuration cannot go on from that layer's weights; None when it can."""
    if parent_layer_id is None:
        return "no layer is active there to go on from"
    layer, _ = await load_as(context, f"layer/{parent_layer_id}", Layer, what=f"layer {parent_layer_id}")
    job, _ = await load_job(context, layer.published.job_id)
    return cannot_continue(job.configuration, configuration)


class Wish(Struct, frozen=True, kw_only=True):
    """Who wants a job, why, and with what: the part of its first event that no check adds to."""

    persona_id: str
    provider: str
    configuration: JobConfiguration
    asked: tuple[str, ...]
    origin: str
    domain: str | None = None
    bucket_id: str | None = None
    parent_layer_id: str | None = None
    warm_start: bool = False


def opening_events(plan: Plan, wish: Wish) -> tuple[JobCreated, ConfigurationResolved]:
    """The first two events of a job. Raises ValueError for a plan that was refused."""
    if plan.translation is None:
        raise ValueError("a refused plan opens no job")
    created = JobCreated(
        persona_id=wish.persona_id,
        provider=wish.provider,
        configuration=wish.configuration,
        asked=wish.asked,
        dataset_id=plan.facts.dataset_id,
        row_kind=plan.facts.row_kind,
        rows=plan.facts.rows,
        eval_rows=plan.facts.eval_rows,
        origin=wish.origin,
        domain=wish.domain,
        bucket_id=wish.bucket_id,
        parent_layer_id=wish.parent_layer_id,
        warm_start=wish.warm_start,
        simulated=plan.simulated,
    )
    resolved = ConfigurationResolved(attempt=0, source="translation", fields=plan.translation.fields)
    return created, resolved
