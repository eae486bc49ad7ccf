"""What a job of Fireworks looks like in our words. Pure: the same answer makes the same snapshot.

Knows its states, its errors and its money; how metrics and logs are fetched is `files`'s business.
"""

from collections.abc import Callable

import msgspec
from msgspec import Struct

from genomed.adapters.fireworks.states import GONE, spelled, status_of
from genomed.adapters.fireworks.wire import NAME, Job, Status, identity_of, resource, word_of
from genomed.entities.errors import ErrorBody, ErrorKind
from genomed.entities.facts import Artifact, EffectiveField, Progress
from genomed.entities.ports import MetricPoint, Notice, Snapshot
from genomed.entities.types import EventLevel

KIND_OF_CODE = {
    "INVALID_ARGUMENT": ErrorKind.PROVIDER_REJECTED,
    "FAILED_PRECONDITION": ErrorKind.PROVIDER_REJECTED,
    "OUT_OF_RANGE": ErrorKind.PROVIDER_REJECTED,
    "NOT_FOUND": ErrorKind.PROVIDER_REJECTED,
    "UNIMPLEMENTED": ErrorKind.UNSUPPORTED,
    "RESOURCE_EXHAUSTED": ErrorKind.CAPACITY,
    "PERMISSION_DENIED": ErrorKind.FORBIDDEN,
    "UNAUTHENTICATED": ErrorKind.MISSING_CREDENTIALS,
}
"""Google's codes; any other ended a training that had begun."""

ECHOED = {
    "model.baseModel": "base_model",
    "schedule.epochs": "epochs",
    "optimizer.learningRate": "learning_rate",
    "method.loraConfig.rank": "lora_rank",
    "schedule.sequenceLength": "max_context_length",
    "schedule.batchSize": "batch_size_samples",
    "optimizer.weightDecay": "optimizer_weight_decay",
}

FLOAT_DIGITS = 7
"""Its floats have 32 bits: 2e-5 comes back as 1.9999999494757503e-05."""

WHOLE_PERCENT = 100


class Cursor(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a job was told: bytes of its two files, and the word that was told last."""

    metrics: int = 0
    logs: int = 0
    word: str = ""


class Told(Struct, frozen=True, kw_only=True):
    """What the job's files said since the cursor."""

    cursor: Cursor
    points: tuple[MetricPoint, ...] = ()
    notices: tuple[Notice, ...] = ()


def cursor_from(text: str) -> Cursor:
    return msgspec.json.decode(text, type=Cursor) if text else Cursor()


def snapshot_of(job: Job, *, account: str, told: Told, before: Cursor, redact: Callable[[str], str]) -> Snapshot:
    status, phase = status_of(job.state)
    word = word_of(job.state)
    changed = word != before.word
    cursor = msgspec.structs.replace(told.cursor, word=word)
    return Snapshot(
        status=status,
        provider_status=spelled(job.state),
        phase=phase,
        message=redact(job.status.message) if job.status is not None and job.status.message else None,
        progress=_progress(job, told.points),
        points=told.points,
        notices=(*told.notices, *(_notices(job, word) if changed else ())),
        effective=_echo(job) if not before.word else (),
        artifact=_artifact(job, account) if word in {"COMPLETED", "EARLY_STOPPED"} else None,
        error=_error(job, word, redact),
        held=word == "PAUSED",
        cost_usd=job.estimated_cost.usd if word == "COMPLETED" and job.estimated_cost is not None else None,
        cursor=msgspec.json.encode(cursor).decode(),
    )


def vanished(name: str, cursor: str) -> Snapshot:
    """Its address leads nowhere."""
    error = ErrorBody(
        kind=ErrorKind.PROVIDER_REJECTED,
        message=f"Fireworks has no job {name} any more",
        retryable=False,
        provider=NAME,
    )
    failed, _ = status_of("DELETED")
    return Snapshot(status=failed, provider_status="404", error=error, cursor=cursor)


def _progress(job: Job, points: tuple[MetricPoint, ...]) -> Progress | None:
    """Percent as steps of a hundred; loss and rate as far as this look brought them."""
    there = job.job_progress
    if there is None or there.percent is None:
        return None
    latest = {point.name: point.value for point in points}
    return Progress(
        step=int(there.percent),
        total_steps=WHOLE_PERCENT,
        epoch=there.epoch,
        loss=latest.get("loss"),
        learning_rate=latest.get("learning_rate"),
    )


def _notices(job: Job, word: str) -> tuple[Notice, ...]:
    """What a new word has to say beside itself."""
    if word == "EARLY_STOPPED":
        message = "Fireworks stopped early, because the evaluation loss no longer fell; the result counts"
        return (Notice(level=EventLevel.INFO, code="early_stopped", message=message),)
    if word == "COMPLETED" and job.estimated_cost is not None:
        usd = job.estimated_cost.usd
        named = (
            f"{usd:g} USD" if usd is not None else f"an amount in {job.estimated_cost.currency_code or 'no currency'}"
        )
        message = f"Fireworks names {named} as its estimate for this job; its bill decides"
        return (Notice(level=EventLevel.INFO, code="estimated_cost", message=message),)
    if word == "PAUSED":
        message = "Fireworks paused the job: by its own doing, or because the account is suspended"
        return (Notice(level=EventLevel.WARNING, code="paused_by_provider", message=message),)
    return ()


def _echo(job: Job) -> tuple[EffectiveField, ...]:
    """What Fireworks says that it uses."""
    training = job.training
    given = {path: getattr(training, name) for path, name in ECHOED.items()}
    return tuple(
        EffectiveField(field=path, sent=_short(value), note="as Fireworks says it back")
        for path, value in given.items()
        if value is not None
    )


def _short(value: str | float) -> str | int | float:
    return float(f"{value:.{FLOAT_DIGITS}g}") if isinstance(value, float) else value


def _artifact(job: Job, account: str) -> Artifact | None:
    """Only with the model's name: success without it is looked at again."""
    model = job.training.output_model
    if not model:
        return None
    location = model if "/" in model else resource(account, "models", identity_of(model))
    return Artifact(format="peft_lora", location=location)


def _error(job: Job, word: str, redact: Callable[[str], str]) -> ErrorBody | None:
    if word in GONE:
        message, kind = f"Fireworks has the job no more: {spelled(job.state)}", ErrorKind.PROVIDER_REJECTED
    elif word in {"FAILED", "EXPIRED"}:
        message, kind = _reason(job.status, word), _kind(job.status)
    else:
        return None
    return ErrorBody(kind=kind, message=redact(message), retryable=False, provider=NAME)


def _reason(status: Status | None, word: str) -> str:
    if status is not None and status.message:
        return status.message
    code = f", {status.code}" if status is not None and status.is_error else ""
    return f"Fireworks says {word}{code}, and no reason"


def _kind(status: Status | None) -> ErrorKind:
    code = "" if status is None else str(status.code)
    return KIND_OF_CODE.get(code, ErrorKind.TRAINING_FAILED)
