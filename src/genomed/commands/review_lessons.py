"""From approved synthetic rows to lessons: what a draft's review batches give when it is frozen.

Both kinds of approval count, a person's and the policy's; nothing that waits, was rejected or was made again does.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from genomed.commands.context import Context, as_text
from genomed.entities.dataset_port import Lesson
from genomed.entities.review import LET_IN, lesson_of, read_body
from genomed.entities.types import ReviewState


class Approved(Struct, frozen=True, kw_only=True):
    """lessons: in the order in which they were proposed. erased: approved rows whose words are gone."""

    lessons: tuple[Lesson, ...]
    erased: int


_ITEMS = """
SELECT item_id, sha256, reviewer, state FROM review_items
WHERE batch_id IN (SELECT value FROM json_each(?)) AND state IN (SELECT value FROM json_each(?)) ORDER BY position
"""


async def approved_lessons(context: Context, batch_ids: Sequence[str]) -> Approved:
    """What may be trained on of these batches, corrected where somebody corrected it."""
    batches, states = (msgspec.json.encode(sorted(words)).decode() for words in (batch_ids, LET_IN))
    lessons: list[Lesson] = []
    erased = 0
    for item_id, sha256, reviewer, state in await context.log.query(_ITEMS, (batches, states)):
        raw = await context.log.blob(as_text(sha256))
        if raw is None:
            erased += 1
            continue
        approved_by = as_text(reviewer) if state == ReviewState.APPROVED else None
        lessons.append(lesson_of(as_text(item_id), read_body(raw), approved_by=approved_by))
    return Approved(lessons=tuple(lessons), erased=erased)
