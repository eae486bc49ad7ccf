"""What a person may decide of a synthetic row, and what that changes. Pure.

Who may review is not known here, nor how a better row is made.
"""

from enum import StrEnum

from genomed.entities.errors import Conflict, GenomeError, InvalidRequest, Unsupported
from genomed.entities.review import MAX_GENERATIONS, Batch, Item
from genomed.entities.review_events import ItemDecided
from genomed.entities.types import ReviewState


class Decision(StrEnum):
    """reopen: takes a decision back, so that the item waits in the queue again."""

    APPROVE = "approve"
    REJECT = "reject"
    REGENERATE = "regenerate"
    REOPEN = "reopen"


_LEADS_TO = {
    Decision.APPROVE: ReviewState.APPROVED,
    Decision.REJECT: ReviewState.REJECTED,
    Decision.REGENERATE: ReviewState.REGENERATING,
    Decision.REOPEN: ReviewState.PENDING,
}


def decide(
    item: Item,
    decision: Decision,
    *,
    batch: Batch,
    reviewer: str,
    corrected_sha256: str | None = None,
    note_sha256: str | None = None,
    reverse: bool = False,
) -> tuple[ItemDecided, ...]:
    """What a person's decision means; nothing where it was decided so before and nothing is added.

    reverse: also where a person decided otherwise before. Raises Conflict without it, for an item whose place a child
    took, and for one tried too often; Unsupported where no recipe could try again.
    """
    wanted = _LEADS_TO[decision]
    changes = item.state is not wanted or corrected_sha256 is not None
    refusal = _refusal(item, decision, batch) or (None if reverse or not changes else _decided_already(item))
    if refusal is not None:
        raise refusal
    if corrected_sha256 is not None and decision is not Decision.APPROVE:
        raise InvalidRequest(f"a corrected row is approved; {decision} takes none", field="corrections")
    if not changes and note_sha256 is None:
        return ()
    return (ItemDecided(state=wanted, reviewer=reviewer, corrected_sha256=corrected_sha256, note_sha256=note_sha256),)


def _decided_already(item: Item) -> GenomeError | None:
    if item.reviewer is None or item.state is ReviewState.PENDING:
        return None
    return Conflict(f"{item.reviewer} decided already: it is {item.state}", remedy="give reverse to decide otherwise")


def _refusal(item: Item, decision: Decision, batch: Batch) -> GenomeError | None:
    if item.forgotten:
        return Conflict("its words were erased; there is nothing left to decide")
    if item.state is ReviewState.REGENERATED:
        return Conflict(f"item {item.child_item_id} took its place", remedy="decide that one")
    if decision is Decision.REGENERATE and item.state is not ReviewState.REGENERATING:
        if batch.recipe is None:
            return Unsupported("no recipe made it, so none can try again", remedy="correct it, or reject it")
        if item.generation >= MAX_GENERATIONS:
            return Conflict(f"it was tried again {MAX_GENERATIONS} times already", remedy="correct it, or reject it")
    return None
