"""The closed vocabularies of fine-tuning, in wire words. Source: seed "Type Definitions", "Core Enums"."""

from enum import StrEnum


class TrainingMethod(StrEnum):
    FULL = "full"
    LORA = "lora"
    QLORA = "qlora"


class LRSchedulerType(StrEnum):
    COSINE = "cosine"
    LINEAR = "linear"
    CONSTANT = "constant"
    CONSTANT_WITH_WARMUP = "constant_with_warmup"
    POLYNOMIAL = "polynomial"


class ModelPrecision(StrEnum):
    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"
    FP8 = "fp8"
    INT8 = "int8"
    INT4 = "int4"


class OptimizationFeature(StrEnum):
    FLASH_ATTENTION = "flash_attention"
    GRADIENT_CHECKPOINTING = "gradient_checkpointing"
    OPTIMIZER_8BIT = "optimizer_8bit"
    PAGED_OPTIMIZER = "paged_optimizer"
    FUSED_KERNELS = "fused_kernels"
    SEQUENCE_PACKING = "sequence_packing"
    DYNAMIC_PADDING = "dynamic_padding"
    ACTIVATION_OFFLOADING = "activation_offloading"


class TrainOnInputs(StrEnum):
    AUTO = "auto"
    ENABLED = "enabled"
    DISABLED = "disabled"


class JobStatus(StrEnum):
    """The words OpenAI users know (DESIGN, "The life of a job")."""

    VALIDATING_FILES = "validating_files"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED})


class JobPhase(StrEnum):
    """What is going on inside a status."""

    ACCEPTED = "accepted"
    AWAITING_APPROVAL = "awaiting_approval"
    UPLOADING = "uploading"
    CHECKING_UPLOADS = "checking_uploads"
    WAITING_CAPACITY = "waiting_capacity"
    SUBMITTING = "submitting"
    SUBMISSION_UNCERTAIN = "submission_uncertain"
    SUBMITTED = "submitted"
    AWAITING_START = "awaiting_start"
    LOADING = "loading"
    TRAINING = "training"
    EVALUATING = "evaluating"
    SAVING = "saving"
    STALLED = "stalled"
    FETCHING = "fetching"
    PAUSING = "pausing"
    PAUSED = "paused"
    RESUMING = "resuming"
    CANCELLING = "cancelling"
    ENDED = "ended"


class RowKind(StrEnum):
    """What one row of a dataset is. Further kinds come with the trainers that learn from them."""

    CHAT = "chat"
    PREFERENCE = "preference"


class FeedbackKind(StrEnum):
    """How an interaction was judged (reference/continuum.md a.2)."""

    APPROVAL = "approval"
    CORRECTION = "correction"
    CRITIQUE = "critique"
    SCORE = "score"
    SUGGESTION = "suggestion"
    QUESTION = "question"


class EventLevel(StrEnum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Role(StrEnum):
    """What an actor may do; each includes the ones before it."""

    READ = "read"
    CAPTURE = "capture"
    OPERATE = "operate"
    ADMIN = "admin"
