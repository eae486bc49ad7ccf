"""genome/job-suggest: hyperparameters to begin with, by model size, rows and hardware, each with where it comes from.

Creates nothing. What it gives is a configuration for genome/job-create; what a caller set in it stands.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from genomed.commands.context import Context, load_as
from genomed.commands.job_building import plan_job
from genomed.entities.capabilities import ProviderCapabilities
from genomed.entities.checking import convert, given_paths, problems
from genomed.entities.configuration import JobConfiguration, MethodSection, Name
from genomed.entities.dataset import Dataset
from genomed.entities.errors import ErrorKind, InvalidRequest, Problem
from genomed.entities.facts import DatasetFacts
from genomed.entities.json_value import JsonObject
from genomed.entities.ports import Provider
from genomed.entities.presets import left_open, with_placeholders
from genomed.entities.sizing_port import MemoryNeed, ModelSize, Sizing
from genomed.entities.suggestion_fit import Fitted, LeftOut, because, fitted, with_suggestions
from genomed.entities.suggestions import LANGUAGE, SUGGESTED, Ground, Suggestion, parameters_in_name, suggestions
from genomed.entities.types import Role, RowKind, TrainingMethod

NAME = "genome/job-suggest"
SUMMARY = "Suggest hyperparameters for a base model and rows, each with its source."
ROLE = Role.READ

Counted = Literal["given", "counted", "name"]


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """datasetId, or rowKind with rows where there is no dataset yet. method: null has it suggested, too.

    parameters: how many the base model has, where neither its files nor its name tell. configuration: what is chosen
    already, as far as it goes; it stands as it is.
    """

    provider: Name
    base_model: Name
    dataset_id: Name | None = None
    row_kind: RowKind | None = None
    rows: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None
    method: TrainingMethod | None = None
    parameters: Annotated[int, Meta(ge=1_000, le=10**14)] | None = None
    configuration: JsonObject = {}


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """configuration: for genome/job-create, once nothing is leftOpen. suggestions: what of it was suggested, and where
    from. leftOut: suggestions that are not in it, and why.

    parametersFrom: counted in the model's files, read from its name, or given. memory: where the provider can estimate
    it. valid: whether the provider takes it for such rows; null while nobody can say.
    """

    provider: str
    row_kind: RowKind
    rows: int | None
    parameters: int | None
    parameters_from: Counted | None
    configuration: JsonObject
    suggestions: tuple[Suggestion, ...]
    left_out: tuple[LeftOut, ...]
    left_open: tuple[str, ...]
    memory: MemoryNeed | None
    valid: bool | None
    errors: tuple[Problem, ...] = ()


async def run(params: Params, context: Context) -> Result:
    """Raises NotFound for a provider or dataset, InvalidRequest for what is missing or fits no type."""
    provider = context.providers.get(params.provider)
    able = await provider.capabilities()
    facts = await _facts(params, context)
    chosen = _chosen(params)
    size = await _size(provider, params.base_model)
    parameters, told = _parameters(params, size, facts.row_kind)
    ground = Ground(
        row_kind=facts.row_kind,
        parameters=parameters,
        method=params.method or _method_of(chosen),
        methods=able.supported_methods,
        rows=facts.rows or None,
        gpu_bytes=size.gpu_bytes,
        context=size.context,
    )
    fit = fitted(suggestions(ground), able, given=given_paths(chosen))
    valid, fit, errors = await _tried(params, context, facts, chosen, fit, able)
    made = with_suggestions(chosen, fit.taken)
    return Result(
        provider=params.provider,
        row_kind=facts.row_kind,
        rows=facts.rows or None,
        parameters=parameters,
        parameters_from=told,
        configuration=made,
        suggestions=fit.taken,
        left_out=fit.left_out,
        left_open=left_open(made),
        memory=await _memory(provider, made, facts),
        valid=valid,
        errors=errors,
    )


async def _facts(params: Params, context: Context) -> DatasetFacts:
    """Of the dataset, or of one that there may be."""
    if (params.dataset_id is None) == (params.row_kind is None):
        told = "or rowKind is required" if params.row_kind is None else "and rowKind exclude each other"
        raise InvalidRequest.of([Problem(field="datasetId", message=told)])
    if params.dataset_id is not None:
        if params.rows is not None:
            raise InvalidRequest.of([Problem(field="rows", message="belongs to rowKind: a dataset knows its own")])
        named = params.dataset_id
        dataset, _ = await load_as(context, f"dataset/{named}", Dataset, what=f"dataset {named}")
        facts = dataset.facts(named)
    else:
        kind = params.row_kind or RowKind.CHAT
        facts = DatasetFacts(dataset_id="", row_kind=kind, rows=params.rows or 0, eval_rows=0, size_bytes=0)
    if facts.row_kind not in SUGGESTED:
        message = f"nothing trains on {facts.row_kind} rows: a recipe compiles them into rows that are trained on"
        raise InvalidRequest.of([Problem(field="rowKind", message=message)])
    return facts


def _chosen(params: Params) -> dict[str, object]:
    """The caller's own part of the configuration. Raises InvalidRequest for what fits no type, or says two things."""
    own = dict(params.configuration)
    named = {"model": {"baseModel": params.base_model}}
    if params.dataset_id is not None:
        named["datasets"] = {"trainingFileId": params.dataset_id}
    if params.method is not None:
        named["method"] = {"type": params.method.value}
    found: list[Problem] = []
    for section, fields in named.items():
        there = own.get(section, {})
        if not isinstance(there, dict):
            continue  # its type is what is wrong with it
        found += [
            Problem(field=f"configuration.{section}.{name}", message=f"is {there[name]!r} here and {value!r} beside it")
            for name, value in fields.items()
            if there.get(name, value) != value
        ]
        own[section] = {**there, **fields}
    found += problems(_whole(own), JobConfiguration, root="configuration")
    if found:
        raise InvalidRequest.of(found)
    return own


def _whole(own: dict[str, object]) -> dict[str, object]:
    """With something in every required field, so that its type can be checked."""
    whole = with_placeholders(own)
    method = whole.get("method", {})
    if isinstance(method, dict) and "type" not in method:
        whole["method"] = {"type": TrainingMethod.LORA.value, **method}
    return whole


def _method_of(chosen: dict[str, object]) -> TrainingMethod | None:
    section = chosen.get("method")
    if not isinstance(section, dict) or "type" not in section:
        return None
    return convert(section, MethodSection, root="configuration.method").type


async def _size(provider: Provider, base_model: str) -> ModelSize:
    return await provider.size_of(base_model) if isinstance(provider, Sizing) else ModelSize()


def _parameters(params: Params, size: ModelSize, kind: RowKind) -> tuple[int | None, Counted | None]:
    """What the caller says, what its files say, what its name says. Raises InvalidRequest where a number is needed."""
    if params.parameters is not None:
        return params.parameters, "given"
    if size.parameters is not None:
        return size.parameters, "counted"
    named = parameters_in_name(params.base_model)
    if named is not None:
        return named, "name"
    if kind in LANGUAGE:
        message = f"is required: neither files here nor the name of {params.base_model!r} tell how large it is"
        raise InvalidRequest.of([Problem(field="parameters", message=message, remedy="for 7B say 7000000000")])
    return None, None


async def _tried(
    params: Params,
    context: Context,
    facts: DatasetFacts,
    chosen: dict[str, object],
    fit: Fitted,
    able: ProviderCapabilities,
) -> tuple[bool | None, Fitted, tuple[Problem, ...]]:
    """What the provider says to it, and again without the suggestions that it objects to: but not where memory is
    short, for which no default is better.
    """
    if not facts.rows or not able.available:
        return None, fit, ()
    errors: tuple[Problem, ...] = ()
    for _ in range(2):
        made = _whole(with_suggestions(chosen, fit.taken))
        plan = await plan_job(
            context,
            provider_name=params.provider,
            configuration=convert(made, JobConfiguration, root="configuration"),
            asked=given_paths(made),
            facts=facts,
        )
        errors = plan.checked.errors
        reasons = {one.field.removeprefix("configuration."): one.message for one in reversed(errors)}
        if plan.checked.kind is ErrorKind.CAPACITY or not any(one.field in reasons for one in fit.taken):
            break
        refused = tuple(because(one, reasons[one.field]) for one in fit.taken if one.field in reasons)
        kept = tuple(one for one in fit.taken if one.field not in reasons)
        fit = Fitted(taken=kept, left_out=(*fit.left_out, *refused))
    return not errors, fit, errors


async def _memory(provider: Provider, made: dict[str, object], facts: DatasetFacts) -> MemoryNeed | None:
    if not isinstance(provider, Sizing):
        return None
    return await provider.memory_need(convert(_whole(made), JobConfiguration, root="configuration"), facts)
