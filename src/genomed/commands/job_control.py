"""What the commands that steer a job share: their result, and the writes on its stream and its bucket's."""

from msgspec import Struct

from genomed.commands.context import Context, Decided
from genomed.commands.job_view import JobView, job_view
from genomed.entities.bucket import Bucket, release
from genomed.entities.envelope import Write
from genomed.entities.events import JobEvent
from genomed.entities.experience_events import ExamplesReserved
from genomed.entities.job import Job, evolve


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """accepted: the wish is in the log; message says what follows."""

    accepted: bool
    message: str
    job: JobView


def decided(
    context: Context,
    job_id: str,
    job: Job,
    version: int,
    event: JobEvent,
    *,
    message: str,
    more: tuple[Write, ...] = (),
) -> Decided[Result]:
    after = evolve(job, event, at_us=context.now_us())
    return Decided(
        result=Result(accepted=True, message=message, job=job_view(job_id, after)),
        writes=(Write(stream=f"job/{job_id}", expected=version, events=(event,)), *more),
    )


def unchanged(job_id: str, job: Job, message: str) -> Decided[Result]:
    return Decided(result=Result(accepted=False, message=message, job=job_view(job_id, job)), writes=())


async def reserved_again(context: Context, job_id: str, job: Job) -> tuple[Write, ...]:
    """A job that goes on after its end takes back the examples it had returned, where its bucket is free."""
    if job.bucket_id is None:
        return ()
    loaded = await context.log.load(f"bucket/{job.bucket_id}")
    if not isinstance(loaded.state, Bucket) or loaded.state.reservation is not None:
        return ()
    event = ExamplesReserved(
        bucket=loaded.state.key,
        job_id=job_id,
        dataset_id=job.dataset_id,
        through_position=context.log.head().position,
        examples=job.rows + job.eval_rows,
        reason_code="retry",
        reason=f"job {job_id} goes on",
        again=True,
    )
    return (Write(stream=f"bucket/{job.bucket_id}", expected=loaded.version, events=(event,)),)


async def released(context: Context, job_id: str, job: Job, *, reason: str) -> tuple[Write, ...]:
    """A job that ends by a command, before it began, gives the examples that it held back to their bucket."""
    if job.bucket_id is None:
        return ()
    loaded = await context.log.load(f"bucket/{job.bucket_id}")
    bucket = loaded.state if isinstance(loaded.state, Bucket) else None
    events = release(bucket, job_id, succeeded=False, reason=reason)
    return (Write(stream=f"bucket/{job.bucket_id}", expected=loaded.version, events=tuple(events)),) if events else ()
