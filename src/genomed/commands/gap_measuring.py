"""Measuring gaps: what the read models know of each bucket. The report and the sweep that opens tasks both ask here."""

from genomed.commands.context import Context, as_int, as_text
from genomed.entities.facts import BucketKey
from genomed.entities.gaps import Gap, Measured, gap_of
from genomed.entities.layer import Genome
from genomed.entities.types import JobStatus

_BUCKETS = """
SELECT bucket_id, persona_id, domain, base_model FROM buckets
WHERE (?1 IS NULL OR persona_id = ?1) AND (?2 IS NULL OR domain = ?2) ORDER BY bucket_id
"""
_COUNTS = """
SELECT count(*), count(quality), coalesce(sum(quality < 0.5), 0), coalesce(sum(corrected), 0) FROM judgements
WHERE bucket_id = ?
"""
_FITNESS = "SELECT avg(quality) FROM judgements WHERE bucket_id = ? AND captured_us >= ?"
_ENDINGS = "SELECT status FROM jobs WHERE bucket_id = ? AND finished_us IS NOT NULL ORDER BY finished_us DESC LIMIT 20"


async def gaps(context: Context, *, persona_id: str | None = None, domain: str | None = None) -> list[Gap]:
    """Every bucket's gap, the worst first."""
    rows = await context.log.query(_BUCKETS, (persona_id, domain))
    found = []
    for own, persona, of_domain, base_model in rows:
        key = BucketKey(persona_id=as_text(persona), domain=as_text(of_domain), base_model=as_text(base_model))
        found.append(gap_of(await _measured(context, as_text(own), key)))
    return sorted(found, key=lambda gap: (-gap.severity, gap.measured.bucket_id))


async def _measured(context: Context, own: str, key: BucketKey) -> Measured:
    ((interactions, judged, failed, corrections),) = await context.log.query(_COUNTS, (own,))
    genome = (await context.log.load(f"genome/{key.persona_id}")).state
    slot = genome.slot(key.domain, key.base_model) if isinstance(genome, Genome) else None
    fitness = None
    if slot is not None and slot.layer_id is not None:
        ((raw,),) = await context.log.query(_FITNESS, (own, slot.since_us))
        fitness = raw if isinstance(raw, float) else None
    return Measured(
        bucket_id=own,
        bucket=key,
        interactions=as_int(interactions),
        judged=as_int(judged),
        failed=as_int(failed),
        corrections=as_int(corrections),
        fitness=fitness,
        layer_id=slot.layer_id if slot else None,
        layer_age_s=(context.now_us() - slot.since_us) / 1_000_000 if slot and slot.layer_id else None,
        failed_trainings=await _failed_trainings(context, own),
    )


async def _failed_trainings(context: Context, own: str) -> int:
    """Since the last that ended well; what somebody cancelled says nothing."""
    count = 0
    for (status,) in await context.log.query(_ENDINGS, (own,)):
        if as_text(status) == JobStatus.SUCCEEDED:
            break
        count += as_text(status) == JobStatus.FAILED
    return count
