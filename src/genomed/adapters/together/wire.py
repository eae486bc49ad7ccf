"""Together's own words: what we read of its answers, and what we send. No meaning of ours is put on them here.

Reading is tolerant: unknown keys are skipped, and what an answer leaves out is null. Sources: the published OpenAPI
document 2.0.0 (April 2026), and the SDK `together` 3.1.1 for what is newer than that.
"""

from datetime import UTC, datetime
from typing import Literal

from msgspec import UNSET, Struct, UnsetType, field

NANODOLLARS = 1_000_000_000
"""`total_price` counts these (SDK 3.1.1, lib/utils/tools.py); `estimated_total_price` counts dollars."""

LONGEST_SUFFIX = 40
"""Of the output model's name (SDK 3.1.1, fine_tuning.create; the published document names no limit)."""

LARGEST_FILE_BYTES = int(50.1 * (1 << 30))
"""Of one upload (SDK 3.1.1, MAX_FILE_SIZE_GB; the documentation says 100 GB)."""


def at_us(text: str | None) -> int | None:
    """Microseconds since 1970; null for a time that cannot be read."""
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000_000)


class ValidationReport(Struct, frozen=True, kw_only=True):
    valid: bool | None = None
    error: str | None = None
    nlines: int | None = None


class FileEntry(Struct, frozen=True, kw_only=True):
    """processed: the published document's word; processing_status: the newer one."""

    id: str
    filename: str = ""
    bytes: int | None = None
    purpose: str = ""
    processed: bool | None = field(name="Processed", default=None)
    processing_status: str | None = None
    validation_report: ValidationReport | None = None


class FileList(Struct, frozen=True, kw_only=True):
    data: list[FileEntry] | None = None


class ExistingFile(Struct, frozen=True, kw_only=True):
    """What a 409 to an upload names (SDK 3.1.1, FileAlreadyExistsError)."""

    file_id: str


class LoraLimits(Struct, frozen=True, kw_only=True):
    max_batch_size: int | None = None
    max_batch_size_dpo: int | None = None
    min_batch_size: int | None = None
    max_rank: int | None = None
    target_modules: list[str] | None = None


class FullLimits(Struct, frozen=True, kw_only=True):
    max_batch_size: int | None = None
    max_batch_size_dpo: int | None = None
    min_batch_size: int | None = None


class ModelLimits(Struct, frozen=True, kw_only=True):
    """What one base model allows. The keys from max_num_checkpoints on are newer than the published document."""

    model_name: str = ""
    full_training: FullLimits | None = None
    lora_training: LoraLimits | None = None
    max_num_epochs: int | None = None
    max_num_evals: int | None = None
    max_learning_rate: float | None = None
    min_learning_rate: float | None = None
    max_num_checkpoints: int | None = None
    max_seq_length_sft: int | None = None
    max_seq_length_dpo: int | None = None
    min_max_seq_length: int | None = None
    supports_full_training: bool | None = None
    supports_tools: bool | None = None


class SupportedModels(Struct, frozen=True, kw_only=True):
    models: list[str] | None = None


class PriceQuote(Struct, frozen=True, kw_only=True):
    """estimation_available and unavailable_reason are newer than the published document."""

    estimation_available: bool | None = None
    unavailable_reason: str | None = None
    allowed_to_proceed: bool | None = None
    estimated_total_price: float | None = None
    user_limit: float | None = None
    estimated_train_token_count: float | None = None
    estimated_eval_token_count: float | None = None


class Kind(Struct, frozen=True, kw_only=True):
    """The part of a training type that says which one it is."""

    type: str | None = None


class TimeLeft(Struct, frozen=True, kw_only=True):
    estimate_available: bool | None = None
    seconds_remaining: float | None = None


class JobEntry(Struct, frozen=True, kw_only=True):
    """A job as it is told, in full or in a list."""

    id: str
    status: str = ""
    created_at: str | None = None
    training_file: str | None = None
    model: str | None = None
    model_output_name: str | None = None
    model_output_path: str | None = None
    suffix: str | None = None
    training_type: Kind | None = None
    from_checkpoint: str | None = None
    n_epochs: int | None = None
    n_evals: int | None = None
    n_checkpoints: int | None = None
    batch_size: int | str | None = None
    learning_rate: float | None = None
    warmup_ratio: float | None = None
    weight_decay: float | None = None
    max_grad_norm: float | None = None
    max_seq_length: int | None = None
    epochs_completed: float | None = None
    token_count: float | None = None
    total_price: float | None = None
    queue_depth: int | None = None
    progress: TimeLeft | None = None
    early_stopped: bool | None = None
    early_stopping_best_step: int | None = None


class JobList(Struct, frozen=True, kw_only=True):
    data: list[JobEntry] | None = None


class JobEvent(Struct, frozen=True, kw_only=True):
    """It has no id: the same event is told in every answer."""

    created_at: str | None = None
    type: str | None = None
    level: str | None = None
    message: str | None = None
    step: int | None = None
    total_steps: int | None = None


class EventList(Struct, frozen=True, kw_only=True):
    data: list[JobEvent] | None = None


class CheckpointEntry(Struct, frozen=True, kw_only=True):
    step: int
    checkpoint_type: str = ""
    path: str = ""


class CheckpointList(Struct, frozen=True, kw_only=True):
    data: list[CheckpointEntry] | None = None


class MetricRows(Struct, frozen=True, kw_only=True):
    """Flat rows such as {"train/global_step": 7, "train/loss": 0.5}."""

    metrics: list[dict[str, float | None]] | None = None


class SftMethod(Struct, frozen=True, kw_only=True, tag_field="method", tag="sft"):
    train_on_inputs: bool | Literal["auto"]


class DpoMethod(Struct, frozen=True, kw_only=True, tag_field="method", tag="dpo"):
    dpo_beta: float | UnsetType = UNSET
    rpo_alpha: float | UnsetType = UNSET
    simpo_gamma: float | UnsetType = UNSET
    dpo_normalize_logratios_by_length: bool | UnsetType = UNSET
    dpo_reference_free: bool | UnsetType = UNSET


class LoraType(Struct, frozen=True, kw_only=True, tag_field="type", tag="Lora"):
    lora_r: int
    lora_alpha: int
    lora_dropout: float
    lora_trainable_modules: str


class FullType(Struct, frozen=True, kw_only=True, tag_field="type", tag="Full"):
    """Every weight is trained."""


class SchedulerArgs(Struct, frozen=True, kw_only=True):
    min_lr_ratio: float
    num_cycles: float | UnsetType = UNSET


class Scheduler(Struct, frozen=True, kw_only=True):
    lr_scheduler_type: Literal["linear", "cosine"]
    lr_scheduler_args: SchedulerArgs


class CreateJob(Struct, frozen=True, kw_only=True):
    """The body of the create call. training_file, suffix and secrets hold placeholders until it is sent.

    model: gives way to from_checkpoint when the job goes on from another. gradient_accumulation_steps and
    early_stopping_* are newer than the published document, so they are sent when asked for only. wandb_api_key: the
    published name, while the SDK 3.1.1 sends wandb_key; whether both are understood shows in an event `wandb_init`.
    """

    model: str
    training_file: str
    suffix: str
    n_epochs: int
    n_checkpoints: int
    n_evals: int
    batch_size: int | Literal["max"]
    learning_rate: float
    lr_scheduler: Scheduler
    warmup_ratio: float
    max_grad_norm: float
    weight_decay: float
    packing: bool
    max_seq_length: int
    training_method: SftMethod | DpoMethod
    training_type: LoraType | FullType
    validation_file: str | UnsetType = UNSET
    gradient_accumulation_steps: int | UnsetType = UNSET
    random_seed: int | UnsetType = UNSET
    early_stopping_enabled: bool | UnsetType = UNSET
    early_stopping_patience: int | UnsetType = UNSET
    early_stopping_min_delta: float | UnsetType = UNSET
    early_stopping_warmup_evals: int | UnsetType = UNSET
    from_hf_model: str | UnsetType = UNSET
    hf_model_revision: str | UnsetType = UNSET
    wandb_project_name: str | UnsetType = UNSET
    wandb_name: str | UnsetType = UNSET
    wandb_entity: str | UnsetType = UNSET
    wandb_base_url: str | UnsetType = UNSET
    wandb_api_key: str | UnsetType = UNSET
    hf_api_token: str | UnsetType = UNSET
    hf_output_repo_name: str | UnsetType = UNSET
