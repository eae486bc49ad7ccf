"""Which of Fireworks' three kinds of job a configuration asks for, and what each of them takes. Pure.

The one table of which own parameter belongs to which kind; checking and translating both read it.
"""

import re
from math import ceil

from genomed.adapters.fireworks.settings import FireworksParameters
from genomed.adapters.fireworks.wire import PREFERENCE, REINFORCEMENT, SUPERVISED
from genomed.entities.configuration import JobConfiguration
from genomed.entities.facts import DatasetFacts
from genomed.entities.types import LRSchedulerType, RowKind

MODEL_NAME = re.compile(r"(accounts/[a-z0-9-]{1,63}/models/)?[a-z0-9][a-z0-9-]{0,62}")
PUBLIC_MODELS = "accounts/fireworks/models/"

FEWEST_ROWS, MOST_ROWS = 3, 3_000_000
"""Of a training dataset (documentation, "Fine-tuning", Nov 2026)."""

HIGHEST_RANK = 32
"""And a power of two: the published file names no range; another integration of it found this one out."""

FLAT = frozenset({LRSchedulerType.CONSTANT, LRSchedulerType.CONSTANT_WITH_WARMUP})
SCHEDULERS = (
    LRSchedulerType.LINEAR,
    LRSchedulerType.COSINE,
    LRSchedulerType.CONSTANT,
    LRSchedulerType.CONSTANT_WITH_WARMUP,
)

_ALL = frozenset({SUPERVISED, PREFERENCE, REINFORCEMENT})
_LEARNING = frozenset({SUPERVISED, PREFERENCE})
_BY_KIND: dict[str, frozenset[str]] = {
    "evalAutoCarveout": frozenset({SUPERVISED, REINFORCEMENT}),
    "isTurbo": frozenset({SUPERVISED}),
    "decayRatio": frozenset({SUPERVISED}),
    "samplerCheckpointSaveIntervalSteps": _LEARNING,
    "rendererHuggingFaceRepoId": _LEARNING,
    "useReservation": _LEARNING,
    "reservationTarget": _ALL,
    "wandbEntity": _ALL,
    "wandbRunId": _ALL,
    "lossMethod": frozenset({PREFERENCE, REINFORCEMENT}),
    "dpoBeta": frozenset({PREFERENCE}),
}

IN_WORDS = {
    SUPERVISED: "a supervised job",
    PREFERENCE: "a preference job",
    REINFORCEMENT: "a reinforcement job (one that names an evaluator)",
}

LOSSES = {PREFERENCE: ("DPO", "ORPO"), REINFORCEMENT: ("GRPO", "DAPO", "GSPO_TOKEN")}


def kind_of(dataset: DatasetFacts, parameters: FireworksParameters) -> str:
    """The collection in which the job will lie."""
    if dataset.row_kind is RowKind.PREFERENCE:
        return PREFERENCE
    return SUPERVISED if parameters.evaluator is None else REINFORCEMENT


def takes(kind: str, parameter: str) -> bool:
    """Parameters that the table does not name are those of reinforcement."""
    return kind in _BY_KIND.get(parameter, frozenset({REINFORCEMENT}))


def full_model_name(base_model: str) -> str:
    """A bare name is one of Fireworks' own models."""
    return base_model if "/" in base_model else f"{PUBLIC_MODELS}{base_model}"


def sends_held_out_rows(configuration: JobConfiguration, dataset: DatasetFacts, kind: str) -> bool:
    """Preference jobs take no evaluation dataset."""
    there = dataset.eval_rows > 0 or configuration.datasets.validation_file_id is not None
    return there and kind != PREFERENCE and configuration.schedule.evaluations > 0


def total_steps(configuration: JobConfiguration, dataset: DatasetFacts) -> int:
    """Optimizer steps: rows by batch, a partial batch being one more, times epochs."""
    return ceil(dataset.rows / configuration.schedule.batch_size) * configuration.schedule.epochs


def warmup_steps(configuration: JobConfiguration, dataset: DatasetFacts) -> int:
    return round(configuration.optimizer.scheduler.warmup_ratio * total_steps(configuration, dataset))
