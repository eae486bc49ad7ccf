"""What OpenAI tells of a job, in our words. Pure: the job, its new events and its checkpoints in, a snapshot out.

Knows every status word that is in use, documented or not; one that it does not know is passed on as it is.
"""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from genomed.adapters._hosted_layer import hosted_artifact
from genomed.adapters.openai.cursor import Cursor, cursor_text, digest, remembered
from genomed.adapters.openai.metrics import advanced, points_of, sorted_out
from genomed.adapters.openai.objects import CheckpointObject, EventObject, Hyperparameters, JobObject
from genomed.adapters.openai.settings import NAME
from genomed.entities.errors import ErrorBody, ErrorKind
from genomed.entities.facts import Artifact, EffectiveField, Progress
from genomed.entities.ports import Checkpoint, Notice, Snapshot
from genomed.entities.types import TERMINAL, EventLevel, JobPhase, JobStatus

STATUS_OF_WORD: dict[str, tuple[JobStatus, JobPhase | None]] = {
    "validating_files": (JobStatus.VALIDATING_FILES, None),
    "queued": (JobStatus.QUEUED, JobPhase.SUBMITTED),
    "running": (JobStatus.RUNNING, JobPhase.TRAINING),
    "succeeded": (JobStatus.SUCCEEDED, None),
    "failed": (JobStatus.FAILED, None),
    "cancelled": (JobStatus.CANCELLED, None),
    # documented with /pause and /resume, and absent from the published enumeration
    "pausing": (JobStatus.RUNNING, JobPhase.PAUSING),
    "paused": (JobStatus.PAUSED, JobPhase.PAUSED),
    "resuming": (JobStatus.QUEUED, JobPhase.RESUMING),
    # Azure and LiteLLM
    "created": (JobStatus.QUEUED, JobPhase.SUBMITTED),
    "pending": (JobStatus.QUEUED, JobPhase.SUBMITTED),
    "canceled": (JobStatus.CANCELLED, None),
    "cancelling": (JobStatus.RUNNING, JobPhase.CANCELLING),
    "deleted": (JobStatus.FAILED, None),
}

HYPERPARAMETERS = {
    "schedule.epochs": "n_epochs",
    "schedule.batchSize": "batch_size",
    "metadata.learningRateMultiplier": "learning_rate_multiplier",
    "metadata.beta": "beta",
}

LEVELS = {"warn": EventLevel.WARNING, "warning": EventLevel.WARNING, "error": EventLevel.ERROR}
MOST_TEXT = 1000


def status_of(job: JobObject) -> tuple[JobStatus | None, JobPhase | None]:
    return STATUS_OF_WORD.get((job.status or "").lower(), (None, None))


def snapshot_of(
    job: JobObject,
    *,
    events: Sequence[EventObject],
    checkpoints: Sequence[CheckpointObject],
    cursor: Cursor,
    now_us: int,
    redact: Callable[[str], str],
    labelled: bool,
) -> Snapshot:
    """events, checkpoints: those that the cursor does not know. labelled: whether the job should carry our key."""
    status, phase = status_of(job)
    measured, messages = sorted_out(events)
    made = sorted(checkpoints, key=lambda each: each.step_number)
    effective = _echoed(job)
    notices = [_notice(event, redact) for event in messages]
    if unlabelled := labelled and not cursor.warned and not job.label:
        notices.append(NOT_KEPT)
    newest, told = remembered(cursor, events)
    after = replace(
        advanced(cursor, measured, made),
        newest=newest,
        told=told,
        echoed=_digest_of(effective),
        warned=cursor.warned or unlabelled,
    )
    artifact = _artifact(job, after) if status is JobStatus.SUCCEEDED else None
    if status is JobStatus.SUCCEEDED and artifact is None:
        phase = JobPhase.SAVING
    return Snapshot(
        status=status,
        provider_status=job.status or "",
        phase=phase,
        message=notices[-1].message if notices else None,
        progress=_progress(job, after, now_us) if after.step or job.estimated_finish else None,
        points=points_of(measured, made, cursor),
        notices=tuple(notices),
        checkpoints=tuple(_checkpoint(each) for each in made),
        effective=effective if after.echoed != cursor.echoed else (),
        artifact=artifact,
        error=_error(job, redact) if status is JobStatus.FAILED else None,
        held=status is JobStatus.PAUSED,
        cursor=cursor_text(after),
    )


def gone(provider_job_id: str, cursor: str) -> Snapshot:
    message = f"OpenAI has no job {provider_job_id} (any more)"
    error = ErrorBody(kind=ErrorKind.PROVIDER_REJECTED, message=message, retryable=False, provider=NAME)
    return Snapshot(status=JobStatus.FAILED, provider_status="404", error=error, cursor=cursor)


NOT_KEPT = Notice(
    level=EventLevel.WARNING,
    code="metadata_not_kept",
    message=(
        "the server keeps no metadata, so a job whose reply is lost cannot be found: "
        f"set metadata = false for provider {NAME}"
    ),
)


def _progress(job: JobObject, at: Cursor, now_us: int) -> Progress:
    eta_s = None
    if job.estimated_finish is not None and status_of(job)[0] not in TERMINAL:
        eta_s = max(0.0, job.estimated_finish - now_us / 1e6)
    return Progress(step=at.step, total_steps=at.total_steps, loss=at.loss, eta_s=eta_s)


def _artifact(job: JobObject, at: Cursor) -> Artifact | None:
    """None while the model has no name: then it is not there yet, whatever the status says."""
    if not job.fine_tuned_model:
        return None
    return hosted_artifact(job.fine_tuned_model, tokens_seen=job.trained_tokens, train_loss=at.loss)


def _error(job: JobObject, redact: Callable[[str], str]) -> ErrorBody:
    told = job.error
    code = told.code if told and told.code else "no code"
    message = told.message if told and told.message else "OpenAI does not say why"
    where = f" ({told.param})" if told and told.param else ""
    kind = ErrorKind.PROVIDER_REJECTED if code.startswith("invalid") else ErrorKind.TRAINING_FAILED
    return ErrorBody(kind=kind, message=redact(f"{code}: {message}{where}")[:MOST_TEXT], retryable=False, provider=NAME)


def _notice(event: EventObject, redact: Callable[[str], str]) -> Notice:
    return Notice(
        level=LEVELS.get(event.level, EventLevel.INFO), code="openai_event", message=redact(event.message)[:MOST_TEXT]
    )


def _checkpoint(made: CheckpointObject) -> Checkpoint:
    """Its loss: on all held-out rows, on some of them, or on the training rows, whichever is there first."""
    metrics = made.metrics
    losses = (metrics.full_valid_loss, metrics.valid_loss, metrics.train_loss) if metrics else ()
    loss = next((value for value in losses if value is not None), None)
    return Checkpoint(step=made.step_number, path=made.fine_tuned_model_checkpoint, sha256="", loss=loss)


def _echoed(job: JobObject) -> tuple[EffectiveField, ...]:
    """The settings that OpenAI says it uses: what was left to it is known from here on.

    It tells them in two places, and may say `auto` in one of them.
    """
    own = job.method.settings if job.method else None
    places = [place for place in (own.hyperparameters if own else None, job.hyperparameters) if place is not None]
    values = {path: _first_number(places, name) for path, name in HYPERPARAMETERS.items()}
    return tuple(
        EffectiveField(field=path, sent=value, disposition="defaulted", note="as OpenAI tells it")
        for path, value in {**values, "metadata.seed": job.seed}.items()
        if value is not None
    )


def _first_number(places: Sequence[Hyperparameters], name: str) -> float | None:
    values = (getattr(place, name) for place in places)
    return next((value for value in values if isinstance(value, int | float)), None)


def _digest_of(effective: Sequence[EffectiveField]) -> str:
    return digest(repr([(each.field, each.sent) for each in effective])) if effective else ""
