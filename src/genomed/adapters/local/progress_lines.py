"""What a worker says, line by line: the structs of protocol 1. Fields of newer workers are ignored, not refused."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=0, le=2**53)]
"""What a database and every reader of JSON hold exactly; nothing that is counted here comes near."""
Moment = Annotated[float, Meta(ge=0, le=1e11)]
"""Its microseconds fit a database's number."""


class _Told(Struct, frozen=True, kw_only=True, rename="camel", tag_field="type"):
    """seq: from 1, over the file. at: seconds since 1970."""

    seq: Count
    at: Moment


class Started(_Told, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="started"):
    """resume: it was to go on from a checkpoint."""

    resume: bool = False
    resumed_from_step: Count | None = None
    device: object = None
    precision: str | None = None


class Setting(Struct, frozen=True, kw_only=True):
    """asked, sent: any plain value of the trainer's."""

    field: str
    asked: object = None
    sent: object = None
    note: str | None = None


class Effective(_Told, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="effective"):
    fields: tuple[Setting, ...]


class Phase(_Told, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="phase"):
    phase: str


class Step(_Told, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="step"):
    step: Count
    total_steps: Count | None = None
    epoch: float | None = None
    loss: float | None = None
    learning_rate: float | None = None
    grad_norm: float | None = None
    tokens_seen: Count | None = None
    tokens_per_s: float | None = None
    eta_s: float | None = None
    reward_accuracy: float | None = None
    reward_margin: float | None = None


class Evaluation(_Told, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="evaluation"):
    step: Count
    eval_loss: float | None = None


class CheckpointMade(_Told, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="checkpoint"):
    step: Count
    path: str
    sha256: str
    loss: float | None = None


class CheckpointRejected(_Told, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="checkpoint_rejected"):
    path: str
    reason: str


class Sample(Struct, frozen=True, kw_only=True, rename="camel"):
    id: str
    prompt: str
    expected: str
    answer: str
    exact: bool


class Judged(_Told, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="judged"):
    side: Literal["baseline", "candidate"]
    rows: Count
    loss: float | None = None
    exact_match: float | None = None
    reward_accuracy: float | None = None
    reward_margin: float | None = None
    metrics: dict[str, float] = {}
    samples: tuple[Sample, ...] = ()


class Finished(_Told, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="finished"):
    """format: of the result; null where the method says it (an older worker). facts: what an errand measured."""

    step: Count
    files: dict[str, str]
    total_steps: Count | None = None
    train_loss: float | None = None
    tokens_seen: Count | None = None
    seconds: float | None = None
    peak_memory_bytes: Count | None = None
    layers_adapted: Count | None = None
    trainable_parameters: Count | None = None
    format: Literal["peft_lora", "full_model", "projection"] | None = None
    facts: dict[str, object] = {}


class Noticed(_Told, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="notice"):
    """What a reader of the job's history should know: a fallback that was taken, a wish that had another effect."""

    code: str
    message: str


class Stopped(_Told, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="stopped"):
    reason: Literal["paused", "cancelled"]
    step: Count | None = None
    checkpoint: str | None = None


class Failed(_Told, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="failed"):
    kind: Literal["invalid_request", "unsupported", "capacity", "training_failed"]
    message: str
    remedy: str | None = None


Ending = Finished | Stopped | Failed
ProgressLine = (
    Started | Effective | Phase | Step | Evaluation | CheckpointMade | CheckpointRejected | Judged | Noticed | Ending
)

_decoder: msgspec.json.Decoder[ProgressLine] = msgspec.json.Decoder(ProgressLine)


def read_line(data: bytes) -> ProgressLine:
    """Raises msgspec.MsgspecError for a line of another protocol."""
    return _decoder.decode(data)
