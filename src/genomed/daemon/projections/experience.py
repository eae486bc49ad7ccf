"""What agents told us, and which bucket it waits in: the folds and tables of experience.

Knows the log alone. Does not know the other projections.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from genomed.daemon.journal.read_model_port import Fold, fold_of, write
from genomed.entities import bucket as bucket_fold
from genomed.entities import interaction as interaction_fold
from genomed.entities.bucket import Bucket, bucket_id
from genomed.entities.envelope import Envelope
from genomed.entities.experience_events import (
    BucketEvent,
    ExamplesConsumed,
    ExamplesReserved,
    ExamplesReturned,
    FeedbackGiven,
    InteractionCaptured,
    InteractionEvent,
    LearningAsked,
    TriggerHeldBack,
    TriggerSet,
)
from genomed.entities.facts import BucketKey
from genomed.entities.forget_events import InteractionForgotten
from genomed.entities.guard_events import QuarantineDiscarded, QuarantineReleased
from genomed.entities.interaction import Interaction
from genomed.entities.journal_port import SideWrite

SCHEMA = """
-- sources: as a JSON list, for quotas. own: 0 somebody else judged it, 1 nobody did, 2 and an agent told it.
-- withheld: 1 in quarantine, 2 discarded out of it. thumb: 1 wanted, 0 not, null where nobody said.
CREATE TABLE IF NOT EXISTS buckets (
  bucket_id TEXT PRIMARY KEY, persona_id TEXT NOT NULL, domain TEXT NOT NULL, base_model TEXT NOT NULL,
  opened_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS examples (
  interaction_id TEXT PRIMARY KEY, bucket_id TEXT NOT NULL, position INTEGER NOT NULL, captured_us INTEGER NOT NULL,
  quality REAL, usable INTEGER NOT NULL, paired INTEGER NOT NULL, state TEXT NOT NULL, job_id TEXT,
  revised INTEGER NOT NULL DEFAULT 0, sources TEXT NOT NULL, own INTEGER NOT NULL, withheld INTEGER NOT NULL,
  thumb INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS examples_by_bucket
  ON examples (bucket_id, state, position, usable, quality, captured_us, paired, own, withheld, thumb);
CREATE INDEX IF NOT EXISTS examples_by_job ON examples (job_id) WHERE job_id IS NOT NULL;
"""
TABLES = ("buckets", "examples")

_OPEN_BUCKET = "INSERT OR IGNORE INTO buckets VALUES (?, ?, ?, ?, ?)"
_CAPTURE = "INSERT INTO examples VALUES (?, ?, ?, ?, ?, ?, ?, 'pending', NULL, 0, ?, ?, ?, ?)"
_JUDGE = """
UPDATE examples SET quality = ?1, usable = ?2, paired = ?3, position = ?4, own = ?7, withheld = ?8, thumb = ?9,
  revised = CASE WHEN state = 'reserved' AND ?5 THEN 1 ELSE revised END,
  state = CASE WHEN state = 'consumed' AND ?5 THEN 'pending' ELSE state END
WHERE interaction_id = ?6
"""
_FORGET = "UPDATE examples SET usable = 0, paired = 0, withheld = 0, thumb = NULL WHERE interaction_id = ?"
_RESERVE = """
UPDATE examples SET state = 'reserved', job_id = ?1, revised = 0
WHERE bucket_id = ?2 AND state = 'pending' AND position <= ?3
  AND CASE ?4 WHEN 'labelled' THEN thumb IS NOT NULL WHEN 'paired' THEN usable AND paired ELSE usable END
  AND interaction_id NOT IN (SELECT value FROM json_each(?5))
"""
_RESERVE_AGAIN = """
UPDATE examples SET state = 'reserved', revised = 0 WHERE bucket_id = ?2 AND state = 'pending' AND job_id = ?1
"""
_CONSUME = """
UPDATE examples SET state = CASE WHEN revised THEN 'pending' ELSE 'consumed' END, revised = 0
WHERE job_id = ? AND state = 'reserved'
"""
_RETURN = "UPDATE examples SET state = 'pending', revised = 0 WHERE job_id = ? AND state = 'reserved'"


def _bucket(state: Bucket | None, envelope: Envelope) -> Bucket:
    return bucket_fold.evolve(state, cast("BucketEvent", envelope.event), at_us=envelope.at_us)


def _interaction(state: Interaction | None, envelope: Envelope) -> Interaction:
    return interaction_fold.evolve(
        state, cast("InteractionEvent", envelope.event), at_us=envelope.at_us, actor=envelope.actor
    )


FOLDS: Mapping[str, Fold] = {
    "bucket": fold_of(Bucket, _bucket),
    "interaction": fold_of(Interaction, _interaction),
}


def rows(envelope: Envelope, state: object | None) -> Sequence[SideWrite]:
    own = envelope.stream.partition("/")[2]
    if isinstance(state, Interaction):
        return _interaction_rows(own, envelope, state)
    return _bucket_rows(own, envelope)


def _opened(own: str, key: BucketKey, at_us: int) -> SideWrite:
    return write(_OPEN_BUCKET, own, key.persona_id, key.domain, key.base_model, at_us)


def _interaction_rows(own: str, envelope: Envelope, state: Interaction) -> Sequence[SideWrite]:
    """A search is no example: it opens its bucket and waits in none."""
    worth = (state.quality, int(state.usable), int(state.paired))
    match envelope.event:
        case InteractionCaptured():
            opened = _opened(state.bucket_id, state.bucket, envelope.at_us)
            sources = msgspec.json.encode(state.sources).decode()
            row = (own, state.bucket_id, envelope.position, envelope.at_us, *worth, sources, *_guarded(state))
            return (opened,) if state.searched else (opened, write(_CAPTURE, *row))
        case FeedbackGiven() as given:
            return (write(_JUDGE, *worth, envelope.position, int(given.corrected), own, *_guarded(state)),)
        case QuarantineReleased() | QuarantineDiscarded():
            return (write(_JUDGE, *worth, envelope.position, 0, own, *_guarded(state)),)
        case InteractionForgotten():
            return (write(_FORGET, own),)
        case _:
            return ()


def _guarded(state: Interaction) -> tuple[int, int, int | None]:
    """How own and how withheld it is, and its thumb, as the table has them."""
    own = int(state.own_words) * (2 if state.by_agent else 1)
    return (own, int(state.withheld) + int(state.discarded), None if state.labelled is None else int(state.labelled))


def _bucket_rows(own: str, envelope: Envelope) -> Sequence[SideWrite]:
    match envelope.event:
        case TriggerSet(bucket=key) | TriggerHeldBack(bucket=key) | LearningAsked(bucket=key):
            return (_opened(bucket_id(key), key, envelope.at_us),)
        case ExamplesReserved() as reserved:
            if reserved.again:
                return (write(_RESERVE_AGAIN, reserved.job_id, own),)
            left = msgspec.json.encode(reserved.held_back).decode()
            taken = (reserved.through_position, reserved.taking, left)
            return (write(_RESERVE, reserved.job_id, own, *taken),)
        case ExamplesConsumed(job_id=job_id):
            return (write(_CONSUME, job_id),)
        case ExamplesReturned(job_id=job_id):
            return (write(_RETURN, job_id),)
        case _:
            return ()
