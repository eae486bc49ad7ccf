"""A bucket as it stands: its fold, its rule and its counts, read together. Shared by status, flush and trigger."""

from msgspec import Struct
from msgspec.structs import replace

from genomed.commands.bucket_examples import Choice, bites, choice_of, own_words
from genomed.commands.context import Context, as_int, as_text
from genomed.commands.guarding import Guarding, guarding, jobs_today
from genomed.entities.bucket import Bucket
from genomed.entities.errors import NotFound
from genomed.entities.facts import BucketKey
from genomed.entities.guard_book import next_day_us
from genomed.entities.guards import Tightened, tightened
from genomed.entities.readiness import FEWEST_EXAMPLES, ExampleCounts, Readiness, ReadinessCode, readiness, taking_of
from genomed.entities.row_guards import GuardEffect, nobody_judged
from genomed.entities.trigger_rule import TriggerRule


class BucketState(Struct, frozen=True, kw_only=True):
    """version: of the bucket's stream, for the next write. rule: the bucket's own, or the daemon's default, as guards
    let it be; tightened: what of it they changed. effects: what guards hold back of the examples.
    """

    bucket_id: str
    key: BucketKey
    bucket: Bucket | None
    version: int
    rule: TriggerRule
    counts: ExampleCounts
    readiness: Readiness
    guarding: Guarding
    tightened: tuple[Tightened, ...] = ()
    effects: tuple[GuardEffect, ...] = ()


_COUNTS = """
SELECT
  coalesce(sum(taken), 0),
  coalesce(sum(taken AND quality > ?1), 0),
  coalesce(sum(NOT taken AND withheld = 0), 0),
  min(CASE WHEN taken THEN captured_us END),
  coalesce(max(CASE WHEN taken THEN position END), 0),
  coalesce(sum(taken AND quality IS NOT NULL), 0),
  coalesce(sum(taken AND paired), 0),
  coalesce(sum(withheld = 1), 0),
  coalesce(sum(taken AND own > 0), 0),
  coalesce(sum(taken AND own > 1), 0),
  coalesce(sum(taken AND thumb = 1), 0),
  coalesce(sum(taken AND thumb = 0), 0)
FROM (
  SELECT *, iif(?3 = 'labelled', thumb IS NOT NULL, usable) AS taken FROM examples
  WHERE bucket_id = ?2 AND state = 'pending'
)
"""


async def bucket_ids(
    context: Context, *, persona_id: str | None = None, domain: str | None = None, base_model: str | None = None
) -> list[str]:
    """Ids of the buckets that match, oldest first."""
    rows = await context.log.query(
        "SELECT bucket_id FROM buckets WHERE (?1 IS NULL OR persona_id = ?1) AND (?2 IS NULL OR domain = ?2)"
        " AND (?3 IS NULL OR base_model = ?3) ORDER BY opened_us, bucket_id",
        (persona_id, domain, base_model),
    )
    return [as_text(row[0]) for row in rows]


async def bucket_state(context: Context, bucket_id: str) -> BucketState:
    """Raises NotFound for a bucket into which nothing was ever captured and for which no trigger was set."""
    rows = await context.log.query(
        "SELECT persona_id, domain, base_model FROM buckets WHERE bucket_id = ?", (bucket_id,)
    )
    if not rows:
        raise NotFound(f"there is no bucket {bucket_id}", remedy="list them with genome/bucket-status")
    persona, domain, base_model = rows[0]
    key = BucketKey(persona_id=as_text(persona), domain=as_text(domain), base_model=as_text(base_model))
    loaded = await context.log.load(f"bucket/{bucket_id}")
    bucket = loaded.state if isinstance(loaded.state, Bucket) else None
    own = await guarding(context, key.persona_id)
    rule, changed = tightened(
        bucket.rule if bucket is not None and bucket.rule is not None else context.default_rule, own.guards
    )
    every, counts, effects = await _counted(context, bucket_id, rule, own)
    now_us, fewest = context.now_us(), max(FEWEST_EXAMPLES, own.guards.min_examples)
    told = readiness(bucket, rule, counts, now_us=now_us, fewest=fewest)
    if effects and told.code is ReadinessCode.COLLECTING:
        told = _guarded(told, readiness(bucket, rule, every, now_us=now_us, fewest=fewest), effects)
    return BucketState(
        bucket_id=bucket_id,
        key=key,
        bucket=bucket,
        version=loaded.version,
        rule=rule,
        counts=counts,
        readiness=await _within_the_day(context, own, told),
        guarding=own,
        tightened=changed,
        effects=effects,
    )


def _guarded(told: Readiness, without: Readiness, effects: tuple[GuardEffect, ...]) -> Readiness:
    """Says so where it is only guards that let a bucket wait."""
    reasons = "; ".join(one.reason for one in effects)
    code = ReadinessCode.GUARDED if without.ready else told.code
    return replace(told, code=code, reason=f"{told.reason}; {reasons}")


async def _within_the_day(context: Context, own: Guarding, told: Readiness) -> Readiness:
    most = own.guards.max_jobs_per_day
    if not told.ready or most is None or await jobs_today(context, own) < most:
        return told
    reason = f"{most} jobs of {own.persona_id} were started on {own.day}, and max_jobs_per_day allows no more"
    again = next_day_us(context.now_us())
    return Readiness(ready=False, code=ReadinessCode.GUARDED, reason=reason, check_again_us=again)


async def _counted(
    context: Context, bucket_id: str, rule: TriggerRule, own: Guarding
) -> tuple[ExampleCounts, ExampleCounts, tuple[GuardEffect, ...]]:
    """Without guards, with them, and what they hold back. Examples are looked at one by one only where one could."""
    taking = taking_of(rule)
    [row] = await context.log.query(_COUNTS, (rule.high_quality_above, bucket_id, taking))
    usable, high, unusable, oldest, position, approved, paired, withheld, theirs, agents, wanted, unwanted = row
    every = ExampleCounts(
        usable=as_int(usable),
        high_quality=as_int(high),
        unusable=as_int(unusable),
        oldest_us=None if oldest is None else as_int(oldest),
        through_position=as_int(position),
        approved=as_int(approved),
        paired=as_int(paired),
        quarantined=as_int(withheld),
        wanted=as_int(wanted),
        unwanted=as_int(unwanted),
    )
    if not bites(own, told_by_anybody=as_int(theirs), told_by_agents=as_int(agents)):
        return every, every, ()
    judged = every.usable - own_words(own, told_by_anybody=as_int(theirs), told_by_agents=as_int(agents))
    if judged == 0 and not own.guards.quotas:  # a flood that nobody judged is not read row by row at every look
        choice = Choice(chosen=(), effects=nobody_judged(every.usable, own.guards).effects)
    else:
        choice = await choice_of(context, bucket_id, own, limit=rule.max_examples, taking=taking)
    counts = choice.counts(
        high_quality_above=rule.high_quality_above, unusable=every.unusable, quarantined=every.quarantined
    )
    return every, replace(counts, through_position=every.through_position), choice.effects
