"""The rule by which a bucket starts a job by itself. Numbers: reference/continuum.md b.1 and the issue."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from genomed.entities.configuration import (
    MethodSection,
    OptimizationsSection,
    OptimizerSection,
    Scalar,
    ScheduleSection,
)
from genomed.entities.types import RowKind, TrainingMethod


class MethodRule(StrEnum):
    """fixed: rows are of the rule's row_kind. auto: chat or preference, whichever there is enough for."""

    FIXED = "fixed"
    AUTO = "auto"


YEAR_S = 31_536_000
"""The longest wait of a rule: beyond it nobody waits, and microseconds stay countable."""


class TrainingTemplate(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How a job that a trigger starts is configured; base model and dataset come from the bucket."""

    method: MethodSection = MethodSection(type=TrainingMethod.LORA)
    schedule: ScheduleSection = ScheduleSection()
    optimizer: OptimizerSection = OptimizerSection(learning_rate=2e-4)
    optimizations: OptimizationsSection = OptimizationsSection()
    metadata: dict[str, Scalar] = {}


class TriggerRule(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """When and how a bucket's examples become a job.

    Ready when usable examples reach min_examples, or high-quality ones (quality above high_quality_above) reach
    high_quality_examples, or the oldest has waited max_wait_s with at least wait_min_examples there. Times in seconds.
    method auto: it waits until there is enough for a method, and takes that one's rows instead of row_kind.
    held_out_share: of the examples, never trained on, for the verdict. LoRA rate 2e-4: ten times the full-tuning
    default (reference/local-training.md section 2).
    """

    enabled: bool = True
    min_examples: Annotated[int, Meta(ge=10, le=1000)] = 50
    high_quality_examples: Annotated[int, Meta(ge=1, le=1000)] = 20
    high_quality_above: Annotated[float, Meta(ge=0, le=1)] = 0.7
    max_wait_s: Annotated[float, Meta(gt=0, le=YEAR_S)] | None = None
    wait_min_examples: Annotated[int, Meta(ge=1, le=1000)] = 10
    cooldown_s: Annotated[float, Meta(ge=0, le=YEAR_S)] = 600.0
    max_examples: Annotated[int, Meta(ge=10, le=10000)] = 1000
    held_out_share: Annotated[float, Meta(ge=0.05, le=0.5)] = 0.2
    provider: str = "local"
    row_kind: RowKind = RowKind.CHAT
    method: MethodRule = MethodRule.FIXED
    template: TrainingTemplate = TrainingTemplate()
