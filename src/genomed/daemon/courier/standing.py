"""A job as the courier reads it, and how what came of a step is written down.

An ending is recorded together with what it means for others: the bucket whose examples it held, the ledger.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from genomed.daemon.courier.conclusion import bucket_release
from genomed.daemon.courier.settlement import settlement
from genomed.daemon.courier.staging import Staging
from genomed.daemon.journal.journal import Journal
from genomed.entities.budget import Budget
from genomed.entities.envelope import Cause, Write
from genomed.entities.errors import ErrorBody, ErrorKind, Internal, StreamConflict
from genomed.entities.events import JobCancelled, JobEvent, JobFailed
from genomed.entities.job import Job
from genomed.entities.journal_port import SideWrite
from genomed.entities.ports import Provider


@dataclass(frozen=True, kw_only=True)
class Hands:
    """What every step works with. dataset_paths: id -> (training file, held-out file, which need not exist).

    personal_data: the policy for it in rows that go to that provider. caps: the configuration's, as they are now.
    """

    journal: Journal
    provider_of: Callable[[str], Provider]
    dataset_paths: Callable[[str], tuple[str, str]]
    layers_dir: str
    now_us: Callable[[], int]
    staging: Staging
    personal_data: Callable[[str], str]
    caps: Callable[[], Budget]


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
    hands: Hands,
    at: Standing,
    events: Sequence[JobEvent],
    *,
    actor: str = "daemon",
    side: Sequence[SideWrite] = (),
    more: Sequence[Write] = (),
) -> None:
    """Append to the job's stream, and `more` to others; an ending releases bucket and reservation in the same append.

    Nothing is written to other streams without an event on the job's.
    """
    writes = [Write(stream=at.stream, expected=at.version, events=tuple(events)), *more] if events else []
    ending = next((e for e in events if isinstance(e, JobFailed | JobCancelled)), None)
    if ending is not None:
        reason = ending.error.message if isinstance(ending, JobFailed) else ending.reason
        writes += await bucket_release(hands.journal, at.job_id, at.job, succeeded=False, reason=reason)
        writes += await settlement(hands.journal, at.job_id, at.job, ended_by=events)
    if writes or side:
        await hands.journal.append(writes, cause=cause_of(at, actor), side=side)


def cause_of(at: Standing, actor: str) -> Cause:
    return Cause(actor=actor, correlation_id=at.job_id)


async def standing(hands: Hands, job_id: str) -> Standing:
    """The job as it is now. Raises Internal when the log has no such job."""
    loaded = await hands.journal.load(f"job/{job_id}")
    if not isinstance(loaded.state, Job):
        raise Internal(f"job {job_id} is not in the log")
    return Standing(job_id=job_id, job=loaded.state, version=loaded.version)


async def record_outcome(hands: Hands, job_id: str, event: JobEvent) -> None:
    """What is known is not lost to a command written at the same moment: not every provider can be asked again."""
    while True:
        try:
            await record(hands, await standing(hands, job_id), [event])
        except StreamConflict:
            continue
        return


def failure(job: Job, attempt: int, message: str, *, kind: ErrorKind) -> JobFailed:
    return JobFailed(
        attempt=attempt, error=ErrorBody(kind=kind, message=message, retryable=False, provider=job.provider)
    )
