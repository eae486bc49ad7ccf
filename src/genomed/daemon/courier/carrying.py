"""One step of one job: the side effect that `next_step` asks for, and the events that came of it.

Intent before effect: a create call happens only after its intention is in the log. What a call's outcome is, is
for the adapter to say; an outcome that nobody knows is looked up, never sent again blindly.
"""

from hashlib import sha256

import msgspec

from genomed.daemon.courier.conclusion import Conclusion, conclude
from genomed.daemon.courier.settlement import requoted
from genomed.daemon.courier.standing import Hands, Standing, cause_of, record, record_outcome
from genomed.daemon.courier.submissions import submission_of
from genomed.entities.clock_jumps import wait_until
from genomed.entities.decisions import LookUp, Submit
from genomed.entities.envelope import Write
from genomed.entities.errors import BudgetExceeded
from genomed.entities.events import (
    JobEvent,
    JobFailed,
    JobSubmitted,
    SubmissionDeferred,
    SubmissionIntended,
    SubmissionNotFound,
    SubmissionUnknown,
)
from genomed.entities.journal_port import SideWrite
from genomed.entities.ports import (
    Absent,
    Accepted,
    Ambiguous,
    Deferred,
    Found,
    LookupOutcome,
    Rejected,
    Snapshot,
    Submission,
    SubmitOutcome,
    Unsearchable,
)
from genomed.entities.provision_events import CostQuoted
from genomed.entities.reports import events_of

_POINTS = "INSERT OR REPLACE INTO metric_points (job_id, attempt, name, step, value, at_us) VALUES (?, ?, ?, ?, ?, ?)"
_CURSOR = "INSERT OR REPLACE INTO job_cursors (job_id, attempt, cursor, at_us) VALUES (?, ?, ?, ?)"

DEFER_S = 30.0
"""How long a job that a provider deferred without a hint waits before it asks again."""


async def submit(hands: Hands, at: Standing, step: Submit) -> None:
    """The intention, durably; then the create call; then its outcome."""
    submission = await submission_of(hands, at, step)
    priced, reserved = await _priced(hands, at, step, submission)
    intended = SubmissionIntended(
        attempt=step.attempt,
        submission_key=step.key,
        payload_sha256=sha256(msgspec.json.encode(submission.payload, order="sorted")).hexdigest(),
        resume=step.resume,
    )
    if any(isinstance(event, JobFailed) for event in priced):
        await record(hands, at, priced)
        return
    await record(hands, at, [*priced, intended], more=reserved)
    outcome = await hands.provider_of(at.job.provider).submit(submission)
    await record_outcome(hands, at.job_id, _submitted(step.attempt, outcome, hands.now_us()))


async def _priced(
    hands: Hands, at: Standing, step: Submit, submission: Submission
) -> tuple[list[JobEvent], tuple[Write, ...]]:
    """The provider's own price, where it has one, and what it does to the reservation; too high a one ends the job."""
    quote = await hands.provider_of(at.job.provider).quote(submission)
    if quote is None or quote == at.job.quote:
        return [], ()
    quoted = CostQuoted(attempt=step.attempt, estimate=quote)
    try:
        reserved = await requoted(hands.journal, hands.caps(), at.job_id, at.job, quote)
    except BudgetExceeded as refused:
        return [quoted, JobFailed(attempt=step.attempt, error=refused.body())], ()
    return [quoted], reserved


async def look_up(hands: Hands, at: Standing, step: LookUp) -> None:
    provider = hands.provider_of(at.job.provider)
    found = await provider.find(step.key, job_id=at.job_id, intended_us=step.intended_us)
    await record(hands, at, [_looked_up(step.attempt, found)])


def _submitted(attempt: int, outcome: SubmitOutcome, now_us: int) -> JobEvent:
    match outcome:
        case Accepted(provider_job_id=theirs, adopted=adopted):
            return JobSubmitted(attempt=attempt, provider_job_id=theirs, adopted=adopted)
        case Rejected(error=error):
            return JobFailed(attempt=attempt, error=error)
        case Deferred(reason=reason, retry_after_s=hint):
            wait = hint if hint is not None else DEFER_S
            return SubmissionDeferred(reason=reason, not_before_us=wait_until(now_us, wait))
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
    await hands.journal.append(writes, cause=cause_of(at, "daemon"))
