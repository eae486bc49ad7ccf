"""Rows that go because there are too many of their kind: written by recipes, or from one source. Chosen by a seed."""

from collections.abc import Callable
from hashlib import sha256

from genomed.curation.cleaning.row_steps import Tally
from genomed.curation.cleaning.shares import FEWEST_SOURCES, generated_kept, most_per_source
from genomed.daemon.datasets.duplicates import GENERATED_SHARE, SOURCE_SHARE, named, standing
from genomed.daemon.datasets.scratch import GENERATED, Scratch


def drawing(seed: int) -> Callable[[bytes], int]:
    """Where a row stands among those that may be left out: the same for the same row and seed."""

    def drawn(digest: bytes) -> int:
        return int.from_bytes(sha256(str(seed).encode() + digest).digest()[:7], "big")

    return drawn


def self_generated(scratch: Scratch, most_share: float) -> Tally:
    tally = Tally(step="self_generated_share", examined=standing(scratch), note=f"at most {most_share:g} of all rows")
    generated = scratch.number("SELECT count(*) FROM standing WHERE flags & ?", (GENERATED,))
    kept = generated_kept(generated, tally.examined - generated, most_share)
    if kept < generated:
        tally.removed = scratch.run(
            "UPDATE rows SET gone = ? WHERE ordinal IN (SELECT ordinal FROM standing WHERE flags & ?"
            " ORDER BY drawn(digest), ordinal LIMIT -1 OFFSET ?)",
            (GENERATED_SHARE, GENERATED, kept),
        )
    named(scratch, tally, GENERATED_SHARE)
    return tally


def one_source(scratch: Scratch, most_share: float) -> Tally:
    """Rows whose source is unknown are left alone."""
    tally = Tally(step="source_share", examined=standing(scratch))
    scratch.run(
        "CREATE TEMP TABLE sources AS SELECT source, count(*) AS n FROM standing WHERE source != 0 GROUP BY source"
    )
    sources = scratch.number("SELECT count(*) FROM sources")
    if sources < FEWEST_SOURCES:
        tally.note = f"{sources} sources: from {FEWEST_SOURCES} on one of them can be too much"
        return tally
    unknown = scratch.number("SELECT count(*) FROM standing WHERE source = 0")
    cap = most_per_source(
        sources,
        scratch.number("SELECT max(n) FROM sources"),
        most_share,
        lambda most: unknown + scratch.number("SELECT sum(min(n, ?)) FROM sources", (most,)),
    )
    even = "; so few sources cannot keep that, so all have the same" if most_share * sources < 1 else ""
    tally.note = f"at most {most_share:g} of all rows, which is {cap} rows of each of {sources} sources{even}"
    for (source,) in scratch.each("SELECT source FROM sources WHERE n > ?", (cap,)):
        tally.removed += scratch.run(
            "UPDATE rows SET gone = ? WHERE ordinal IN (SELECT ordinal FROM standing WHERE source = ?"
            " ORDER BY drawn(digest), ordinal LIMIT -1 OFFSET ?)",
            (SOURCE_SHARE, source, cap),
        )
    named(scratch, tally, SOURCE_SHARE)
    return tally
