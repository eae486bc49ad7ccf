"""A configuration as Together's create call, and what became of each of its fields. Pure.

Knows the names on the wire; a model's own limits are `objections`'s. What the caller did not ask for and
Together chooses better (the batch, accumulation, packing) is left to it, and said.
"""

from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from genomed.adapters import _parameters
from genomed.adapters._accounting import Sent, account, is_wanted, values_of
from genomed.adapters._placeholders import KEY, secret, upload
from genomed.adapters.together.settings import TogetherParameters
from genomed.adapters.together.wire import (
    LONGEST_SUFFIX,
    CreateJob,
    DpoMethod,
    FullType,
    LoraType,
    Scheduler,
    SchedulerArgs,
    SftMethod,
)
from genomed.entities.capabilities import Translation
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.facts import DatasetFacts
from genomed.entities.types import LRSchedulerType, OptimizationFeature, RowKind, TrainingMethod, TrainOnInputs

KEY_LENGTH = 18
LONGEST_OWN_SUFFIX = LONGEST_SUFFIX - KEY_LENGTH - 1
"""What is left of the suffix for the user's own, beside the submission key and a hyphen."""

METHODS = (TrainingMethod.LORA, TrainingMethod.FULL)
SCHEDULERS = (LRSchedulerType.LINEAR, LRSchedulerType.COSINE)
OPTIMIZATIONS = (OptimizationFeature.SEQUENCE_PACKING,)
T = TypeVar("T")

HALF_A_CYCLE = 0.5
TRAIN_ON_INPUTS: dict[TrainOnInputs, bool] = {TrainOnInputs.ENABLED: True, TrainOnInputs.DISABLED: False}

BATCH, ACCUMULATION = "schedule.batchSize", "schedule.gradientAccumulation"

DPO_ONLY = ("dpoBeta", "rpoAlpha", "simpoGamma", "dpoNormalizeByLength")
EARLY_STOPPING_ONLY = ("earlyStoppingPatience", "earlyStoppingMinDelta", "earlyStoppingWarmup")


def translation(configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]) -> Translation:
    """Raises InvalidRequest for what the check refuses: foreign metadata, methods and schedulers."""
    if wrong := [*_parameters.problems(configuration.metadata, TogetherParameters), *_foreign(configuration)]:
        raise InvalidRequest.of(wrong)
    parameters = _parameters.read(configuration.metadata, TogetherParameters)
    body = _create(configuration, dataset, parameters, asked=asked)
    payload: dict[str, object] = msgspec.to_builtins(body)
    exceptions = _exceptions(configuration, dataset, body, asked=asked) | _unused(configuration, dataset, parameters)
    fields = account(configuration, asked=asked, parameters=_parameters.values(parameters), exceptions=exceptions)
    uploads = ("train", "eval") if body.validation_file is not UNSET else ("train",)
    return Translation(payload=payload, fields=fields, uploads=uploads)


def is_evaluated(configuration: JobConfiguration, dataset: DatasetFacts) -> bool:
    """Whether rows are held out and evaluations of them asked for."""
    held_out = dataset.eval_rows > 0 or configuration.datasets.validation_file_id is not None
    return held_out and configuration.schedule.evaluations > 0


def whole_alpha(configuration: JobConfiguration) -> int | None:
    """Alpha as the integer that Together takes; null where it is none."""
    lora = configuration.lora
    return int(lora.alpha) if lora is not None and lora.alpha == int(lora.alpha) else None


def _foreign(configuration: JobConfiguration) -> list[Problem]:
    found = []
    if configuration.method.type not in METHODS:
        found.append(Problem(field="method.type", message=f"together does not train {configuration.method.type.value}"))
    if configuration.optimizer.scheduler.type not in SCHEDULERS:
        words = " or ".join(word.value for word in SCHEDULERS)
        found.append(Problem(field="optimizer.scheduler.type", message=f"together's learning rate is {words}"))
    if configuration.lora is not None and whole_alpha(configuration) is None:
        found.append(Problem(field="method.loraConfig.alpha", message="together takes whole numbers"))
    return found


def _create(
    configuration: JobConfiguration, dataset: DatasetFacts, parameters: TogetherParameters, *, asked: Sequence[str]
) -> CreateJob:
    schedule, optimizer = configuration.schedule, configuration.optimizer
    evaluated = is_evaluated(configuration, dataset)
    wandb = configuration.integrations.wandb if configuration.integrations else None
    hub = configuration.integrations.huggingface if configuration.integrations else None
    stopping = parameters.early_stopping
    return CreateJob(
        model=configuration.model.base_model,
        training_file=upload("train"),
        validation_file=upload("eval") if evaluated else UNSET,
        suffix="-".join(filter(None, (configuration.output.suffix, KEY))),
        n_epochs=schedule.epochs,
        n_checkpoints=max(1, schedule.checkpoints),
        n_evals=schedule.evaluations if evaluated else 0,
        batch_size=schedule.batch_size if is_wanted(configuration, BATCH, asked=asked) else "max",
        gradient_accumulation_steps=(
            schedule.gradient_accumulation if is_wanted(configuration, ACCUMULATION, asked=asked) else UNSET
        ),
        max_seq_length=schedule.sequence_length,
        learning_rate=optimizer.learning_rate,
        lr_scheduler=_scheduler(configuration),
        warmup_ratio=optimizer.scheduler.warmup_ratio,
        max_grad_norm=optimizer.max_gradient_norm,
        weight_decay=optimizer.weight_decay,
        packing=_packs(configuration, asked),
        training_method=_method(configuration, dataset, parameters),
        training_type=_type(configuration),
        random_seed=_given(parameters.seed),
        early_stopping_enabled=_given(stopping),
        early_stopping_patience=_given(parameters.early_stopping_patience if stopping else None),
        early_stopping_min_delta=_given(parameters.early_stopping_min_delta if stopping else None),
        early_stopping_warmup_evals=_given(parameters.early_stopping_warmup if stopping else None),
        from_hf_model=_given(parameters.from_hf_model),
        hf_model_revision=_given(parameters.hf_model_revision),
        wandb_project_name=wandb.project if wandb else UNSET,
        wandb_name=_given(wandb.run_name if wandb else None),
        wandb_entity=_given(parameters.wandb_entity if wandb else None),
        wandb_base_url=_given(wandb.base_url if wandb else None),
        wandb_api_key=secret(wandb.api_key) if wandb and wandb.api_key else UNSET,
        hf_api_token=secret(hub.api_token) if hub else UNSET,
        hf_output_repo_name=hub.output_repo_name if hub else UNSET,
    )


def _given(value: T | None) -> T | UnsetType:
    return UNSET if value is None else value


def _scheduler(configuration: JobConfiguration) -> Scheduler:
    wanted = configuration.optimizer.scheduler
    if wanted.type is LRSchedulerType.COSINE:
        cycles = HALF_A_CYCLE if wanted.cycles is None else wanted.cycles
        args = SchedulerArgs(min_lr_ratio=wanted.min_lr_ratio, num_cycles=cycles)
        return Scheduler(lr_scheduler_type="cosine", lr_scheduler_args=args)
    return Scheduler(lr_scheduler_type="linear", lr_scheduler_args=SchedulerArgs(min_lr_ratio=wanted.min_lr_ratio))


def _packs(configuration: JobConfiguration, asked: Sequence[str]) -> bool:
    packing = OptimizationFeature.SEQUENCE_PACKING in configuration.optimizations.enabled
    return packing or "optimizations.enabled" not in asked


def _method(
    configuration: JobConfiguration, dataset: DatasetFacts, parameters: TogetherParameters
) -> SftMethod | DpoMethod:
    if dataset.row_kind is not RowKind.PREFERENCE:
        return SftMethod(train_on_inputs=TRAIN_ON_INPUTS.get(configuration.schedule.train_on_inputs, "auto"))
    simpo = bool(parameters.simpo_gamma)
    return DpoMethod(
        dpo_beta=_given(parameters.dpo_beta),
        rpo_alpha=_given(parameters.rpo_alpha),
        simpo_gamma=_given(parameters.simpo_gamma),
        # SimPO is both of these (SDK 3.1.1, create_finetune_request)
        dpo_normalize_logratios_by_length=True if simpo else _given(parameters.dpo_normalize_by_length),
        dpo_reference_free=True if simpo else UNSET,
    )


def _type(configuration: JobConfiguration) -> LoraType | FullType:
    lora, alpha = configuration.lora, whole_alpha(configuration)
    if lora is None or alpha is None:
        return FullType()
    return LoraType(
        lora_r=lora.rank,
        lora_alpha=alpha,
        lora_dropout=lora.dropout,
        lora_trainable_modules=lora.trainable_modules,
    )


def _exceptions(
    configuration: JobConfiguration, dataset: DatasetFacts, body: CreateJob, *, asked: Sequence[str]
) -> dict[str, Sent]:
    """Where more is to say than that the value went out as it stands."""
    values, schedule = values_of(configuration), configuration.schedule
    found = {
        path: Sent(applicable=False, note="together chooses the machines") for path in values if "hardware" in path
    }
    found["model.precision"] = Sent(applicable=False, note="together chooses the precision")
    found["output.suffix"] = Sent(configuration.output.suffix, f"sent as {body.suffix}: the key is what it is found by")
    for path in ("integrations.wandb", "integrations.huggingface", "datasets.validationFileId"):
        if values[path] is None:
            found[path] = Sent(applicable=False)
    if not is_wanted(configuration, BATCH, asked=asked):
        found[BATCH] = Sent(body.batch_size, "together takes the largest batch that the model allows")
    if not is_wanted(configuration, ACCUMULATION, asked=asked):
        found[ACCUMULATION] = Sent(None, "left to together, which has a default for each model")
    if schedule.checkpoints < body.n_checkpoints:
        found["schedule.checkpoints"] = Sent(body.n_checkpoints, "together always keeps the final one")
    if not is_evaluated(configuration, dataset):
        found |= _unevaluated(configuration)
    if "optimizations.enabled" not in asked:
        found["optimizations.enabled"] = Sent(("sequence_packing",), "together packs unless told not to")
    if configuration.optimizer.scheduler.type is LRSchedulerType.COSINE:
        if configuration.optimizer.scheduler.cycles is None:
            found["optimizer.scheduler.cycles"] = Sent(HALF_A_CYCLE)
    else:
        found["optimizer.scheduler.cycles"] = Sent(applicable=False, note="only a cosine rate has cycles")
    if configuration.lora is None:
        note = "full training adapts every weight"
        found |= {path: Sent(applicable=False, note=note) for path in values if path.startswith("method.loraConfig.")}
    if dataset.row_kind is RowKind.PREFERENCE:
        found["schedule.trainOnInputs"] = Sent(applicable=False, note="preference rows are trained on their answers")
    return found


def _unevaluated(configuration: JobConfiguration) -> dict[str, Sent]:
    if configuration.schedule.evaluations:
        return {"schedule.evaluations": Sent(0, "the dataset has no held-out rows")}
    if configuration.datasets.validation_file_id is None:
        return {}
    return {"datasets.validationFileId": Sent(None, "no evaluations are asked for, so it is not sent")}


def _unused(configuration: JobConfiguration, dataset: DatasetFacts, parameters: TogetherParameters) -> dict[str, Sent]:
    """Parameters that this job has no use for; the check has refused those that were given all the same."""
    unused: dict[str, str] = {}
    if dataset.row_kind is not RowKind.PREFERENCE:
        unused |= dict.fromkeys(DPO_ONLY, "only preference rows are trained so")
    if not parameters.early_stopping:
        unused |= dict.fromkeys(EARLY_STOPPING_ONLY, "early stopping is not asked for")
    if parameters.from_hf_model is None:
        unused |= dict.fromkeys(("fromHfModel", "hfModelRevision"), "the base model's own weights are taken")
    if configuration.integrations is None or configuration.integrations.wandb is None:
        unused["wandbEntity"] = "nothing is reported to W&B"
    return {f"metadata.{name}": Sent(applicable=False, note=note) for name, note in unused.items()}
