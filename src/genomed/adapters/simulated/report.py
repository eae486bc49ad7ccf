"""What the simulated remote's job looks like in our words. Pure, so a lost answer can be told again.

Knows the remote's status words; knows nothing of files or wires.
"""

from hashlib import sha256

from genomed.adapters.simulated.remote import Order, RemoteJob, loss_at
from genomed.entities.errors import ErrorBody, ErrorKind
from genomed.entities.facts import Artifact, Judgement, Progress
from genomed.entities.ports import Checkpoint, MetricPoint, Notice, Snapshot
from genomed.entities.types import EventLevel, JobPhase, JobStatus, RowKind

WARNING = Notice(level=EventLevel.WARNING, code="simulated", message="simulated: nothing of this job was measured")

STATUS_OF_WORD = {
    "TRAINING": (JobStatus.RUNNING, JobPhase.TRAINING),
    "DONE": (JobStatus.SUCCEEDED, None),
    "BROKEN": (JobStatus.FAILED, None),
    "STOPPED": (JobStatus.CANCELLED, None),
    "HELD": (JobStatus.PAUSED, JobPhase.PAUSED),
    "VANISHED": (JobStatus.RUNNING, JobPhase.TRAINING),
}


def snapshot_of(job: RemoteJob, *, cursor: str, at_us: int) -> Snapshot:
    """What happened after the cursor, which is the last step told."""
    told = int(cursor) if cursor else job.first_step
    status, phase = STATUS_OF_WORD.get(job.word, (None, None))
    knobs, total = job.order.simulation, job.order.simulation.steps
    fresh = range(told + 1, job.step + 1)
    return Snapshot(
        status=status,
        provider_status=job.word,
        phase=phase,
        progress=Progress(step=job.step, total_steps=total, loss=loss_at(knobs, job.step)) if fresh else None,
        points=tuple(MetricPoint(name="loss", step=at, value=loss_at(knobs, at), at_us=at_us) for at in fresh),
        notices=() if cursor else (WARNING,),
        checkpoints=tuple(_checkpoint(job, at) for at in fresh if at in _checkpoint_steps(job)),
        judgements=_judgements(job, began=not cursor),
        artifact=_artifact(job) if job.word == "DONE" else None,
        error=_error(job) if job.word == "BROKEN" else None,
        worker_lost=f"simulated: the run vanished at step {job.step}" if job.word == "VANISHED" else None,
        cursor=str(max(told, job.step)),
        next_poll_s=knobs.seconds_per_step or None,
    )


def _checkpoint_steps(job: RemoteJob) -> set[int]:
    count = job.order.checkpoints
    return {round(job.order.simulation.steps * number / count) for number in range(1, count + 1)}


def _checkpoint(job: RemoteJob, step: int) -> Checkpoint:
    path = f"simulated://{job.order.key}/checkpoint-{step}"
    digest = sha256(path.encode()).hexdigest()
    return Checkpoint(step=step, path=path, sha256=digest, loss=loss_at(job.order.simulation, step))


def _judgements(job: RemoteJob, *, began: bool) -> dict[str, Judgement]:
    """The baseline with the first answer, the candidate with the last; none without held-out rows."""
    knobs = job.order.simulation
    sides = {}
    if began:
        sides["baseline"] = (knobs.baseline_exact_match, knobs.baseline_loss)
    if job.word == "DONE":
        sides["candidate"] = (knobs.candidate_exact_match, knobs.candidate_loss)
    return {side: _judgement(job.order, *numbers) for side, numbers in sides.items() if job.order.eval_rows}


def _judgement(order: Order, score: float, loss: float) -> Judgement:
    if order.row_kind in {RowKind.PREFERENCE, RowKind.LABELLED}:
        return Judgement(rows=order.eval_rows, loss=loss, reward_accuracy=score)
    return Judgement(rows=order.eval_rows, loss=loss, exact_match=score)


def _artifact(job: RemoteJob) -> Artifact:
    loss = loss_at(job.order.simulation, job.step)
    return Artifact(format="simulated", location=f"simulated://{job.order.key}", train_loss=loss)


def _error(job: RemoteJob) -> ErrorBody:
    message = f"simulated: training was told to break at step {job.step}"
    return ErrorBody(kind=ErrorKind.TRAINING_FAILED, message=message, retryable=False, provider="simulated")
