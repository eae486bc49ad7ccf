"""A job of Together's in our words: status, progress, points, notices, checkpoints, cost, result. Pure.

Knows their status words (published document, SDK 3.1.1) and what their numbers count. A word it does not know leaves
the status open.
"""

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from genomed.adapters.together.asking import NAME
from genomed.adapters.together.cursor import (
    Cursor,
    fresh_checkpoints,
    fresh_events,
    fresh_points,
    kind_of,
    written,
)
from genomed.adapters.together.wire import NANODOLLARS, CheckpointEntry, JobEntry, JobEvent
from genomed.entities.errors import ErrorBody, ErrorKind
from genomed.entities.facts import Artifact, EffectiveField, Progress
from genomed.entities.ports import Checkpoint, MetricPoint, Notice, Snapshot
from genomed.entities.types import TERMINAL, EventLevel, JobPhase, JobStatus

SCHEME = "together://"

STATUS_OF_WORD: dict[str, tuple[JobStatus, JobPhase | None]] = {
    "pending": (JobStatus.QUEUED, None),
    "queued": (JobStatus.QUEUED, None),
    "running": (JobStatus.RUNNING, JobPhase.TRAINING),
    "compressing": (JobStatus.RUNNING, JobPhase.SAVING),
    "uploading": (JobStatus.RUNNING, JobPhase.SAVING),
    "cancel_requested": (JobStatus.RUNNING, JobPhase.CANCELLING),
    "cancelled": (JobStatus.CANCELLED, None),
    "error": (JobStatus.FAILED, None),
    "user_error": (JobStatus.FAILED, None),
    "completed": (JobStatus.SUCCEEDED, None),
}

SERIES = {
    "train/loss": "loss",
    "train/learning_rate": "learning_rate",
    "train/grad_norm": "grad_norm",
    "train/accuracy": "accuracy",
    "eval/loss": "val_loss",
    "eval/accuracy": "val_accuracy",
}
"""Their names -> ours; others keep theirs."""

STEP = "train/global_step"
NOT_MEASURED = ("timestamp", "step", "global_step", "epoch")
"""Columns that say when, not how well (SDK 3.1.1, plot_finetune_metrics)."""

LONGEST_NOTICE = 500


class Told(Struct, frozen=True, kw_only=True):
    """What one poll was told. rows: metrics from the cursor's step on. redact: takes secrets out of their texts."""

    job: JobEntry
    events: Sequence[JobEvent]
    checkpoints: Sequence[CheckpointEntry]
    rows: Sequence[dict[str, float | None]]
    at_us: int
    redact: Callable[[str], str]


def snapshot_of(told: Told, cursor: Cursor) -> Snapshot:
    """Everything since the cursor."""
    job = told.job
    status, phase = STATUS_OF_WORD.get(job.status, (None, None))
    fresh = fresh_events(cursor, told.events)
    points, moved = fresh_points(fresh.cursor, _points(told.rows))
    names = checkpoint_names(job.id, told.checkpoints)
    saved, moved = fresh_checkpoints(moved, names.items())
    losses = [value for name, _, value in points if name == "loss"]
    moved = replace(moved, loss=losses[-1] if losses else moved.loss)
    echo = () if moved.echoed or status in {None, JobStatus.QUEUED} else _echo(job)
    moved = replace(moved, echoed=moved.echoed or bool(echo))
    return Snapshot(
        status=status,
        provider_status=job.status,
        phase=phase,
        message=_message(job, status),
        progress=_progress(told, moved, points),
        points=tuple(MetricPoint(name=name, step=step, value=value, at_us=told.at_us) for name, step, value in points),
        notices=tuple(_notice(event, told.redact) for event in fresh.events),
        checkpoints=tuple(Checkpoint(step=names[name].step, path=name, sha256="") for name in saved),
        effective=echo,
        artifact=artifact_of(job, loss=moved.loss) if status is JobStatus.SUCCEEDED else None,
        error=_error(told) if status is JobStatus.FAILED else None,
        cost_usd=_cost(job, status),
        cursor=written(moved),
    )


def gone(provider_job_id: str, cursor: str) -> Snapshot:
    message = f"together has no job {provider_job_id} any more"
    error = ErrorBody(kind=ErrorKind.PROVIDER_REJECTED, message=message, retryable=False, provider=NAME)
    return Snapshot(status=JobStatus.FAILED, provider_status="404", error=error, cursor=cursor)


def artifact_of(job: JobEntry, *, loss: float | None) -> Artifact | None:
    """Null until the result has its name: without it there is nothing to fetch."""
    if not (job.model_output_name or job.model_output_path):
        return None
    full = job.training_type is not None and (job.training_type.type or "").lower() == "full"
    return Artifact(
        format="full_model" if full else "peft_lora",
        location=f"{SCHEME}{job.id}",
        train_loss=loss,
        tokens_seen=None if job.token_count is None else int(job.token_count),
    )


def job_of(location: str) -> str | None:
    """The job behind an artifact's location; null where another provider made it."""
    return location.removeprefix(SCHEME) if location.startswith(SCHEME) else None


def checkpoint_names(job_id: str, listed: Sequence[CheckpointEntry]) -> dict[str, CheckpointEntry]:
    """By the name that goes on from it, in order of steps: `JOB:STEP`, the final one `JOB` (SDK, list_checkpoints)."""
    in_order = sorted(listed, key=lambda entry: entry.step)
    return {
        f"{job_id}:{entry.step}" if "intermediate" in entry.checkpoint_type.lower() else job_id: entry
        for entry in in_order
    }


def _points(rows: Sequence[dict[str, float | None]]) -> Iterator[tuple[str, int, float]]:
    for row in rows:
        step = row.get(STEP)
        if step is None:
            continue
        for name, value in row.items():
            column = name.rsplit("/", 1)[-1]
            if value is None or column in NOT_MEASURED or column.endswith(("_step", "_epoch")):
                continue
            yield SERIES.get(name, name), int(step), value


def _progress(told: Told, cursor: Cursor, points: Sequence[tuple[str, int, float]]) -> Progress | None:
    """Null while nobody has measured a step."""
    steps = [*cursor.steps.values(), *(event.step for event in told.events if event.step)]
    totals = [event.total_steps for event in told.events if event.total_steps]
    if not steps:
        return None
    last = {name: value for name, _, value in points}
    left = told.job.progress
    return Progress(
        step=max(steps),
        total_steps=max(totals, default=None),
        epoch=told.job.epochs_completed,
        loss=last.get("loss"),
        learning_rate=last.get("learning_rate"),
        eta_s=left.seconds_remaining if left is not None and left.estimate_available else None,
    )


def _message(job: JobEntry, status: JobStatus | None) -> str | None:
    if status is JobStatus.QUEUED and job.queue_depth:
        return f"{job.queue_depth} jobs are ahead in together's queue"
    if status is JobStatus.SUCCEEDED and job.early_stopped:
        best = job.early_stopping_best_step
        return "stopped early: the validation loss no longer improved" + ("" if best is None else f" after step {best}")
    if status is JobStatus.SUCCEEDED and artifact_of(job, loss=None) is None:
        return "completed, and the result has no name yet"
    return None


def _notice(event: JobEvent, redact: Callable[[str], str]) -> Notice:
    kind = kind_of(event)
    return Notice(level=_level(event, kind), code=kind, message=redact(event.message or kind)[:LONGEST_NOTICE])


def _level(event: JobEvent, kind: str) -> EventLevel:
    """Levels are `info`, `Info` or `legacy_iinfo`, by the age of what wrote them."""
    word = (event.level or "").lower()
    if word.endswith("error"):
        return EventLevel.ERROR
    troubling = kind in {"warning", "billing_limit", "job_restarted"}
    return EventLevel.WARNING if troubling or word.endswith("warning") else EventLevel.INFO


def _error(told: Told) -> ErrorBody:
    """In the words of the last event that tells of an error."""
    reasons = [
        event.message
        for event in sorted(told.events, key=lambda event: event.created_at or "")
        if event.message and _level(event, kind_of(event)) is EventLevel.ERROR
    ]
    reason = reasons[-1] if reasons else f"the job ended as {told.job.status}, without a reason"
    user = told.job.status == "user_error"
    return ErrorBody(
        kind=ErrorKind.PROVIDER_REJECTED if user else ErrorKind.TRAINING_FAILED,
        message=told.redact(f"together: {reason}")[:LONGEST_NOTICE],
        retryable=False,
        provider=NAME,
    )


def _cost(job: JobEntry, status: JobStatus | None) -> float | None:
    """A zero says nothing until the job has ended."""
    if job.total_price is None or (not job.total_price and status not in TERMINAL):
        return None
    return job.total_price / NANODOLLARS


def _echo(job: JobEntry) -> tuple[EffectiveField, ...]:
    """The settings as they say them back; most of all what `max` came to."""
    said = {
        "schedule.epochs": job.n_epochs,
        "schedule.batchSize": job.batch_size,
        "schedule.checkpoints": job.n_checkpoints,
        "schedule.evaluations": job.n_evals,
        "schedule.sequenceLength": job.max_seq_length,
        "optimizer.learningRate": job.learning_rate,
        "optimizer.weightDecay": job.weight_decay,
        "optimizer.maxGradientNorm": job.max_grad_norm,
        "optimizer.scheduler.warmupRatio": job.warmup_ratio,
    }
    note = "as together says it back"
    echoed = [
        EffectiveField(field=path, sent=value, disposition="sent", note=note)
        for path, value in said.items()
        if value is not None
    ]
    if job.from_checkpoint:
        note = "it goes on from that checkpoint instead, with its schedule begun anew"
        origin = EffectiveField(field="model.baseModel", sent=job.from_checkpoint, disposition="adjusted", note=note)
        echoed.append(origin)
    return tuple(echoed)
