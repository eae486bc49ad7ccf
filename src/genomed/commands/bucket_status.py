"""genome/bucket-status: what waits in which bucket, and what its trigger does about it.

`ready` and `reason` come from the function that the trigger itself asks, so they are what it does.
"""

from msgspec import Struct

from genomed.commands.bucket_state import BucketState, bucket_ids, bucket_state
from genomed.commands.context import Context
from genomed.entities.bucket import Reservation
from genomed.entities.configuration import Name
from genomed.entities.guards import Tightened
from genomed.entities.readiness import ExampleCounts, ReadinessCode
from genomed.entities.row_guards import GuardEffect
from genomed.entities.trigger_rule import TriggerRule
from genomed.entities.types import Role

NAME = "genome/bucket-status"
SUMMARY = "Show what waits in the buckets and whether their triggers fire."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    bucket_id: Name | None = None
    persona_id: Name | None = None
    domain: Name | None = None
    base_model: Name | None = None


class BucketView(Struct, frozen=True, kw_only=True, rename="camel"):
    """isLearning, learningSinceUs, reservation: derived from the job that holds the bucket. rule: as guards let it be;
    tightened: what they changed of it. heldBack: what each guard holds back of the examples.
    """

    bucket_id: str
    persona_id: str
    domain: str
    base_model: str
    ready: bool
    code: ReadinessCode
    reason: str
    check_again_us: int | None
    counts: ExampleCounts
    rule: TriggerRule
    rule_is_default: bool
    is_learning: bool
    learning_since_us: int | None
    reservation: Reservation | None
    last_job_id: str | None
    last_reason: str | None
    held_back: tuple[GuardEffect, ...] = ()
    tightened: tuple[Tightened, ...] = ()


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    buckets: tuple[BucketView, ...]
    as_of: int


async def run(params: Params, context: Context) -> Result:
    as_of = context.log.head().position
    if params.bucket_id is not None:
        ids = [params.bucket_id]
    else:
        ids = await bucket_ids(
            context, persona_id=params.persona_id, domain=params.domain, base_model=params.base_model
        )
    views = [view(await bucket_state(context, one)) for one in ids]
    return Result(buckets=tuple(views), as_of=as_of)


def view(state: BucketState) -> BucketView:
    bucket = state.bucket
    held = bucket.reservation if bucket else None
    return BucketView(
        bucket_id=state.bucket_id,
        persona_id=state.key.persona_id,
        domain=state.key.domain,
        base_model=state.key.base_model,
        ready=state.readiness.ready,
        code=state.readiness.code,
        reason=state.readiness.reason,
        check_again_us=state.readiness.check_again_us,
        counts=state.counts,
        rule=state.rule,
        rule_is_default=bucket is None or bucket.rule is None,
        is_learning=held is not None,
        learning_since_us=held.reserved_us if held else None,
        reservation=held,
        last_job_id=bucket.last_job_id if bucket else None,
        last_reason=bucket.last_reason if bucket else None,
        held_back=state.effects,
        tightened=state.tightened,
    )
