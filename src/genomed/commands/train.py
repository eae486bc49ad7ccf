"""genome/train: the existing system's one-call form: a file and a handful of numbers. Makes one job like any other.

An agent (role capture) may ask for it, from a frozen dataset: the job then waits for genome/job-approve, and nothing is
sent or spent before. Reading a file of this machine is an operator's.
"""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands import dataset_import
from genomed.commands.context import AbsolutePath, Caller, Context, Decided
from genomed.commands.job_building import Plan, active_layer, plan_job, refusal
from genomed.commands.job_opening import Opening, Wish, open_job
from genomed.commands.learning import facts_of
from genomed.entities.checking import convert, given_paths, problems
from genomed.entities.configuration import JobConfiguration, Name, PersonaName
from genomed.entities.errors import Forbidden, InvalidRequest, Problem
from genomed.entities.facts import Estimate
from genomed.entities.job import Job
from genomed.entities.migration import FlatTraining, configuration_from_train
from genomed.entities.types import JobStatus, Role

NAME = "genome/train"
SUMMARY = "Train on a file with a handful of settings, as the existing system does."
ROLE = Role.CAPTURE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """traitType is the domain. datasetPath: a JSONL file, or datasetId: a frozen dataset; one of the two.

    alpha: twice the rank if not given. quantize with quantizeBits 4 is the qlora method. waitS: wait that long for
    the end.
    """

    persona_id: PersonaName
    trait_type: Name
    persona_name: Name | None = None
    dataset_path: AbsolutePath | None = None
    dataset_id: Name | None = None
    base_model: Name | None = None
    provider: Name = "local"
    rank: int = 32
    alpha: float | None = None
    epochs: int = 3
    learning_rate: float = 1e-4
    batch_size: int = 4
    sequence_length: int | None = None
    quantize: bool = False
    quantize_bits: Annotated[int, Meta(ge=4, le=4)] = 4
    eval_share: Annotated[float, Meta(ge=0, le=0.5)] = 0.1
    wait_s: Annotated[float, Meta(ge=0, le=3600)] = 0.0


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """sessionId is the job's id: one entity, two names. layerId: once it succeeded. approvalNeeded: it waits."""

    session_id: str
    job_id: str
    dataset_id: str
    status: JobStatus
    layer_id: str | None = None
    warnings: tuple[Problem, ...] = ()
    estimate: Estimate | None = None
    approval_needed: bool = False
    consent_missing: bool = False


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises InvalidRequest, NotFound, Unsupported, BudgetExceeded with every objection; Forbidden for a file."""
    if params.dataset_path is not None:
        _refuse_files_of_agents(context.caller)
    base_model = _base_model(params, context)
    _refuse_out_of_range(configuration_from_train(_flat(params, base_model, params.dataset_id or "not yet known")))
    imported = await _dataset(params, context)
    dataset_id = imported.files.dataset_id if imported else str(params.dataset_id)
    raw = configuration_from_train(_flat(params, base_model, dataset_id))
    configuration = convert(raw, JobConfiguration)
    asked = given_paths(raw)
    plan = await plan_job(
        context,
        provider_name=params.provider,
        configuration=configuration,
        asked=asked,
        facts=facts_of(imported.files, imported.segment.row_kind) if imported else None,
    )
    if not plan.checked.valid:
        raise refusal(plan.checked, params.provider)
    parent = await active_layer(context, params.persona_id, params.trait_type, base_model)
    opening = await open_job(
        context,
        plan,
        Wish(
            persona_id=params.persona_id,
            provider=params.provider,
            configuration=configuration,
            asked=asked,
            origin="train",
            domain=params.trait_type,
            bucket_id=None,
            parent_layer_id=parent,
            warm_start=False,
        ),
    )

    async def settle() -> Result:
        job = await context.maintenance.until(opening.job_id, lambda one: one.terminal, timeout_s=params.wait_s)
        return _result(opening, dataset_id, plan, job)

    return Decided(
        result=_result(opening, dataset_id, plan, None),
        writes=(*(imported.writes if imported else ()), *opening.writes),
        settle=settle if params.wait_s > 0 else None,
    )


_FLAT_NAMES = {
    "method.loraConfig.rank": "rank",
    "method.loraConfig.alpha": "alpha",
    "schedule.epochs": "epochs",
    "schedule.batchSize": "batchSize",
    "schedule.sequenceLength": "sequenceLength",
    "optimizer.learningRate": "learningRate",
}


def _refuse_out_of_range(raw: object) -> None:
    """Before anything is imported. Raises InvalidRequest in the names that the caller used."""
    found = problems(raw, JobConfiguration)
    if found:
        raise InvalidRequest.of(
            [Problem(field=_FLAT_NAMES.get(p.field, p.field), message=p.message, remedy=p.remedy) for p in found]
        )


def _flat(params: Params, base_model: str, dataset_id: str) -> FlatTraining:
    return FlatTraining(
        base_model=base_model,
        dataset_id=dataset_id,
        rank=params.rank,
        alpha=params.alpha,
        epochs=params.epochs,
        learning_rate=params.learning_rate,
        batch_size=params.batch_size,
        sequence_length=params.sequence_length,
        quantize=params.quantize,
    )


def _result(opening: Opening, dataset_id: str, plan: Plan, job: Job | None) -> Result:
    return Result(
        session_id=opening.job_id,
        job_id=opening.job_id,
        dataset_id=dataset_id,
        status=job.status if job else JobStatus.QUEUED,
        layer_id=job.layer_id if job else None,
        warnings=plan.checked.warnings,
        estimate=plan.estimate,
        approval_needed=opening.approval_needed,
        consent_missing=opening.consent_missing,
    )


def _base_model(params: Params, context: Context) -> str:
    found = []
    base_model = params.base_model or context.default_base_model
    if base_model is None:
        found.append(Problem(field="baseModel", message="is required: the daemon has no default base model"))
    if (params.dataset_path is None) == (params.dataset_id is None):
        found.append(Problem(field="datasetPath", message="exactly one of datasetPath and datasetId is needed"))
    if found or base_model is None:
        raise InvalidRequest.of(found)
    return base_model


def _refuse_files_of_agents(caller: Caller) -> None:
    if caller.role is Role.CAPTURE:
        raise Forbidden(
            f"{caller.actor} has the role {caller.role}; reading a file of this machine needs {Role.OPERATE}",
            field="datasetPath",
            remedy="name a frozen dataset with datasetId",
        )


async def _dataset(params: Params, context: Context) -> dataset_import.FrozenFile | None:
    """The file that the path names, frozen; None when a frozen dataset was named."""
    if params.dataset_path is None:
        return None
    wanted = dataset_import.Params(
        path=params.dataset_path, name=f"{params.persona_id}/{params.trait_type}", eval_share=params.eval_share
    )
    return await dataset_import.freeze_file(wanted, params.persona_id, context)
