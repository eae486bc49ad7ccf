"""Every event of a draft has a sentence that a person can act on."""

import pytest

from genomed.entities.cleaning import CleaningRules
from genomed.entities.draft_events import (
    CleaningChosen,
    DraftArchived,
    DraftFrozen,
    DraftOpened,
    InteractionsAttached,
    ReviewAttached,
    SegmentAdded,
    SegmentRemoved,
    SourceDetached,
    SplitChosen,
)
from genomed.entities.events import Event
from genomed.entities.forget_events import DatasetArchived, RowsForgotten
from genomed.entities.narration import narrate
from genomed.entities.types import RowKind

SEGMENT = SegmentAdded(
    sha256="0" * 64, rows=30, size_bytes=1, format="alpaca", file_name="a.json", file_sha256="0" * 64
)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (
            DraftOpened(name="sums", persona_id="ada", row_kind=RowKind.CHAT),
            "draft sums opened for chat rows of ada, policy manual",
        ),
        (SEGMENT, "30 rows added from a.json (alpaca)"),
        (
            InteractionsAttached(method="sft", domain="sums", through_position=9),
            "interactions in sums up to position 9 attached, by sft",
        ),
        (ReviewAttached(batch_id="rev-1", recipe="relations"), "review batch rev-1 of relations attached"),
        (ReviewAttached(batch_id="rev-1"), "review batch rev-1 attached"),
        (SegmentRemoved(sha256="0" * 64, rows=30, file_name="a.json"), "30 rows of a.json taken out"),
        (SourceDetached(batch_id="rev-1"), "review batch rev-1 detached"),
        (SourceDetached(method="sft", domain="sums"), "interactions in sums, by sft, detached"),
        (SplitChosen(eval_share=0.25, seed=7), "25% of its rows are held out, by seed 7"),
        (CleaningChosen(rules=CleaningRules()), "other cleaning rules were chosen"),
        (DraftFrozen(dataset_id="ds-1", version=2), "version 2 frozen: ds-1"),
        (DraftArchived(reason="done"), "archived: done"),
        (DatasetArchived(reason="bad labels"), "archived: bad labels"),
        (RowsForgotten(forget_id="fgt-1", rows=3), "3 rows forgotten (fgt-1): nothing new learns from it"),
    ],
)
def test_an_event_of_a_draft_is_told_in_a_sentence(event: Event, text: str) -> None:
    assert narrate(event).text == text
