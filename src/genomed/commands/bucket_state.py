"""A bucket as it stands: its fold, its rule and its counts, read together. Shared by status, flush and trigger."""

from msgspec import Struct

from genomed.commands.context import Context, as_int, as_text
from genomed.entities.bucket import Bucket
from genomed.entities.errors import NotFound
from genomed.entities.facts import BucketKey
from genomed.entities.readiness import ExampleCounts, Readiness, readiness
from genomed.entities.trigger_rule import TriggerRule


class BucketState(Struct, frozen=True, kw_only=True):
    """version: of the bucket's stream, for the next write. rule: the bucket's own, or the daemon's default."""

    bucket_id: str
    key: BucketKey
    bucket: Bucket | None
    version: int
    rule: TriggerRule
    counts: ExampleCounts
    readiness: Readiness


_COUNTS = """
SELECT
  coalesce(sum(usable), 0),
  coalesce(sum(usable AND quality > ?), 0),
  coalesce(sum(NOT usable), 0),
  min(CASE WHEN usable THEN captured_us END),
  coalesce(max(CASE WHEN usable THEN position END), 0),
  coalesce(sum(usable AND quality IS NOT NULL), 0),
  coalesce(sum(usable AND paired), 0)
FROM examples WHERE bucket_id = ? AND state = 'pending'
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
    loaded = await context.log.load(f"bucket/{bucket_id}")
    bucket = loaded.state if isinstance(loaded.state, Bucket) else None
    rule = bucket.rule if bucket is not None and bucket.rule is not None else context.default_rule
    counts = await example_counts(context, bucket_id, rule)
    return BucketState(
        bucket_id=bucket_id,
        key=BucketKey(persona_id=as_text(persona), domain=as_text(domain), base_model=as_text(base_model)),
        bucket=bucket,
        version=loaded.version,
        rule=rule,
        counts=counts,
        readiness=readiness(bucket, rule, counts, now_us=context.now_us()),
    )


async def example_counts(context: Context, bucket_id: str, rule: TriggerRule) -> ExampleCounts:
    rows = await context.log.query(_COUNTS, (rule.high_quality_above, bucket_id))
    usable, high, unusable, oldest, position, approved, paired = rows[0]
    return ExampleCounts(
        usable=as_int(usable),
        high_quality=as_int(high),
        unusable=as_int(unusable),
        oldest_us=None if oldest is None else as_int(oldest),
        through_position=as_int(position),
        approved=as_int(approved),
        paired=as_int(paired),
    )
