"""A bucket: its trigger rule and which job holds its examples. Pure.

Which examples are in it follows from the interactions' events and these; the read model counts them.
One job per bucket at a time; a reservation ends exactly once, consumed or returned.
"""

from functools import lru_cache
from hashlib import sha256
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from genomed.entities.errors import Conflict
from genomed.entities.experience_events import (
    BucketEvent,
    ExamplesConsumed,
    ExamplesReserved,
    ExamplesReturned,
    LearningAsked,
    TriggerHeldBack,
    TriggerSet,
)
from genomed.entities.facts import BucketKey
from genomed.entities.ids import BucketId, base32
from genomed.entities.trigger_rule import TriggerRule


class Reservation(Struct, frozen=True, kw_only=True, rename="camel"):
    job_id: str
    dataset_id: str
    examples: int
    reason: str
    reserved_us: int


class Bucket(Struct, frozen=True, kw_only=True, rename="camel"):
    """failures: reservations returned in a row; each doubles the cooldown. rule null: the daemon's default applies.

    asked: why somebody wants it to learn soon; null once a job was started for it.
    """

    key: BucketKey
    rule: TriggerRule | None = None
    reservation: Reservation | None = None
    last_ended_us: int | None = None
    last_reason: str | None = None
    last_job_id: str | None = None
    failures: int = 0
    held_back: str | None = None
    held_back_position: int = 0
    asked: str | None = None


@lru_cache(maxsize=4096)
def bucket_id(key: BucketKey) -> BucketId:
    """The same persona, domain and base model always give the same id."""
    digest = sha256(f"{key.persona_id}\0{key.domain}\0{key.base_model}".encode()).digest()
    return BucketId(f"bkt-{base32(int.from_bytes(digest[:10], 'big'), 16)}")


def evolve(bucket: Bucket | None, event: BucketEvent, *, at_us: int) -> Bucket:
    """The bucket after `event`. Raises ValueError when an ending comes before any reservation."""
    match event:
        case TriggerSet(bucket=key, rule=rule):
            return replace(bucket or Bucket(key=key), rule=rule, held_back=None)
        case TriggerHeldBack(bucket=key, message=message, through_position=position):
            return replace(bucket or Bucket(key=key), held_back=message, held_back_position=position)
        case LearningAsked(bucket=key, reason=reason):
            return replace(bucket or Bucket(key=key), asked=reason, held_back=None)
        case ExamplesReserved(bucket=key):
            held = Reservation(
                job_id=event.job_id,
                dataset_id=event.dataset_id,
                examples=event.examples,
                reason=event.reason,
                reserved_us=at_us,
            )
            return replace(
                bucket or Bucket(key=key),
                reservation=held,
                held_back=None,
                asked=None,
                last_reason=event.reason,
                last_job_id=event.job_id,
            )
        case ExamplesConsumed() | ExamplesReturned():
            if bucket is None:
                raise ValueError("a reservation ended in a bucket that never had one")
            return _ended(bucket, event, at_us)
        case _:
            assert_never(event)


def _ended(bucket: Bucket, event: ExamplesConsumed | ExamplesReturned, at_us: int) -> Bucket:
    if bucket.reservation is None or bucket.reservation.job_id != event.job_id:
        return bucket
    failures = bucket.failures + 1 if isinstance(event, ExamplesReturned) else 0
    return replace(bucket, reservation=None, last_ended_us=at_us, failures=failures)


def reserve(bucket: Bucket | None, event: ExamplesReserved) -> ExamplesReserved:
    """The event, if the bucket is free. Raises Conflict naming the job that holds it."""
    if bucket is not None and bucket.reservation is not None:
        raise Conflict(
            f"job {bucket.reservation.job_id} is training on this bucket",
            remedy="wait for it, or cancel it",
        )
    return event


def release(bucket: Bucket | None, job_id: str, *, succeeded: bool, reason: str) -> list[BucketEvent]:
    """What ends the job's reservation; nothing when it holds none, so that it happens once."""
    if bucket is None or bucket.reservation is None or bucket.reservation.job_id != job_id:
        return []
    if succeeded:
        return [ExamplesConsumed(job_id=job_id)]
    return [ExamplesReturned(job_id=job_id, reason=reason)]
