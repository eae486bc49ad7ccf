"""From a wish to a job: what job-create, job-validate, train and a bucket's trigger share.

Checks everything there is to check and writes nothing; the caller appends the events.
"""

from collections.abc import Sequence

from msgspec import Struct

from genomed.commands.context import Context, load_as, load_job
from genomed.entities.capabilities import ProviderCapabilities, Translation, ValidationResult, WarmStart
from genomed.entities.configuration import IntegrationsSection, JobConfiguration
from genomed.entities.dataset import Dataset
from genomed.entities.differences import moved
from genomed.entities.errors import (
    Capacity,
    ErrorKind,
    Forbidden,
    GenomeError,
    InvalidRequest,
    MissingCredentials,
    NotFound,
    Problem,
    Unsupported,
)
from genomed.entities.facts import HOSTED, DatasetFacts, EffectiveField, Estimate
from genomed.entities.layer import Genome, Layer, cannot_continue
from genomed.entities.ports import Provider
from genomed.entities.refusals import droppable, with_refusals
from genomed.entities.spend import day_of
from genomed.entities.sunset import sunset_of
from genomed.entities.validation import check_configuration


class Plan(Struct, frozen=True, kw_only=True):
    """A job that could be created: what was found, and what the provider would be sent.

    translation, estimate: null where the job is refused. fields: what becomes of each setting, also then. paid: a job
    there costs money. leaves: its rows leave the house.
    """

    provider: str
    facts: DatasetFacts
    checked: ValidationResult
    translation: Translation | None
    fields: tuple[EffectiveField, ...]
    estimate: Estimate | None
    simulated: bool
    paid: bool
    leaves: bool


def rows_leave(able: ProviderCapabilities, uploads: Sequence[str]) -> bool:
    """Whether a job there sends rows out of the house. A simulated company is in it."""
    return not able.simulated and (able.features.uploads or bool(uploads))


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
    facts = await job_facts(context, configuration, training=facts)
    able = await provider.capabilities()
    checked = check_configuration(configuration, able, facts, asked=asked)
    if able.available:
        today = day_of(context.now_us())
        checked = _merged(checked, _secrets(configuration, context.job_secrets))
        checked = _merged(checked, sunset_of(able, configuration.model.base_model, today=today))
        checked = _merged(checked, await provider.check(configuration, facts, asked=asked))
    valid = checked.valid
    sent = provider.translate(configuration, facts, asked=asked) if valid else None
    shown = sent if valid or not able.available else _attempted(provider, configuration, facts, asked, checked.errors)
    return Plan(
        provider=provider_name,
        facts=facts,
        checked=checked,
        translation=sent,
        fields=with_refusals(shown.fields if shown else (), checked.errors, configuration, asked=asked),
        estimate=await provider.estimate(configuration, facts) if valid else None,
        simulated=able.simulated,
        paid=able.paid,
        leaves=rows_leave(able, sent.uploads if sent else ()),
    )


def _secrets(configuration: JobConfiguration, allowed: frozenset[str]) -> ValidationResult:
    """A job says where its integrations report, and so where their keys go: only keys that the operator named."""
    integrations = configuration.integrations or IntegrationsSection()
    named = {
        "integrations.wandb.apiKey": integrations.wandb.api_key if integrations.wandb else None,
        "integrations.huggingface.apiToken": integrations.huggingface.api_token if integrations.huggingface else None,
    }
    refused = [
        Problem(
            field=field,
            message=f"{reference} is not among the secrets that jobs may use",
            remedy="have the operator add it to allowed in [secrets] of the configuration",
        )
        for field, reference in named.items()
        if reference is not None and reference not in allowed
    ]
    return ValidationResult(errors=tuple(refused), kind=ErrorKind.FORBIDDEN)


def _attempted(
    provider: Provider,
    configuration: JobConfiguration,
    facts: DatasetFacts,
    asked: Sequence[str],
    errors: Sequence[Problem],
) -> Translation | None:
    """What the provider makes of what it refuses, else of the rest of it; None where it can make nothing of either."""
    for drop in ((), droppable(errors, configuration)):
        try:
            rest = moved(configuration, asked, base_model=None, metadata={}, drop=drop)
            return provider.translate(rest.configuration, facts, asked=rest.asked)
        except (GenomeError, ValueError, LookupError, TypeError):  # it owes us nothing for what `check` refused
            continue
    return None


async def job_facts(
    context: Context, configuration: JobConfiguration, *, training: DatasetFacts | None = None
) -> DatasetFacts:
    """Of the datasets that the configuration names. Raises NotFound. training: given where it is not in the log yet."""
    named = configuration.datasets
    facts = training or await dataset_facts(context, named.training_file_id, "trainingFileId")
    if named.validation_file_id is None:
        return facts
    return with_validation(facts, await dataset_facts(context, named.validation_file_id, "validationFileId"))


def with_validation(facts: DatasetFacts, other: DatasetFacts) -> DatasetFacts:
    """The facts of a training dataset that is judged on `other` instead of on rows of its own."""
    return DatasetFacts(
        dataset_id=facts.dataset_id,
        row_kind=facts.row_kind,
        rows=facts.rows,
        eval_rows=other.rows,
        size_bytes=facts.size_bytes + other.size_bytes,
        longest_row_bytes=max(facts.longest_row_bytes, other.longest_row_bytes),
        features=tuple(sorted({*facts.features, *other.features})),
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
    """Raises NotFound with the configuration's field, Conflict for a dataset that is archived or lost rows."""
    where = f"configuration.datasets.{field}"
    try:
        dataset, _ = await load_as(context, f"dataset/{dataset_id}", Dataset, what=f"dataset {dataset_id}")
    except NotFound as error:
        remedy = "import one with genome/dataset-import, or freeze a bucket with genome/dataset-create"
        if dataset_id.startswith("dr-"):
            remedy = "a draft is still open: genome/dataset-freeze makes a dataset of it"
        raise NotFound(error.message, field=where, remedy=remedy) from error
    dataset.refuse_retired(dataset_id, field=where)
    return dataset.facts(dataset_id)


def refusal(checked: ValidationResult, provider: str) -> GenomeError:
    """The error that a failed validation is: one kind, every problem."""
    problems = list(checked.errors)
    base = InvalidRequest.of(problems)
    kinds: dict[ErrorKind, type[GenomeError]] = {
        ErrorKind.CAPACITY: Capacity,
        ErrorKind.MISSING_CREDENTIALS: MissingCredentials,
        ErrorKind.INVALID_REQUEST: InvalidRequest,
        ErrorKind.FORBIDDEN: Forbidden,
    }
    cls = kinds.get(checked.kind, Unsupported)
    return cls(base.message, field=base.field, provider=provider, remedy=base.remedy, details=base.details)


async def active_layer(context: Context, persona_id: str, domain: str | None, base_model: str) -> str | None:
    """The layer a result for this slot would replace; null: the base model."""
    loaded = await context.log.load(f"genome/{persona_id}")
    if domain is None or not isinstance(loaded.state, Genome):
        return None
    return loaded.state.active(domain, base_model)


async def why_not_warm(
    context: Context, parent_layer_id: str | None, configuration: JobConfiguration, *, provider_name: str
) -> str | None:
    """Why a job with this configuration cannot go on from that layer's weights there; None when it can."""
    if parent_layer_id is None:
        return "no layer is active there to go on from"
    layer, _ = await load_as(context, f"layer/{parent_layer_id}", Layer, what=f"layer {parent_layer_id}")
    if layer.imported is not None:
        return f"layer {parent_layer_id} was imported: nothing here says how it was trained"
    job, _ = await load_job(context, layer.published.job_id)
    able = await context.providers.get(provider_name).capabilities()
    return _out_of_reach(layer, able) or cannot_continue(job.configuration, configuration)


def _out_of_reach(layer: Layer, able: ProviderCapabilities) -> str | None:
    """Whether the provider can get hold of the weights at all."""
    made_by = layer.published.provider
    match able.features.warm_start:
        case WarmStart.NEVER:
            return f"{able.provider} always starts from the base model"
        case WarmStart.OWN if made_by != able.provider:
            return f"the layer was made by {made_by}, and {able.provider} goes on only from what it keeps itself"
        case WarmStart.FILES if layer.published.artifact.format == HOSTED:
            return f"the layer's weights are kept by {made_by} and cannot be downloaded"
        case _:
            return None
