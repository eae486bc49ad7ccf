"""What OpenAI-shaped servers answer, as far as we read it. Tolerant: a server may leave out what is optional to us.

Status words stay text: new ones appear without notice, and the published enumerations lack some that are in use.
"""

import msgspec
from msgspec import Struct

LABEL = "genome_job"
"""The metadata key that holds our submission key."""


class JobTrouble(Struct, frozen=True):
    """Empty, not null, while there is none."""

    code: str | None = None
    message: str | None = None
    param: str | None = None


class Hyperparameters(Struct, frozen=True):
    n_epochs: int | str | None = None
    batch_size: int | str | None = None
    learning_rate_multiplier: float | str | None = None
    beta: float | str | None = None


class MethodSettings(Struct, frozen=True):
    hyperparameters: Hyperparameters | None = None


class JobMethod(Struct, frozen=True):
    type: str | None = None
    supervised: MethodSettings | None = None
    dpo: MethodSettings | None = None
    reinforcement: MethodSettings | None = None

    @property
    def settings(self) -> MethodSettings | None:
        return self.supervised or self.dpo or self.reinforcement


class JobObject(Struct, frozen=True):
    id: str
    status: str | None = None
    created_at: float = 0
    model: str | None = None
    fine_tuned_model: str | None = None
    error: JobTrouble | None = None
    trained_tokens: int | None = None
    estimated_finish: float | None = None
    metadata: dict[str, object] | None = None
    hyperparameters: Hyperparameters | None = None
    method: JobMethod | None = None
    seed: int | None = None

    @property
    def label(self) -> object:
        return (self.metadata or {}).get(LABEL)


class EventObject(Struct, frozen=True):
    """data: for type `metrics`, the measured values by name."""

    id: str
    created_at: float = 0
    level: str = "info"
    message: str = ""
    type: str | None = None
    data: object = None


class CheckpointMetrics(Struct, frozen=True):
    train_loss: float | None = None
    train_mean_token_accuracy: float | None = None
    valid_loss: float | None = None
    valid_mean_token_accuracy: float | None = None
    full_valid_loss: float | None = None
    full_valid_mean_token_accuracy: float | None = None


class CheckpointObject(Struct, frozen=True):
    id: str
    step_number: int
    fine_tuned_model_checkpoint: str
    created_at: float = 0
    metrics: CheckpointMetrics | None = None


class FileObject(Struct, frozen=True):
    """status is marked as deprecated, and a server may stop telling it: then the file counts as ready."""

    id: str
    filename: str = ""
    bytes: int = -1
    created_at: float = 0
    expires_at: float | None = None
    status: str | None = None
    status_details: str | None = None


class UploadObject(Struct, frozen=True):
    id: str
    status: str | None = None
    file: FileObject | None = None


class PartObject(Struct, frozen=True):
    id: str


class ModelObject(Struct, frozen=True):
    """shutdown_date: an ISO day, once it is announced."""

    id: str
    shutdown_date: str | None = None


class DeletedObject(Struct, frozen=True):
    deleted: bool = True


class ChatMessage(Struct, frozen=True):
    content: str | None = None


class ChatChoice(Struct, frozen=True):
    message: ChatMessage


class ChatUsage(Struct, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class ChatAnswer(Struct, frozen=True):
    choices: list[ChatChoice]
    usage: ChatUsage | None = None


class Page(Struct, frozen=True):
    """One page of a list; what its items are is known to whoever asked."""

    data: list[msgspec.Raw]
    has_more: bool | None = None
