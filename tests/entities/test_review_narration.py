"""Every event of a review has a sentence, and none quotes a row."""

import pytest

from genomed.entities.events import Event
from genomed.entities.narration import narrate
from genomed.entities.review_events import (
    ItemDecided,
    ItemForgotten,
    ItemProposed,
    ItemRegenerated,
    RegenerationFailed,
    ReviewClosed,
    ReviewOpened,
)
from genomed.entities.types import ReviewPolicy, ReviewState, RowKind

OPENED = ReviewOpened(draft_id="dr-1", persona_id="ada", policy=ReviewPolicy.MANUAL, threshold=0.85, recipe="relations")
PROPOSED = ItemProposed(
    batch_id="rev-1", sha256="a" * 64, size_bytes=9, row_kind=RowKind.CHAT, state=ReviewState.PENDING, confidence=0.8
)
DECIDED = ItemDecided(state=ReviewState.APPROVED, reviewer="eve", corrected_sha256="c" * 64)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (OPENED, "review opened for draft dr-1: rows by relations, policy manual"),
        (ReviewClosed(reason="the run ended"), "review closed: the run ended"),
        (PROPOSED, "chat row proposed, confidence 0.8: waits for approval"),
        (DECIDED, "row approved as corrected by eve"),
        (ItemDecided(state=ReviewState.PENDING, reviewer="eve"), "row put back into the queue by eve"),
        (ItemDecided(state=ReviewState.REGENERATING, reviewer="eve"), "row rejected, to be made again by eve"),
        (ItemRegenerated(child_item_id="itm-2"), "row made again: itm-2 waits for approval"),
        (RegenerationFailed(reason="three bad answers"), "row could not be made again: three bad answers"),
        (ItemForgotten(forget_id="fg-1"), "row forgotten (fg-1)"),
    ],
)
def test_an_event_of_a_review_is_told_in_a_sentence(event: Event, text: str) -> None:
    assert narrate(event).text == text
