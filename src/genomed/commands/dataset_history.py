"""Which datasets came before: what they held out is held out again, so that no row leaks back into training."""

from genomed.commands.context import Context, as_text

_OF_BUCKET = """
SELECT dataset_id FROM datasets WHERE bucket_id = ?1
  OR dataset_id IN (SELECT dataset_id FROM jobs WHERE bucket_id = ?1)
ORDER BY position
"""


async def earlier_of_bucket(context: Context, bucket_id: str) -> tuple[str, ...]:
    """Every dataset that the bucket's examples were frozen into, oldest first, of whatever row kind.

    All of them, not the newest: each holds only what waited when it was frozen. Datasets that the bucket's jobs named
    count too: equal content that was frozen before has kept the source it had then.
    """
    rows = await context.log.query(_OF_BUCKET, (bucket_id,))
    return tuple(as_text(dataset_id) for (dataset_id,) in rows)
