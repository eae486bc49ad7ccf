"""One step of one job: the side effect that `next_step` asks for, and the events that came of it.

Intent before effect: a create call happens only after its intention is in the log. What a call's outcome is, is
for the adapter to say; an outcome that nobody knows is looked up, never sent again blindly.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

import msgspec

from genomed.commands.job_building import with_validation
from genomed.daemon.conclusion import Conclusion, bucket_release, conclude
from genomed.entities.dataset import Dataset
from genomed.entities.decisions import LookUp, Submit
from genomed.entities.envelope import Cause, Write
from genomed.entities.errors import ErrorBody, ErrorKind, Internal, StreamConflict
from genomed.entities.events import (
    JobCancelled,
    JobEvent,
    JobFailed,
    JobSubmitted,
    SubmissionDeferred,
    SubmissionIntended,
    SubmissionNotFound,
    SubmissionUnknown,
)
from genomed.entities.job import Job
from genomed.entities.layer import Layer
from genomed.entities.ports import (
    Absent,
    Accepted,
    Ambiguous,
    Deferred,
    Found,
    Journal,
    LookupOutcome,
    Provider,
    Rejected,
    SideWrite,
    Snapshot,
    Submission,
    SubmitOutcome,
    Unsearchable,
)
from genomed.entities.reports import events_of

_POINTS = "INSERT OR REPLACE INTO metric_points (job_id, attempt, name, step, value, at_us) VALUES (?, ?, ?, ?, ?, ?)"
_CURSOR = "INSERT OR REPLACE INTO job_cursors (job_id, attempt, cursor, at_us) VALUES (?, ?, ?, ?)"

DEFER_S = 30.0
"""How long a job that a provider deferred without a hint waits before it asks again."""


@dataclass(frozen=True, kw_only=True)
class Hands:
    """What every step works with. dataset_paths: id -> (training file, held-out file, which need not exist)."""

    journal: Journal
    provider_of: Callable[[str], Provider]
    dataset_paths: Callable[[str], tuple[str, str]]
    layers_dir: str
    now_us: Callable[[], int]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A job as it was read: what a step decides on."""

    job_id: str
    job: Job
    version: int

    @property
    def stream(self) -> str:
        return f"job/{self.job_id}"


async def record(
    hands: Hands, at: Standing, events: Sequence[JobEvent], *, actor: str = "daemon", side: Sequence[SideWrite] = ()
) -> None:
    """Append to the job's stream; an ending releases the bucket in the same transaction."""
    writes = [Write(stream=at.stream, expected=at.version, events=tuple(events))] if events else []
    ending = next((e for e in events if isinstance(e, JobFailed | JobCancelled)), None)
    if ending is not None:
        reason = ending.error.message if isinstance(ending, JobFailed) else ending.reason
        writes += await bucket_release(hands.journal, at.job_id, at.job, succeeded=False, reason=reason)
    if writes or side:
        await hands.journal.append(writes, cause=_cause(at, actor), side=side)


def _cause(at: Standing, actor: str) -> Cause:
    return Cause(actor=actor, correlation_id=at.job_id)


async def submit(hands: Hands, at: Standing, step: Submit) -> None:
    """The intention, durably; then the create call; then its outcome."""
    submission = await _submission(hands, at, step)
    intended = SubmissionIntended(
        attempt=step.attempt,
        submission_key=step.key,
        payload_sha256=sha256(msgspec.json.encode(submission.payload, order="sorted")).hexdigest(),
        resume=step.resume,
    )
    await record(hands, at, [intended])
    outcome = await hands.provider_of(at.job.provider).submit(submission)
    await _record_outcome(hands, at.job_id, _submitted(step.attempt, outcome, hands.now_us()))


async def _record_outcome(hands: Hands, job_id: str, event: JobEvent) -> None:
    """What is known is not lost to a command written at the same moment: not every provider can be asked again."""
    while True:
        try:
            await record(hands, await standing(hands, job_id), [event])
        except StreamConflict:
            continue
        return


async def look_up(hands: Hands, at: Standing, step: LookUp) -> None:
    found = await hands.provider_of(at.job.provider).find(step.key, job_id=at.job_id)
    await record(hands, at, [_looked_up(step.attempt, found)])


def _submitted(attempt: int, outcome: SubmitOutcome, now_us: int) -> JobEvent:
    match outcome:
        case Accepted(provider_job_id=theirs, adopted=adopted):
            return JobSubmitted(attempt=attempt, provider_job_id=theirs, adopted=adopted)
        case Rejected(error=error):
            return JobFailed(attempt=attempt, error=error)
        case Deferred(reason=reason, retry_after_s=hint):
            wait = hint if hint is not None else DEFER_S
            return SubmissionDeferred(reason=reason, not_before_us=now_us + int(wait * 1_000_000))
        case Ambiguous(reason=reason):
            return SubmissionUnknown(attempt=attempt, reason=reason, searchable=True)


def _looked_up(attempt: int, found: LookupOutcome) -> JobEvent:
    match found:
        case Found(provider_job_id=theirs):
            return JobSubmitted(attempt=attempt, provider_job_id=theirs, adopted=True)
        case Absent():
            return SubmissionNotFound(attempt=attempt)
        case Unsearchable():
            reason = "it may have been accepted, and this provider cannot be asked; say what is there with job-resolve"
            return SubmissionUnknown(attempt=attempt, reason=reason, searchable=False)


async def _submission(hands: Hands, at: Standing, step: Submit) -> Submission:
    job = at.job
    dataset = await _dataset(hands, job.dataset_id)
    facts = dataset.facts(job.dataset_id)
    train_path, held_path = hands.dataset_paths(job.dataset_id)
    eval_path = held_path if dataset.frozen.eval_sha256 is not None else None
    validation = job.configuration.datasets.validation_file_id
    if validation is not None:
        facts = with_validation(facts, (await _dataset(hands, validation)).facts(validation))
        eval_path = hands.dataset_paths(validation)[0]
    provider = hands.provider_of(job.provider)
    translation = provider.translate(job.configuration, facts, asked=job.asked)
    return Submission(
        job_id=at.job_id,
        attempt=step.attempt,
        key=step.key,
        configuration=job.configuration,
        payload=translation.payload,
        row_kind=job.row_kind,
        train_path=train_path,
        eval_path=eval_path,
        rows=job.rows,
        eval_rows=job.eval_rows,
        dataset_sha256=dataset.frozen.train_sha256,
        parent_layer_path=await _layer_path(hands, job.parent_layer_id),
        warm_start=job.warm_start,
        resume=step.resume,
    )


async def _dataset(hands: Hands, dataset_id: str) -> Dataset:
    dataset = (await hands.journal.load(f"dataset/{dataset_id}")).state
    if not isinstance(dataset, Dataset):
        raise Internal(f"dataset {dataset_id} is not in the log")
    return dataset


async def _layer_path(hands: Hands, layer_id: str | None) -> str | None:
    if layer_id is None:
        return None
    layer = (await hands.journal.load(f"layer/{layer_id}")).state
    if not isinstance(layer, Layer):
        raise Internal(f"layer {layer_id} is not in the log")
    return layer.published.path


async def standing(hands: Hands, job_id: str) -> Standing:
    """The job as it is now. Raises Internal when the log has no such job."""
    loaded = await hands.journal.load(f"job/{job_id}")
    if not isinstance(loaded.state, Job):
        raise Internal(f"job {job_id} is not in the log")
    return Standing(job_id=job_id, job=loaded.state, version=loaded.version)


async def poll(hands: Hands, at: Standing, *, attempt: int, provider_job_id: str) -> Snapshot:
    """Ask, and append what is new together with the cursor, so that nothing is told twice or lost."""
    rows = await hands.journal.query("SELECT attempt, cursor FROM job_cursors WHERE job_id = ?", (at.job_id,))
    cursor = str(rows[0][1]) if rows and rows[0][0] == attempt else ""
    provider = hands.provider_of(at.job.provider)
    snapshot = await provider.poll(provider_job_id, job_id=at.job_id, attempt=attempt, cursor=cursor)
    now = hands.now_us()
    events = events_of(at.job, snapshot, attempt=attempt, now_us=now)
    side = _side_writes(at.job_id, attempt, snapshot, cursor, now)
    if events or side:
        await record(hands, at, events, actor=f"provider:{at.job.provider}", side=side)
    return snapshot


def _side_writes(job_id: str, attempt: int, snapshot: Snapshot, before: str, now_us: int) -> list[SideWrite]:
    side = []
    if snapshot.points:
        rows = tuple((job_id, attempt, p.name, p.step, p.value, p.at_us) for p in snapshot.points)
        side.append(SideWrite(sql=_POINTS, rows=rows))
    if snapshot.cursor != before:
        side.append(SideWrite(sql=_CURSOR, rows=((job_id, attempt, snapshot.cursor, now_us),)))
    return side


async def finish(hands: Hands, at: Standing, *, attempt: int) -> None:
    conclusion = Conclusion(job_id=at.job_id, job=at.job, version=at.version, attempt=attempt)
    provider = hands.provider_of(at.job.provider)
    writes = await conclude(conclusion, journal=hands.journal, provider=provider, layers_dir=hands.layers_dir)
    await hands.journal.append(writes, cause=_cause(at, "daemon"))


def failure(job: Job, attempt: int, message: str, *, kind: ErrorKind) -> JobFailed:
    return JobFailed(
        attempt=attempt, error=ErrorBody(kind=kind, message=message, retryable=False, provider=job.provider)
    )
