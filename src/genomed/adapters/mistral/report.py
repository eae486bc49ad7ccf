"""What one of Mistral's jobs looks like in our words. Pure, so that a lost answer can be told again.

Knows all ten of their status words. Their checkpoints are measurements: nothing can go on from one, so they are told as
points. The cursor holds what was told: the last step, and the events by their hash, since they carry no id and no
promised order.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256

import msgspec
from msgspec import Struct

from genomed.adapters._hosted_layer import hosted_artifact
from genomed.adapters.mistral.objects import Event, MistralJob, TrainingCheckpoint
from genomed.adapters.mistral.settings import NAME
from genomed.entities.errors import ErrorBody, ErrorKind
from genomed.entities.facts import Artifact, EffectiveField, Progress
from genomed.entities.ports import MetricPoint, Notice, Snapshot
from genomed.entities.types import EventLevel, JobPhase, JobStatus

VALIDATED = "VALIDATED"
SUCCESS = "SUCCESS"

STATUS_OF_WORD: dict[str, tuple[JobStatus, JobPhase | None]] = {
    "QUEUED": (JobStatus.QUEUED, JobPhase.SUBMITTED),
    "VALIDATING": (JobStatus.VALIDATING_FILES, JobPhase.SUBMITTED),
    VALIDATED: (JobStatus.QUEUED, JobPhase.AWAITING_START),
    "STARTED": (JobStatus.RUNNING, JobPhase.LOADING),
    "RUNNING": (JobStatus.RUNNING, JobPhase.TRAINING),
    "CANCELLATION_REQUESTED": (JobStatus.RUNNING, JobPhase.CANCELLING),
    SUCCESS: (JobStatus.SUCCEEDED, None),
    "FAILED": (JobStatus.FAILED, None),
    "FAILED_VALIDATION": (JobStatus.FAILED, None),
    "CANCELLED": (JobStatus.CANCELLED, None),
}

LONGEST_TEXT = 500


class Told(Struct, frozen=True, kw_only=True):
    """The cursor. began: whether what is said once was said. paid: whether the price in another currency was."""

    began: bool = False
    step: int = -1
    events: tuple[str, ...] = ()
    paid: bool = False


def status_of(job: MistralJob) -> tuple[JobStatus | None, JobPhase | None]:
    if job.status == VALIDATED and job.auto_start:
        return JobStatus.QUEUED, JobPhase.SUBMITTED  # somebody else's setting, but then nobody waits for us
    return STATUS_OF_WORD.get(job.status, (None, None))


def snapshot_of(job: MistralJob, *, cursor: str, redact: Callable[[str], str]) -> Snapshot:
    """What happened after the cursor."""
    told = msgspec.json.decode(cursor, type=Told) if cursor else Told()
    status, phase = status_of(job)
    steps = {one.step_number: one for one in job.checkpoints if one.step_number > told.step}
    fresh = [steps[number] for number in sorted(steps)]
    events = _by_digest(job.events)
    unheard = {digest: event for digest, event in events.items() if digest not in told.events}
    foreign = _foreign_cost(job) if not told.paid else None
    after = Told(
        began=True,
        step=max(steps, default=told.step),
        events=(*told.events, *unheard),
        paid=told.paid or foreign is not None,
    )
    return Snapshot(
        status=status,
        provider_status=job.status,
        phase=phase,
        message=_reason(job, redact),
        progress=_progress(job),
        points=tuple(point for checkpoint in fresh for point in _points(checkpoint)),
        notices=(*(_notice(event, redact) for event in unheard.values()), *filter(None, (foreign,))),
        effective=() if told.began else tuple(_echoed(job)),
        artifact=_artifact(job),
        error=_error(job, redact) if status is JobStatus.FAILED else None,
        cost_usd=_cost_usd(job),
        cursor=msgspec.json.encode(after).decode(),
    )


def _points(checkpoint: TrainingCheckpoint) -> Iterator[MetricPoint]:
    """A number nobody measured gives no point."""
    measured = {
        "loss": checkpoint.metrics.train_loss,
        "val_loss": checkpoint.metrics.valid_loss,
        "val_accuracy": checkpoint.metrics.valid_mean_token_accuracy,
    }
    for name, value in measured.items():
        if value is not None:
            at_us = checkpoint.created_at * 1_000_000
            yield MetricPoint(name=name, step=checkpoint.step_number, value=value, at_us=at_us)


def _progress(job: MistralJob) -> Progress | None:
    if not job.checkpoints:
        return None
    last = max(job.checkpoints, key=lambda checkpoint: checkpoint.step_number)
    total = job.hyperparameters.training_steps
    return Progress(step=last.step_number, total_steps=total, loss=last.metrics.train_loss)


def _artifact(job: MistralJob) -> Artifact | None:
    """None while the model's name is not there: then it is asked again."""
    if job.status != SUCCESS or not job.fine_tuned_model:
        return None
    last = max(job.checkpoints, key=lambda checkpoint: checkpoint.step_number, default=None)
    loss = None if last is None else last.metrics.train_loss
    return hosted_artifact(job.fine_tuned_model, tokens_seen=job.trained_tokens, train_loss=loss)


def _echoed(job: MistralJob) -> Iterator[EffectiveField]:
    """The hyperparameters as Mistral says that it took them."""
    echo = job.hyperparameters
    values: dict[str, float | None] = {
        "schedule.epochs": echo.epochs,
        "schedule.sequenceLength": echo.seq_len,
        "optimizer.learningRate": echo.learning_rate,
        "optimizer.weightDecay": echo.weight_decay,
        "optimizer.scheduler.warmupRatio": echo.warmup_fraction,
        "metadata.fimRatio": echo.fim_ratio,
    }
    for path, value in values.items():
        if value is not None:
            yield EffectiveField(field=path, sent=value, note="as Mistral echoes it")


def _cost_usd(job: MistralJob) -> float | None:
    """Their number is the whole job's, so that it says nothing of one that did not come to its end."""
    paid = job.metadata
    return paid.cost if job.status == SUCCESS and paid is not None and paid.cost_currency == "USD" else None


def _foreign_cost(job: MistralJob) -> Notice | None:
    paid = job.metadata
    if job.status != SUCCESS or paid is None or paid.cost is None or paid.cost_currency == "USD":
        return None
    message = f"Mistral says that it cost {paid.cost:g} {paid.cost_currency or '(no currency given)'}"
    return Notice(level=EventLevel.INFO, code="cost", message=message)


def _notice(event: Event, redact: Callable[[str], str]) -> Notice:
    data = {name: value for name, value in (event.data or {}).items() if value is not None}
    told = ", ".join(f"{name}={value}" for name, value in data.items())
    troubled = "error" in data
    return Notice(
        level=EventLevel.WARNING if troubled else EventLevel.INFO,
        code="provider_event",
        message=redact(f"{event.name}: {told}" if told else event.name)[:LONGEST_TEXT],
    )


def _error(job: MistralJob, redact: Callable[[str], str]) -> ErrorBody:
    """A job whose files are bad was refused; one that failed later was tried."""
    refused = job.status == "FAILED_VALIDATION"
    return ErrorBody(
        kind=ErrorKind.PROVIDER_REJECTED if refused else ErrorKind.TRAINING_FAILED,
        message=_reason(job, redact) or f"Mistral says {job.status}, and no reason",
        retryable=False,
        provider=NAME,
    )


def _reason(job: MistralJob, redact: Callable[[str], str]) -> str | None:
    """The last error that its events tell."""
    for event in sorted(job.events, key=lambda event: event.created_at, reverse=True):
        told = (event.data or {}).get("error")
        if told:
            return redact(f"{job.status}: {told}")[:LONGEST_TEXT]
    return None


def _by_digest(events: Iterable[Event]) -> dict[str, Event]:
    """Oldest first. Two that are alike in every word, within one second, are two all the same."""
    found: dict[str, Event] = {}
    seen: Counter[bytes] = Counter()
    for event in sorted(events, key=lambda event: event.created_at):
        written = msgspec.json.encode(event, order="sorted")
        seen[written] += 1
        found[sha256(b"%d %s" % (seen[written], written)).hexdigest()[:16]] = event
    return found
