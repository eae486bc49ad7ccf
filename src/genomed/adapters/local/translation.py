"""A configuration as the worker's specification, and what became of each of its fields. Pure.

Paths, the attempt and the dataset's files are added when it is handed in. Knows the worker's names (protocol 1).
"""

from collections.abc import Mapping, Sequence

from genomed.adapters import _parameters
from genomed.adapters._accounting import Sent, account, values_of
from genomed.adapters.local.settings import LocalParameters, LocalSettings
from genomed.entities.capabilities import Translation
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import InvalidRequest
from genomed.entities.facts import DatasetFacts
from genomed.entities.ports import Submission
from genomed.entities.types import RowKind

PROTOCOL = 1
ASIDE = "aside"
"""Part of the payload that stays with us: what publishing and the memory check need, and a worker does not."""


def translation(
    configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str], settings: LocalSettings
) -> Translation:
    """Raises InvalidRequest for metadata that the check refuses."""
    if wrong := _parameters.problems(configuration.metadata, LocalParameters):
        raise InvalidRequest.of(wrong)
    parameters = _parameters.read(configuration.metadata, LocalParameters)
    threads = parameters.threads or settings.threads
    payload = _payload(configuration, dataset, parameters, settings) | {"threads": threads}
    exceptions = _exceptions(configuration, dataset) | _parameter_exceptions(configuration, dataset, parameters)
    if threads != parameters.threads:
        exceptions["metadata.threads"] = Sent(threads, "the operator's setting")
    fields = account(configuration, asked=asked, parameters=_parameters.values(parameters), exceptions=exceptions)
    return Translation(payload=payload, fields=fields)


def has_held_out_rows(configuration: JobConfiguration, dataset: DatasetFacts) -> bool:
    """The dataset's own, or a dataset of their own."""
    return dataset.eval_rows > 0 or configuration.datasets.validation_file_id is not None


def _payload(
    configuration: JobConfiguration, dataset: DatasetFacts, parameters: LocalParameters, settings: LocalSettings
) -> dict[str, object]:
    preference = dataset.row_kind is RowKind.PREFERENCE
    precision = configuration.model.precision
    return {
        "protocol": PROTOCOL,
        "baseModel": configuration.model.base_model,
        "revision": parameters.revision,
        "offline": not settings.allow_hub,
        "dataset": {"kind": dataset.row_kind.value, "rows": dataset.rows, "evalRows": dataset.eval_rows},
        "method": _method(configuration),
        "schedule": _schedule(configuration),
        "optimizer": _optimizer(configuration),
        "precision": None if precision is None else precision.value,
        "optimizations": [feature.value for feature in configuration.optimizations.enabled],
        "dpo": {"beta": parameters.dpo_beta, "lossType": parameters.dpo_loss_type} if preference else None,
        "seed": parameters.seed,
        "judge": {"maxNewTokens": parameters.max_new_tokens, "samples": parameters.judge_samples}
        if has_held_out_rows(configuration, dataset)
        else None,
        ASIDE: {"suffix": configuration.output.suffix, "longestRowBytes": dataset.longest_row_bytes},
    }


def _method(configuration: JobConfiguration) -> dict[str, object]:
    lora = configuration.lora
    if lora is None:
        return {"type": configuration.method.type.value, "lora": None}
    return {
        "type": configuration.method.type.value,
        "lora": {
            "rank": lora.rank,
            "alpha": lora.alpha,
            "dropout": lora.dropout,
            "trainableModules": lora.trainable_modules,
        },
    }


def _schedule(configuration: JobConfiguration) -> dict[str, object]:
    schedule = configuration.schedule
    return {
        "epochs": schedule.epochs,
        "batchSize": schedule.batch_size,
        "sequenceLength": schedule.sequence_length,
        "gradientAccumulation": schedule.gradient_accumulation,
        "checkpoints": schedule.checkpoints,
        "evaluations": schedule.evaluations,
        "trainOnInputs": schedule.train_on_inputs.value,
    }


def _optimizer(configuration: JobConfiguration) -> dict[str, object]:
    optimizer, scheduler = configuration.optimizer, configuration.optimizer.scheduler
    return {
        "learningRate": optimizer.learning_rate,
        "weightDecay": optimizer.weight_decay,
        "maxGradientNorm": optimizer.max_gradient_norm,
        "scheduler": {
            "type": scheduler.type.value,
            "minLRRatio": scheduler.min_lr_ratio,
            "warmupRatio": scheduler.warmup_ratio,
            "cycles": scheduler.cycles,
        },
    }


def _exceptions(configuration: JobConfiguration, dataset: DatasetFacts) -> dict[str, Sent]:
    """Where more is to say than that the value went out as it stands."""
    nowhere = ("hardware.gpuType", "hardware.numGPUs", "integrations.wandb", "integrations.huggingface")
    found = {path: Sent(applicable=False, note="this machine is what there is") for path in nowhere[:2]}
    found |= {path: Sent(applicable=False, note="local jobs report to nobody else yet") for path in nowhere[2:]}
    values = values_of(configuration)
    if configuration.model.precision is None:
        found["model.precision"] = Sent(note="the worker takes the best its device does natively, and reports it")
    if configuration.optimizer.scheduler.cycles is None:
        found["optimizer.scheduler.cycles"] = Sent(applicable=False, note="only a cosine rate has cycles; half a one")
    if configuration.output.suffix is not None:
        found["output.suffix"] = Sent(configuration.output.suffix, "written into the layer's manifest")
    else:
        found["output.suffix"] = Sent(applicable=False)
    if configuration.lora is None:
        lora = [path for path in values if path.startswith("method.loraConfig.")]
        found |= {path: Sent(applicable=False, note="full training adapts every weight") for path in lora}
    if not has_held_out_rows(configuration, dataset):
        found["schedule.evaluations"] = Sent(0, "the dataset has no held-out rows")
    if configuration.datasets.validation_file_id is None:
        found["datasets.validationFileId"] = Sent(applicable=False)
    return found


def _parameter_exceptions(
    configuration: JobConfiguration, dataset: DatasetFacts, parameters: LocalParameters
) -> dict[str, Sent]:
    found: dict[str, Sent] = {}
    if dataset.row_kind is not RowKind.PREFERENCE:
        unused = Sent(applicable=False, note="only preference rows are trained so")
        found |= {"metadata.dpoBeta": unused, "metadata.dpoLossType": unused}
    if not has_held_out_rows(configuration, dataset):
        unused = Sent(applicable=False, note="without held-out rows nothing is judged")
        found |= {"metadata.maxNewTokens": unused, "metadata.judgeSamples": unused}
    if parameters.revision is None:
        found["metadata.revision"] = Sent(applicable=False)
    return found


def specification(submission: Submission, *, paths: Mapping[str, object]) -> dict[str, object]:
    """spec.json: the payload completed with what only this attempt knows."""
    payload = {name: value for name, value in submission.payload.items() if name != ASIDE}
    judge, dataset = payload.get("judge"), payload.get("dataset")
    if submission.eval_path is None or not isinstance(judge, dict):
        judge = None
    else:
        judge = {**judge, "baselineLayer": submission.parent_layer_path}
    return {
        **payload,
        "jobId": submission.job_id,
        "attempt": submission.attempt,
        "submissionKey": submission.key,
        "dataset": {
            **(dataset if isinstance(dataset, dict) else {}),
            "kind": submission.row_kind.value,
            "train": submission.train_path,
            "eval": submission.eval_path,
            "rows": submission.rows,
            "evalRows": submission.eval_rows,
            "sha256": submission.dataset_sha256,
        },
        "initLayer": submission.parent_layer_path if submission.warm_start else None,
        "judge": judge,
        "resume": submission.resume,
        "paths": dict(paths),
    }
