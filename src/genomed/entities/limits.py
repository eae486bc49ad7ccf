"""The one table of parameter ranges. Types, validation, help, forms and providers all read it here.

Numbers: seed "Parameter Validation Ranges"; `scheduler.cycles` from the seed's LRSchedulerConfig comment.
"""

from msgspec import Struct


class Range(Struct, frozen=True, kw_only=True):
    """Inclusive limits of a number and the value taken when none is given (null: stays unset)."""

    min: float
    max: float
    default: float | None


PARAMETER_RANGES: dict[str, dict[str, Range]] = {
    "schedule": {
        "epochs": Range(min=1, max=20, default=3),
        "batchSize": Range(min=1, max=64, default=4),
        "sequenceLength": Range(min=512, max=33000, default=2048),
        "gradientAccumulation": Range(min=1, max=16, default=1),
        "checkpoints": Range(min=0, max=10, default=1),
        "evaluations": Range(min=0, max=20, default=1),
    },
    "optimizer": {
        "learningRate": Range(min=0, max=1, default=0.00001),
        "weightDecay": Range(min=0, max=1, default=0),
        "maxGradientNorm": Range(min=0, max=10, default=1),
        "warmupRatio": Range(min=0, max=1, default=0),
        "minLRRatio": Range(min=0, max=1, default=0),
        "cycles": Range(min=0.1, max=2.0, default=None),
    },
    "lora": {
        "rank": Range(min=1, max=256, default=8),
        "alpha": Range(min=1, max=512, default=16),
        "dropout": Range(min=0, max=1, default=0),
    },
}

RANGED_FIELDS: dict[str, tuple[str, str]] = {
    **{f"schedule.{name}": ("schedule", name) for name in PARAMETER_RANGES["schedule"]},
    "optimizer.learningRate": ("optimizer", "learningRate"),
    "optimizer.weightDecay": ("optimizer", "weightDecay"),
    "optimizer.maxGradientNorm": ("optimizer", "maxGradientNorm"),
    "optimizer.scheduler.warmupRatio": ("optimizer", "warmupRatio"),
    "optimizer.scheduler.minLRRatio": ("optimizer", "minLRRatio"),
    "optimizer.scheduler.cycles": ("optimizer", "cycles"),
    "method.loraConfig.rank": ("lora", "rank"),
    "method.loraConfig.alpha": ("lora", "alpha"),
    "method.loraConfig.dropout": ("lora", "dropout"),
}
"""Where in a JobConfiguration each range applies: dotted wire path -> (section, name) of PARAMETER_RANGES."""


def range_of(path: str) -> Range:
    """The universal range of a configuration field. Raises KeyError for a field that has none."""
    section, name = RANGED_FIELDS[path]
    return PARAMETER_RANGES[section][name]
