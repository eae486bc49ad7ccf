"""What to train and how, in no provider's dialect: the seed's JobConfiguration with its ten sections.

Types and required fields only; ranges are read from `limits`, so that they stand in one place.
"""

from typing import Annotated

from msgspec import Meta, Struct, field

from genomed.entities.limits import RANGED_FIELDS, range_of
from genomed.entities.types import (
    LRSchedulerType,
    ModelPrecision,
    OptimizationFeature,
    TrainingMethod,
    TrainOnInputs,
)


def _ranged(path: str, description: str) -> Meta:
    limits = range_of(path)
    return Meta(ge=limits.min, le=limits.max, description=description)


def _default(path: str) -> float:
    value = range_of(path).default
    if value is None:
        raise KeyError(f"{path} has no default")
    return float(value)


def _count(path: str) -> int:
    return int(_default(path))


Name = Annotated[str, Meta(min_length=1, max_length=512)]

PersonaName = Annotated[str, Meta(max_length=256, pattern=r"^[\w!-~]([\w !-~]*[\w!-~])?$(?!\n)")]
"""A persona's id names its genome's stream, so it is short and printable; letters and digits of any script."""


class ModelSection(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """1. Which model to start from. baseModel: a provider's model name, a hub id, or a local folder."""

    base_model: Name
    precision: ModelPrecision | None = None


class DatasetsSection(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """2. Which frozen datasets to train and validate on, by dataset id."""

    training_file_id: Name
    validation_file_id: Name | None = None


class LoRAConfiguration(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Low-rank adaptation. trainableModules: `all-linear`, or module names joined by commas."""

    rank: Annotated[int, _ranged("method.loraConfig.rank", "rank of the update matrices")] = _count(
        "method.loraConfig.rank"
    )
    alpha: Annotated[float, _ranged("method.loraConfig.alpha", "scaling; the update is multiplied by alpha/rank")] = (
        _default("method.loraConfig.alpha")
    )
    dropout: Annotated[float, _ranged("method.loraConfig.dropout", "share of LoRA inputs dropped")] = _default(
        "method.loraConfig.dropout"
    )
    trainable_modules: Name = "all-linear"


class MethodSection(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """3. How weights change. loraConfig belongs to lora and qlora; absent there, its defaults apply."""

    type: TrainingMethod
    lora_config: LoRAConfiguration | None = None


class ScheduleSection(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """4. How long and in what portions. sequenceLength in tokens; checkpoints and evaluations per run."""

    epochs: Annotated[int, _ranged("schedule.epochs", "passes over the training rows")] = _count("schedule.epochs")
    batch_size: Annotated[int, _ranged("schedule.batchSize", "rows per device step")] = _count("schedule.batchSize")
    sequence_length: Annotated[int, _ranged("schedule.sequenceLength", "tokens per row at most")] = _count(
        "schedule.sequenceLength"
    )
    gradient_accumulation: Annotated[
        int, _ranged("schedule.gradientAccumulation", "device steps per optimizer step")
    ] = _count("schedule.gradientAccumulation")
    checkpoints: Annotated[int, _ranged("schedule.checkpoints", "checkpoints saved over the run")] = _count(
        "schedule.checkpoints"
    )
    evaluations: Annotated[int, _ranged("schedule.evaluations", "evaluations over the run")] = _count(
        "schedule.evaluations"
    )
    train_on_inputs: TrainOnInputs = TrainOnInputs.AUTO


class LRSchedulerConfig(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The learning rate over time; ratios are of the peak rate and of the total steps."""

    type: LRSchedulerType = LRSchedulerType.LINEAR
    min_lr_ratio: Annotated[float, _ranged("optimizer.scheduler.minLRRatio", "final rate over peak rate")] = field(
        name="minLRRatio", default=_default("optimizer.scheduler.minLRRatio")
    )
    warmup_ratio: Annotated[float, _ranged("optimizer.scheduler.warmupRatio", "share of steps spent warming up")] = (
        _default("optimizer.scheduler.warmupRatio")
    )
    cycles: Annotated[float, _ranged("optimizer.scheduler.cycles", "cosine cycles; 0.5 falls once")] | None = None


class OptimizerSection(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """5. How the weights are moved. learningRate is absolute, per optimizer step, at its peak."""

    learning_rate: Annotated[float, _ranged("optimizer.learningRate", "peak learning rate")] = _default(
        "optimizer.learningRate"
    )
    scheduler: LRSchedulerConfig = LRSchedulerConfig()
    weight_decay: Annotated[float, _ranged("optimizer.weightDecay", "decoupled weight decay")] = _default(
        "optimizer.weightDecay"
    )
    max_gradient_norm: Annotated[float, _ranged("optimizer.maxGradientNorm", "gradients are clipped to this norm")] = (
        _default("optimizer.maxGradientNorm")
    )


class OptimizationsSection(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """6. Memory and speed features to switch on; one that the provider lacks is refused, not skipped."""

    enabled: tuple[OptimizationFeature, ...] = ()


class HardwareSection(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """7. Where to run, for providers that let one choose."""

    gpu_type: Name | None = None
    num_gpus: Annotated[int, Meta(ge=1, le=1024)] | None = field(name="numGPUs", default=None)


REFERENCE = r"^(env|cred|keyring|file):[^\s]+$(?!\n)"
"""Where a secret is, never the secret itself."""


class WandBIntegration(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Weights & Biases. apiKey is a reference to a secret (`env:NAME`), never the secret."""

    project: Name
    run_name: Name | None = None
    api_key: Annotated[str, Meta(pattern=REFERENCE)] | None = None
    base_url: Name | None = None


class HFIntegration(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Hugging Face Hub upload. apiToken is a reference to a secret (`env:NAME`), never the secret."""

    api_token: Annotated[str, Meta(pattern=REFERENCE)]
    output_repo_name: Name


class IntegrationsSection(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """8. Where else the run is reported or its result uploaded."""

    wandb: WandBIntegration | None = None
    huggingface: HFIntegration | None = None


class OutputSection(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """9. What the result is called."""

    suffix: Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$(?!\n)")] | None = None


Scalar = str | int | float | bool | None


class JobConfiguration(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Everything a fine-tuning job needs to know. 10: metadata holds the provider's own parameters by name."""

    model: ModelSection
    datasets: DatasetsSection
    method: MethodSection
    schedule: ScheduleSection = ScheduleSection()
    optimizer: OptimizerSection = OptimizerSection()
    optimizations: OptimizationsSection = OptimizationsSection()
    hardware: HardwareSection | None = None
    integrations: IntegrationsSection | None = None
    output: OutputSection = OutputSection()
    metadata: dict[str, Scalar] = {}

    @property
    def lora(self) -> LoRAConfiguration | None:
        """The LoRA settings that apply: the given ones, the defaults, or none for full training."""
        if self.method.type is TrainingMethod.FULL:
            return None
        return self.method.lora_config or LoRAConfiguration()


CONFIGURATION_FIELDS: tuple[str, ...] = (
    "model.baseModel",
    "model.precision",
    "datasets.trainingFileId",
    "datasets.validationFileId",
    "method.type",
    "method.loraConfig.trainableModules",
    "schedule.trainOnInputs",
    "optimizer.scheduler.type",
    "optimizations.enabled",
    "hardware.gpuType",
    "hardware.numGPUs",
    "integrations.wandb",
    "integrations.huggingface",
    "output.suffix",
    *RANGED_FIELDS,
)
"""Every leaf of a JobConfiguration but metadata's, by wire path: what a provider must account for, each one."""
