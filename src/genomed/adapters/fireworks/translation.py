"""A configuration as Fireworks' create call, and what became of each of its fields. Pure.

Knows the wire names of the three kinds of job; secrets, uploaded datasets and the key stand in it as placeholders.
"""

from collections.abc import Mapping, Sequence

from genomed.adapters import _parameters
from genomed.adapters._accounting import Sent, account
from genomed.adapters.fireworks import kind as kinds
from genomed.adapters.fireworks.settings import FireworksParameters
from genomed.adapters.fireworks.wire import PREFERENCE, REINFORCEMENT, SUPERVISED
from genomed.entities import placeholders
from genomed.entities.capabilities import Translation
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import InvalidRequest
from genomed.entities.facts import DatasetFacts
from genomed.entities.types import LRSchedulerType

INFERENCE = {
    "temperature": "temperature",
    "topP": "top_p",
    "topK": "top_k",
    "maxOutputTokens": "max_output_tokens",
    "responseCandidatesCount": "response_candidates_count",
}


def translation(configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]) -> Translation:
    """Raises InvalidRequest for metadata that the check refuses."""
    if wrong := _parameters.problems(configuration.metadata, FireworksParameters):
        raise InvalidRequest.of(wrong)
    parameters = _parameters.read(configuration.metadata, FireworksParameters)
    kind = kinds.kind_of(dataset, parameters)
    evaluates = kinds.sends_held_out_rows(configuration, dataset, kind)
    body = _body(configuration, dataset, parameters)
    fields = account(
        configuration,
        asked=asked,
        parameters=_parameters.values(parameters),
        exceptions=_exceptions(configuration, dataset, kind) | _of_parameters(parameters, kind),
    )
    return Translation(
        payload={"collection": kind, "jobId": placeholders.KEY, "body": body},
        fields=fields,
        uploads=("train", "eval") if evaluates else ("train",),
    )


def _body(configuration: JobConfiguration, dataset: DatasetFacts, parameters: FireworksParameters) -> dict[str, object]:
    kind = kinds.kind_of(dataset, parameters)
    evaluates = kinds.sends_held_out_rows(configuration, dataset, kind)
    shared = {
        "dataset": placeholders.upload("train"),
        "evaluationDataset": placeholders.upload("eval") if evaluates else None,
        "evalAutoCarveout": parameters.eval_auto_carveout,
        "displayName": _display_name(configuration),
        "wandbConfig": _wandb(configuration, parameters),
        "rendererHuggingFaceRepoId": parameters.renderer_hugging_face_repo_id,
        "useReservation": parameters.use_reservation,
        "reservationTarget": parameters.reservation_target,
    }
    training = _training(configuration, dataset, parameters, kind)
    if kind == SUPERVISED:
        own = {**training, "isTurbo": parameters.is_turbo, "lrScheduler": _scheduler(configuration, parameters)}
    elif kind == PREFERENCE:
        own = {"trainingConfig": training, "lossConfig": _preference_loss(parameters)}
    else:
        own = {"trainingConfig": training, **_reinforcement(parameters)}
    return _given(shared | own)


def _training(
    configuration: JobConfiguration, dataset: DatasetFacts, parameters: FireworksParameters, kind: str
) -> dict[str, object]:
    schedule, optimizer = configuration.schedule, configuration.optimizer
    warms_up = optimizer.scheduler.warmup_ratio > 0 and kind != REINFORCEMENT
    return _given(
        {
            "baseModel": kinds.full_model_name(configuration.model.base_model),
            "outputModel": placeholders.KEY,
            "epochs": schedule.epochs,
            "learningRate": optimizer.learning_rate,
            "loraRank": None if configuration.lora is None else configuration.lora.rank,
            "maxContextLength": schedule.sequence_length,
            "batchSizeSamples": schedule.batch_size,
            "learningRateWarmupSteps": kinds.warmup_steps(configuration, dataset) if warms_up else None,
            "optimizerWeightDecay": optimizer.weight_decay,
            "samplerCheckpointSaveIntervalSteps": parameters.sampler_checkpoint_save_interval_steps,
        }
    )


def _scheduler(configuration: JobConfiguration, parameters: FireworksParameters) -> dict[str, object]:
    """One key, which is its kind. Documented at 5.10.0; the SDK of 1.2.28 has no name for it yet."""
    scheduler = configuration.optimizer.scheduler
    if scheduler.type in kinds.FLAT:
        return {"constant": {}}
    shape = {"minLrRatio": scheduler.min_lr_ratio, "decayRatio": parameters.decay_ratio}
    return {scheduler.type.value: _given(shape)}


def _preference_loss(parameters: FireworksParameters) -> dict[str, object]:
    """Always named: left open, Fireworks takes GRPO for it."""
    method = parameters.loss_method or "DPO"
    beta = parameters.dpo_beta
    return _given({"method": method, "dpo": None if beta is None else {"beta": beta}})


def _reinforcement(parameters: FireworksParameters) -> dict[str, object]:
    inference = _given({wire: getattr(parameters, name) for wire, name in INFERENCE.items()})
    loss = _given({"method": parameters.loss_method, "klBeta": parameters.kl_beta})
    return {
        "evaluator": parameters.evaluator,
        "lossConfig": loss or None,
        "inferenceParameters": inference or None,
        "chunkSize": parameters.chunk_size,
        "nodeCount": parameters.node_count,
        "maxConcurrentRollouts": parameters.max_concurrent_rollouts,
        "maxConcurrentEvaluations": parameters.max_concurrent_evaluations,
        "maxInferenceReplicaCount": parameters.max_inference_replica_count,
        "mcpServer": parameters.mcp_server,
    }


def _wandb(configuration: JobConfiguration, parameters: FireworksParameters) -> dict[str, object] | None:
    """It says enabled: without it the section alone does nothing."""
    wandb = None if configuration.integrations is None else configuration.integrations.wandb
    if wandb is None:
        return None
    return _given(
        {
            "enabled": True,
            "apiKey": placeholders.secret(wandb.api_key or ""),
            "project": wandb.project,
            "entity": parameters.wandb_entity,
            "runId": parameters.wandb_run_id,
        }
    )


def _display_name(configuration: JobConfiguration) -> str:
    suffix = configuration.output.suffix
    return f"{suffix} {placeholders.KEY}" if suffix else placeholders.KEY


def _exceptions(configuration: JobConfiguration, dataset: DatasetFacts, kind: str) -> dict[str, Sent]:
    """Where more is to say than that the value went out as it stands."""
    theirs = Sent(applicable=False, note="Fireworks chooses it")
    found = {
        "model.precision": theirs,
        "method.loraConfig.alpha": theirs,
        "method.loraConfig.dropout": theirs,
        "method.loraConfig.trainableModules": theirs,
        "schedule.gradientAccumulation": Sent(applicable=False, note="its trainer rejects it; batchSize is the batch"),
        "schedule.checkpoints": Sent(applicable=False, note="the result itself; no others come here"),
        "optimizer.maxGradientNorm": theirs,
        "optimizations.enabled": Sent(applicable=False, note="there are none to switch"),
        "hardware.gpuType": theirs,
        "hardware.numGPUs": theirs,
        "integrations.huggingface": Sent(applicable=False),
    }
    base_model = configuration.model.base_model
    if (full := kinds.full_model_name(base_model)) != base_model:
        found["model.baseModel"] = Sent(full, "a bare name is one of Fireworks' own models")
    found |= _of_training(configuration, dataset, kind) | _of_output(configuration)
    return found | _of_scheduler(configuration, dataset, kind)


def _of_training(configuration: JobConfiguration, dataset: DatasetFacts, kind: str) -> dict[str, Sent]:
    found = {"schedule.trainOnInputs": Sent(applicable=False, note="Fireworks learns from the assistant's turns only")}
    sends = kinds.sends_held_out_rows(configuration, dataset, kind)
    if sends:
        why = "held-out rows are sent; Fireworks chooses how often it evaluates"
    else:
        why = "a preference job takes no evaluation rows" if kind == PREFERENCE else "no held-out rows are sent"
    found["schedule.evaluations"] = Sent(applicable=False, note=why)
    if configuration.datasets.validation_file_id is None or not sends:
        found["datasets.validationFileId"] = Sent(applicable=False, note=why)
    return found


def _of_output(configuration: JobConfiguration) -> dict[str, Sent]:
    suffix, integrations = configuration.output.suffix, configuration.integrations
    named = Sent(suffix, "in the display name; the model's id is the submission key")
    found = {"output.suffix": named if suffix is not None else Sent(applicable=False)}
    wandb = None if integrations is None else integrations.wandb
    if wandb is None:
        found["integrations.wandb"] = Sent(applicable=False)
    else:
        found["integrations.wandb"] = Sent(wandb.project, f"with the key from {wandb.api_key}")
    return found


def _of_scheduler(configuration: JobConfiguration, dataset: DatasetFacts, kind: str) -> dict[str, Sent]:
    scheduler, path = configuration.optimizer.scheduler, "optimizer.scheduler"
    found: dict[str, Sent] = {}
    if kind != SUPERVISED:
        chosen = Sent(applicable=False, note=f"{kinds.IN_WORDS[kind]} takes no schedule; Fireworks chooses it")
        found |= {f"{path}.type": chosen, f"{path}.minLRRatio": chosen}
    elif scheduler.type in kinds.FLAT:
        found[f"{path}.minLRRatio"] = Sent(applicable=False, note="a constant rate never falls")
    if scheduler.type is LRSchedulerType.CONSTANT_WITH_WARMUP and kind == SUPERVISED:
        found[f"{path}.type"] = Sent("constant", "constant, with its warm-up counted in steps")
    ratio = scheduler.warmup_ratio
    if ratio and kind != REINFORCEMENT:
        steps, total = kinds.warmup_steps(configuration, dataset), kinds.total_steps(configuration, dataset)
        found[f"{path}.warmupRatio"] = Sent(steps, f"in steps: {ratio:g} of {total}")
    elif not ratio:
        found[f"{path}.warmupRatio"] = Sent(applicable=False, note="no warm-up is sent")
    if scheduler.cycles is None or kind != SUPERVISED:
        found[f"{path}.cycles"] = Sent(applicable=False, note="a cosine falls once")
    return found


def _of_parameters(parameters: FireworksParameters, kind: str) -> dict[str, Sent]:
    found = {
        f"metadata.{name}": Sent(applicable=False, note=None if kinds.takes(kind, name) else "for another kind of job")
        for name, value in _parameters.values(parameters).items()
        if value is None
    }
    if kind == PREFERENCE and parameters.loss_method is None:
        found["metadata.lossMethod"] = Sent("DPO", "left open, Fireworks would take GRPO")
    return found


def _given(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}
