"""What local training of language models refuses, or trains otherwise than asked with the operator's leave. Pure.

Knows what the kinds of training allow together. What the hardware can do is looked at elsewhere.
"""

from msgspec.structs import replace

from genomed.adapters import _parameters
from genomed.adapters.local import memory
from genomed.adapters.local.base_model import ModelFolder
from genomed.adapters.local.parameters import TEXTS, LocalParameters
from genomed.adapters.local.settings import LocalSettings
from genomed.adapters.local.translation import has_held_out_rows
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import Problem
from genomed.entities.facts import DatasetFacts
from genomed.entities.rows import TOOLS
from genomed.entities.types import OptimizationFeature, RowKind, TrainingMethod

RATED = (RowKind.PREFERENCE, RowKind.LABELLED)
"""Kinds of rows that say of answers how good they are."""


def language_objections(configuration: JobConfiguration, dataset: DatasetFacts) -> list[Problem]:
    """Nothing of parameters that are wrong in themselves: those are named by others."""
    found = _of_packing(configuration, dataset) + _of_tools(dataset)
    if not _parameters.problems(configuration.metadata, LocalParameters):
        parameters = _parameters.read(configuration.metadata, LocalParameters)
        found += _of_stopping(configuration, dataset, parameters)
        found += _of_variants(configuration)
        if dataset.row_kind is RowKind.LABELLED:
            found += _of_labelled(configuration, parameters)
    return found


def _of_packing(configuration: JobConfiguration, dataset: DatasetFacts) -> list[Problem]:
    enabled, field = configuration.optimizations.enabled, "optimizations.enabled"
    if OptimizationFeature.SEQUENCE_PACKING not in enabled:
        return []
    if dataset.row_kind in RATED:
        message = f"{dataset.row_kind.value} rows are compared one by one and cannot be packed"
        return [Problem(field=field, message=message, remedy="leave out sequence_packing")]
    found = []
    if OptimizationFeature.FLASH_ATTENTION not in enabled:
        message = "without flash_attention packed rows would attend to one another"
        found.append(Problem(field=field, message=message, remedy="enable flash_attention as well"))
    if configuration.metadata.get("groupByLength") is True:
        message = "packed rows have one length already: there is nothing to group"
        found.append(Problem(field="metadata.groupByLength", message=message, remedy="leave out either"))
    return found


def _of_tools(dataset: DatasetFacts) -> list[Problem]:
    if dataset.row_kind not in RATED or TOOLS not in dataset.features:
        return []
    message = f"{dataset.row_kind.value} rows with tools are not trained here: the engine would write calls otherwise"
    remedy = "train on chat rows with tools, or at a provider"
    return [Problem(field="datasets.trainingFileId", message=message, remedy=remedy)]


def _of_stopping(configuration: JobConfiguration, dataset: DatasetFacts, parameters: LocalParameters) -> list[Problem]:
    patience, evaluations = parameters.early_stopping_patience, configuration.schedule.evaluations
    asked = {"earlyStoppingPatience": patience is not None, "keepBest": parameters.keep_best}
    found = []
    for name in (name for name, wanted in asked.items() if wanted):
        field = f"metadata.{name}"
        if not has_held_out_rows(configuration, dataset):
            message, remedy = "is decided by held-out rows, and there are none", "hold rows out, or leave it out"
            found.append(Problem(field=field, message=message, remedy=remedy))
        elif evaluations == 0:
            message, remedy = "is decided by evaluations, and there are none", "raise schedule.evaluations"
            found.append(Problem(field=field, message=message, remedy=remedy))
        elif patience is not None and name == "earlyStoppingPatience" and evaluations <= patience:
            message = f"{patience} evaluations without a gain cannot come together: the run has {evaluations} of them"
            remedy = f"raise schedule.evaluations beyond {patience}, or lower the patience"
            found.append(Problem(field=field, message=message, remedy=remedy))
    if patience is None and "earlyStoppingThreshold" in configuration.metadata:
        message, remedy = "means nothing without earlyStoppingPatience", "give a patience, or leave it out"
        found.append(Problem(field="metadata.earlyStoppingThreshold", message=message, remedy=remedy))
    return found


def _of_variants(configuration: JobConfiguration) -> list[Problem]:
    if configuration.lora is not None:
        return []
    given = [name for name in ("useDora", "useRslora") if configuration.metadata.get(name) is True]
    return [
        Problem(field=f"metadata.{name}", message="full training has no LoRA", remedy="leave it out, or use lora")
        for name in given
    ]


def _of_labelled(configuration: JobConfiguration, parameters: LocalParameters) -> list[Problem]:
    found = []
    if configuration.schedule.batch_size < 2:
        message = "labelled rows are trained beside their neighbours, from two in a batch"
        found.append(Problem(field="schedule.batchSize", message=message, remedy="use 2 or more"))
    if OptimizationFeature.FUSED_KERNELS in configuration.optimizations.enabled:
        weighted = (parameters.kto_desirable_weight, parameters.kto_undesirable_weight) != (1.0, 1.0)
        if weighted or configuration.method.type is TrainingMethod.FULL:
            message = "the fused loss of labelled rows takes no weights, and no reference computed before (TRL 1.13)"
            remedy = "leave out fused_kernels, or the weights and full training"
            found.append(Problem(field="optimizations.enabled", message=message, remedy=remedy))
    return found


def falls_back(
    configuration: JobConfiguration, model: ModelFolder, settings: LocalSettings, *, row_kind: RowKind
) -> bool:
    """Whether a LoRA that names what the model has not will become full training, by the operator's leave."""
    lora = configuration.lora
    if lora is None or configuration.method.type is not TrainingMethod.LORA or row_kind not in TEXTS:
        return False
    if not settings.allow_full_tuning:
        return False
    names = [name.strip() for name in lora.trainable_modules.split(",")]
    return any(not memory.adaptable(model, name) for name in names)


def as_trained(
    configuration: JobConfiguration, model: ModelFolder, settings: LocalSettings, *, row_kind: RowKind
) -> JobConfiguration:
    """What the worker will do, for the estimate of its memory."""
    if not falls_back(configuration, model, settings, row_kind=row_kind):
        return configuration
    return replace(configuration, method=replace(configuration.method, type=TrainingMethod.FULL, lora_config=None))
