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
    """What one row of a dataset is (reference/cogniverse-ragd-ucotron.md 4.3). Which of them a provider trains on, its
    capabilities say.
    """

    CHAT = "chat"
    PREFERENCE = "preference"
    LABELLED = "labelled"
    RAFT = "raft"
    TRIPLET = "triplet"
    RANKING = "ranking"
    VECTOR_PAIR = "vector_pair"
    RECORD = "record"


class FeedbackKind(StrEnum):
    """How an interaction was judged, in the two vocabularies that agents use.

    The first six: reference/continuum.md a.2. `boolean` to `demonstration`: metrics, comments and shown answers, of one
    interaction or of a whole episode.
    """

    APPROVAL = "approval"
    CORRECTION = "correction"
    CRITIQUE = "critique"
    SCORE = "score"
    SUGGESTION = "suggestion"
    QUESTION = "question"
    BOOLEAN = "boolean"
    FLOAT = "float"
    COMMENT = "comment"
    DEMONSTRATION = "demonstration"


class ReviewState(StrEnum):
    """Where a synthetic row stands. `proposed` is the moment before its policy is applied; no stored item is in it.

    `regenerating`: rejected with the wish for another try, which nobody has made yet; `regenerated`: a child item took
    its place in the queue.
    """

    AUTO_APPROVED = "auto_approved"
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    REGENERATING = "regenerating"
    REGENERATED = "regenerated"


class ReviewPolicy(StrEnum):
    """Who lets a synthetic row in: a person each time, a confidence threshold first, or nobody needs to."""

    MANUAL = "manual"
    THRESHOLD = "threshold"
    OFF = "off"


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
