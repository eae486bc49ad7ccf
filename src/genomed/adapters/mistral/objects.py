"""Mistral's fine-tuning API as data: the parts of its answers that we read.

Shapes: openapi.yaml of mistralai/platform-docs-public at 222f4ba (Aug 2026), where this API is a legacy contract. Keys
and words that it does not name are let pass: an answer is for reading, not for judging.
"""

from msgspec import Struct, field


class Event(Struct, frozen=True, kw_only=True):
    """One change of a job. created_at: Unix seconds."""

    name: str
    created_at: int
    data: dict[str, object] | None = None


class Metrics(Struct, frozen=True, kw_only=True):
    train_loss: float | None = None
    valid_loss: float | None = None
    valid_mean_token_accuracy: float | None = None


class TrainingCheckpoint(Struct, frozen=True, kw_only=True):
    metrics: Metrics
    step_number: int
    created_at: int


class Hyperparameters(Struct, frozen=True, kw_only=True):
    """As they echo them."""

    training_steps: int | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    warmup_fraction: float | None = None
    epochs: float | None = None
    seq_len: int | None = None
    fim_ratio: float | None = None


class JobCost(Struct, frozen=True, kw_only=True):
    cost: float | None = None
    cost_currency: str | None = None
    expected_duration_seconds: float | None = None
    train_tokens: int | None = None


class MistralJob(Struct, frozen=True, kw_only=True):
    """status is any word: one that we do not know is no reason to drop the rest. events, checkpoints: not in lists."""

    id: str
    status: str
    auto_start: bool = True
    model: str = ""
    suffix: str | None = None
    created_at: int = 0
    fine_tuned_model: str | None = None
    trained_tokens: int | None = None
    metadata: JobCost | None = None
    hyperparameters: Hyperparameters = Hyperparameters()
    events: tuple[Event, ...] = ()
    checkpoints: tuple[TrainingCheckpoint, ...] = ()


class JobPage(Struct, frozen=True, kw_only=True):
    total: int
    data: tuple[MistralJob, ...] = ()


class MistralFile(Struct, frozen=True, kw_only=True):
    """size_bytes: `bytes` in their words."""

    id: str
    filename: str = ""
    size_bytes: int = field(name="bytes", default=-1)
    purpose: str = ""
    deleted: bool = False


class FilePage(Struct, frozen=True, kw_only=True):
    data: tuple[MistralFile, ...] = ()
    total: int | None = None


class ModelCapabilities(Struct, frozen=True, kw_only=True):
    fine_tuning: bool = False


class ModelCard(Struct, frozen=True, kw_only=True):
    id: str
    capabilities: ModelCapabilities = ModelCapabilities()
    aliases: tuple[str, ...] = ()


class ModelPage(Struct, frozen=True, kw_only=True):
    data: tuple[ModelCard, ...] = ()


class DryRun(Struct, frozen=True, kw_only=True):
    """The answer to a create call with `dry_run`. id: there only when a job was made in spite of it."""

    cost: float | None = None
    cost_currency: str | None = None
    expected_duration_seconds: float | None = None
    train_tokens: int | None = None
    id: str | None = None
