"""What Fireworks answers, as far as we read it, and how it names things. Pure.

Lenient on purpose: its documentation, its published file and its SDK differ by fields, and an unknown word must not
keep a job from being read.
"""

from typing import TypeVar

import msgspec
from msgspec import Struct

from genomed.adapters._http import HttpReply
from genomed.entities.errors import MalformedResponse

NAME = "fireworks"

SUPERVISED = "supervisedFineTuningJobs"
PREFERENCE = "dpoJobs"
REINFORCEMENT = "reinforcementFineTuningJobs"
COLLECTIONS = (SUPERVISED, PREFERENCE, REINFORCEMENT)
"""Where a job may lie. Each collection has ids of its own."""

NANOS = 1_000_000_000

T = TypeVar("T")


class Status(Struct, frozen=True, kw_only=True):
    """google.rpc's. A message beside the code OK is news, not an error."""

    code: str | int | None = None
    message: str = ""

    @property
    def is_error(self) -> bool:
        return self.code not in {None, "", "OK", 0}


class Money(Struct, frozen=True, kw_only=True, rename="camel"):
    """units: whole ones, an int64 and therefore text."""

    currency_code: str = ""
    units: int = 0
    nanos: int = 0

    @property
    def usd(self) -> float | None:
        """Null for another currency: converting it is nobody's business here."""
        return round(self.units + self.nanos / NANOS, 9) if self.currency_code == "USD" else None


class JobProgress(Struct, frozen=True, kw_only=True, rename="camel"):
    percent: float | None = None
    epoch: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


class Training(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a supervised job says of itself, and the others in their trainingConfig."""

    base_model: str | None = None
    warm_start_from: str | None = None
    output_model: str | None = None
    epochs: int | None = None
    learning_rate: float | None = None
    lora_rank: int | None = None
    max_context_length: int | None = None
    batch_size_samples: int | None = None
    learning_rate_warmup_steps: int | None = None
    optimizer_weight_decay: float | None = None


class Job(Training, frozen=True, kw_only=True, rename="camel"):
    """A job of any of the three collections."""

    name: str = ""
    state: str | int | None = None
    status: Status | None = None
    dataset: str | None = None
    job_progress: JobProgress | None = None
    estimated_cost: Money | None = None
    metrics_file_signed_url: str | None = None
    trainer_logs_signed_url: str | None = None
    training_config: Training | None = None

    @property
    def training(self) -> Training:
        return self.training_config or self


class Dataset(Struct, frozen=True, kw_only=True, rename="camel"):
    name: str = ""
    state: str | int | None = None
    status: Status | None = None
    example_count: int | None = None


class PeftDetails(Struct, frozen=True, kw_only=True, rename="camel"):
    base_model: str | None = None
    r: int | None = None


class Model(Struct, frozen=True, kw_only=True, rename="camel"):
    """tunable, supports_lora: null where it does not say."""

    name: str = ""
    state: str | int | None = None
    tunable: bool | None = None
    supports_lora: bool | None = None
    context_length: int | None = None
    training_context_length: int | None = None
    peft_details: PeftDetails | None = None


class Models(Struct, frozen=True, kw_only=True, rename="camel"):
    models: tuple[Model, ...] = ()
    next_page_token: str = ""


class SignedUrls(Struct, frozen=True, kw_only=True, rename="camel"):
    filename_to_signed_urls: dict[str, str] = {}


class MetricsFile(Struct, frozen=True, kw_only=True, rename="camel"):
    signed_url: str = ""


class CostEstimate(Struct, frozen=True, kw_only=True, rename="camel"):
    estimated_cost: Money | None = None


class Deployment(Struct, frozen=True, kw_only=True, rename="camel"):
    name: str = ""
    base_model: str = ""
    state: str | int | None = None
    status: Status | None = None


class DeployedModel(Struct, frozen=True, kw_only=True, rename="camel"):
    name: str = ""
    model: str = ""
    deployment: str = ""
    state: str | int | None = None
    status: Status | None = None


class DeployedModels(Struct, frozen=True, kw_only=True, rename="camel"):
    deployed_models: tuple[DeployedModel, ...] = ()
    next_page_token: str = ""


class Turn(Struct, frozen=True, kw_only=True):
    content: str | None = None


class Choice(Struct, frozen=True, kw_only=True):
    message: Turn


class Usage(Struct, frozen=True, kw_only=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Completion(Struct, frozen=True, kw_only=True):
    choices: tuple[Choice, ...]
    usage: Usage | None = None


def read(reply: HttpReply, wanted: type[T]) -> T:
    """Numbers that come as text are read as numbers. Raises MalformedResponse when it is something else."""
    try:
        return msgspec.json.decode(reply.body or b"{}", type=wanted, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        message = f"{NAME} answered {reply.status} with something we cannot read: {wrong}"
        raise MalformedResponse(message, provider=NAME) from wrong


def word_of(state: str | int | None) -> str:
    """`JOB_STATE_RUNNING`, `running`, `JobState.JOB_STATE_RUNNING` are one word; a bare number stays a number."""
    return str(state if state is not None else "").rsplit(".", 1)[-1].upper().removeprefix("JOB_STATE_")


def resource(account: str, collection: str, identity: str) -> str:
    return f"accounts/{account}/{collection}/{identity}"


def identity_of(name: str) -> str:
    """The last part of a resource name."""
    return name.rsplit("/", 1)[-1]


def same(one: str | None, other: str | None) -> bool:
    """Whether two names mean one thing: in full, or the bare id as one of them may be given."""
    if not one or not other:
        return False
    return one == other or (("/" in one) != ("/" in other) and identity_of(one) == identity_of(other))
