"""How review batches and their items look from outside, with the words that lie in blobs."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from genomed.commands.context import Context, as_int, as_text, load_as
from genomed.entities.configuration import Scalar
from genomed.entities.dataset_port import Generated
from genomed.entities.json_value import JsonObject
from genomed.entities.review import LET_IN, Batch, Item, note_of, read_body
from genomed.entities.types import ReviewPolicy, ReviewState, RowKind

_COUNTS = """
SELECT batch_id, state, COUNT(*) FROM review_items
WHERE batch_id IN (SELECT value FROM json_each(?)) GROUP BY batch_id, state
"""


class BatchView(Struct, frozen=True, kw_only=True, rename="camel"):
    """counts: items by state. approvalRate: the share that was let in, by a person or the policy, of those decided; a
    row that was tried again counts as not let in; null while nothing is decided. closed: why nothing more comes.
    """

    batch_id: str
    draft_id: str
    persona_id: str
    policy: ReviewPolicy
    threshold: float
    opened_us: int
    recipe: str | None
    run_id: str | None
    source: str | None
    closed: str | None
    items: int
    counts: dict[str, int]
    approval_rate: float | None


class ItemView(Struct, frozen=True, kw_only=True, rename="camel"):
    """row: what would be trained on, as it is now; null where it was erased. originalRow: before its correction.

    reasons, notes: what the recipe says of it. suggestion: the judge's advice. note: the reviewer's words. failure: why
    no better row could be made.
    """

    item_id: str
    batch_id: str
    state: ReviewState
    row_kind: RowKind
    row: JsonObject | None
    original_row: JsonObject | None
    confidence: float | None
    suggestion: str | None
    reasons: tuple[str, ...]
    notes: dict[str, Scalar]
    generated: Generated | None
    generation: int
    parent_item_id: str | None
    child_item_id: str | None
    original_item_id: str | None
    item_key: str | None
    proposed_us: int
    decided_us: int | None
    reviewer: str | None
    note: str | None
    failure: str | None


async def load_batch(context: Context, batch_id: str) -> Batch:
    batch, _ = await load_as(context, f"review/{batch_id}", Batch, what=f"review batch {batch_id}")
    return batch


async def load_item(context: Context, item_id: str) -> tuple[Item, int]:
    return await load_as(context, f"item/{item_id}", Item, what=f"review item {item_id}")


async def batch_views(context: Context, batch_ids: Sequence[str]) -> tuple[BatchView, ...]:
    counts: dict[str, dict[str, int]] = {batch_id: {} for batch_id in batch_ids}
    for batch_id, state, count in await context.log.query(_COUNTS, (msgspec.json.encode(list(batch_ids)).decode(),)):
        counts[as_text(batch_id)][as_text(state)] = as_int(count)
    return tuple([_batch_view(one, await load_batch(context, one), counts[one]) for one in batch_ids])


def _batch_view(batch_id: str, batch: Batch, counts: dict[str, int]) -> BatchView:
    let_in = sum(counts.get(state.value, 0) for state in LET_IN)
    decided = sum(counts.values()) - counts.get(ReviewState.PENDING.value, 0)
    return BatchView(
        batch_id=batch_id,
        draft_id=batch.draft_id,
        persona_id=batch.persona_id,
        policy=batch.policy,
        threshold=batch.threshold,
        opened_us=batch.opened_us,
        recipe=batch.recipe,
        run_id=batch.run_id,
        source=batch.source,
        closed=batch.closed,
        items=sum(counts.values()),
        counts={state.value: counts[state.value] for state in ReviewState if state.value in counts},
        approval_rate=let_in / decided if decided else None,
    )


async def item_view(context: Context, item_id: str) -> ItemView:
    item, _ = await load_item(context, item_id)
    first, now, note = [
        None if sha256 is None else await context.log.blob(sha256)
        for sha256 in (item.sha256, item.current_sha256, item.note_sha256)
    ]
    body = None if now is None else read_body(now)
    before = None if first is None or item.corrected_sha256 is None else read_body(first)
    return ItemView(
        item_id=item_id,
        batch_id=item.batch_id,
        state=item.state,
        row_kind=item.row_kind,
        row=None if body is None else body.row,
        original_row=None if before is None else before.row,
        confidence=item.confidence,
        suggestion=item.suggestion,
        reasons=() if body is None else body.reasons,
        notes={} if body is None else body.notes,
        generated=None if body is None else body.generated,
        generation=item.generation,
        parent_item_id=item.parent_item_id,
        child_item_id=item.child_item_id,
        original_item_id=item.original_item_id,
        item_key=item.item_key,
        proposed_us=item.proposed_us,
        decided_us=item.decided_us,
        reviewer=item.reviewer,
        note=None if note is None else note_of(note),
        failure=item.failure,
    )
