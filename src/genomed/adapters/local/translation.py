"""A configuration as the worker's specification, and what became of each of its fields. Pure.

Paths, the attempt and the dataset's files are added when it is handed in. Knows the worker's names (protocol 1).
"""

from collections.abc import Mapping, Sequence

from genomed.adapters import _parameters
from genomed.adapters._accounting import Sent, account, values_of
from genomed.adapters.local.parameters import ENCODED, MEANT_FOR, LocalParameters, unused
from genomed.adapters.local.settings import LocalSettings
from genomed.entities.capabilities import Translation
from genomed.entities.configuration import JobConfiguration
from genomed.entities.engines import EngineChoice
from genomed.entities.errors import InvalidRequest
from genomed.entities.facts import DatasetFacts
from genomed.entities.ports import Submission
from genomed.entities.types import RowKind

PROTOCOL = 1
PERCEPTRON = "mlp:"
"""Begins the name of a base model that is no file: a perceptron trained from nothing, as `mlp:512-1024-512-384`."""

JUDGING = ("maxNewTokens", "judgeSamples", "ranks", "earlyStoppingPatience", "earlyStoppingThreshold", "keepBest")

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
        "engine": parameters.engine,
        "baseModel": configuration.model.base_model,
        "revision": parameters.revision,
        "offline": not settings.allow_hub,
        "dataset": {"kind": dataset.row_kind.value, "rows": dataset.rows, "evalRows": dataset.eval_rows},
        "method": _method(configuration, parameters, settings),
        "schedule": _schedule(configuration, parameters),
        "optimizer": _optimizer(configuration),
        "precision": None if precision is None else precision.value,
        "optimizations": [feature.value for feature in configuration.optimizations.enabled],
        "dpo": {"beta": parameters.dpo_beta, "lossType": parameters.dpo_loss_type} if preference else None,
        "seed": parameters.seed,
        **_of_kind(configuration, dataset, parameters),
        "sinks": _sinks(configuration, parameters),
        "judge": {"maxNewTokens": parameters.max_new_tokens, "samples": parameters.judge_samples}
        if has_held_out_rows(configuration, dataset)
        else None,
        ASIDE: {"suffix": configuration.output.suffix, "longestRowBytes": dataset.longest_row_bytes},
    }


def _of_kind(configuration: JobConfiguration, dataset: DatasetFacts, parameters: LocalParameters) -> dict[str, object]:
    """What only one kind of rows is trained with."""
    match dataset.row_kind:
        case RowKind.LABELLED:
            return {
                "kto": {
                    "beta": parameters.kto_beta,
                    "desirableWeight": parameters.kto_desirable_weight,
                    "undesirableWeight": parameters.kto_undesirable_weight,
                }
            }
        case RowKind.TRIPLET | RowKind.RANKING:
            return {
                "embedding": {
                    "loss": parameters.embedding_loss,
                    "margin": parameters.triplet_margin,
                    "distance": parameters.triplet_distance,
                    "matryoshka": _numbers(parameters.matryoshka_dimensions or "", ","),
                    "negatives": parameters.negatives_per_row,
                    "k": parameters.ranks,
                }
            }
        case RowKind.VECTOR_PAIR:
            widths = configuration.model.base_model.removeprefix(PERCEPTRON)
            return {
                "projection": {
                    "widths": _numbers(widths, "-"),
                    "dropout": parameters.projection_dropout,
                    "targetLoss": parameters.projection_target,
                }
            }
        case _:
            return {}


def _numbers(text: str, separator: str) -> list[int]:
    return [int(number) for number in text.split(separator) if number.isascii() and number.isdecimal()]


def _sinks(configuration: JobConfiguration, parameters: LocalParameters) -> dict[str, object] | None:
    wandb = configuration.integrations.wandb if configuration.integrations else None
    if not (wandb or parameters.tensorboard or parameters.metrics_jsonl):
        return None
    return {
        "jsonl": parameters.metrics_jsonl,
        "tensorboard": parameters.tensorboard,
        "wandb": {"project": wandb.project, "runName": wandb.run_name, "baseUrl": wandb.base_url} if wandb else None,
    }


def _method(configuration: JobConfiguration, parameters: LocalParameters, settings: LocalSettings) -> dict[str, object]:
    lora = configuration.lora
    if lora is None:
        return {"type": configuration.method.type.value, "lora": None}
    return {
        "type": configuration.method.type.value,
        "allowFull": settings.allow_full_tuning,
        "lora": {
            "rank": lora.rank,
            "alpha": lora.alpha,
            "dropout": lora.dropout,
            "trainableModules": lora.trainable_modules,
            "dora": parameters.use_dora,
            "rsLora": parameters.use_rslora,
        },
    }


def _schedule(configuration: JobConfiguration, parameters: LocalParameters) -> dict[str, object]:
    schedule, patience = configuration.schedule, parameters.early_stopping_patience
    return {
        "groupByLength": parameters.group_by_length,
        "earlyStopping": None
        if patience is None
        else {"patience": patience, "threshold": parameters.early_stopping_threshold},
        "keepBest": parameters.keep_best,
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
    nowhere = ("hardware.gpuType", "hardware.numGPUs")
    found = {path: Sent(applicable=False, note="this machine is what there is") for path in nowhere}
    found |= _elsewhere(configuration)
    if dataset.row_kind in ENCODED:
        found["schedule.trainOnInputs"] = Sent(applicable=False, note="an encoder writes no answer")
        found["optimizations.enabled"] = Sent(("dynamic_padding",), "batches are padded to their longest text anyway")
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


def _elsewhere(configuration: JobConfiguration) -> dict[str, Sent]:
    """What the worker writes without a network, and what is left to an errand with one."""
    wandb = configuration.integrations.wandb if configuration.integrations else None
    hub = configuration.integrations.huggingface if configuration.integrations else None
    left = "uploaded when the job has succeeded" if wandb and wandb.api_key else "`wandb sync` uploads it"
    return {
        "integrations.wandb": Sent(applicable=False)
        if wandb is None
        else Sent(wandb.project, f"written as an offline run in the attempt's metrics folder; {left}"),
        "integrations.huggingface": Sent(applicable=False)
        if hub is None
        else Sent(hub.output_repo_name, "the layer is uploaded when the job has succeeded"),
    }


def _parameter_exceptions(
    configuration: JobConfiguration, dataset: DatasetFacts, parameters: LocalParameters
) -> dict[str, Sent]:
    found: dict[str, Sent] = {}
    if not has_held_out_rows(configuration, dataset):
        unjudged = Sent(applicable=False, note="without held-out rows nothing is judged")
        found |= {f"metadata.{name}": unjudged for name in JUDGING}
    for name in unused(dataset.row_kind):
        kinds = ", ".join(sorted(MEANT_FOR[name]))
        found[f"metadata.{name}"] = Sent(applicable=False, note=f"only {kinds} rows are trained so")
    if configuration.lora is None:
        every = Sent(applicable=False, note="full training adapts every weight")
        found |= {"metadata.useDora": every, "metadata.useRslora": every}
    absent = [name for name, value in _parameters.values(parameters).items() if value is None]
    return {f"metadata.{name}": Sent(applicable=False) for name in absent if name != "threads"} | found


def specification(submission: Submission, *, paths: Mapping[str, object], chosen: EngineChoice) -> dict[str, object]:
    """spec.json: the payload completed with what only this attempt knows; there `engine` is no longer a wish."""
    payload = {name: value for name, value in submission.payload.items() if name != ASIDE}
    judge, dataset = payload.get("judge"), payload.get("dataset")
    if submission.eval_path is None or not isinstance(judge, dict):
        judge = None
    else:
        judge = {**judge, "baselineLayer": submission.parent_layer_path}
    return {
        **payload,
        "engine": chosen.engine.value,
        "engineReason": chosen.reason,
        "processes": chosen.processes,
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
