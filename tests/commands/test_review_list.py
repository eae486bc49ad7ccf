"""review-list counts what became of each batch's rows, newest first, page by page without loss."""

import pytest
from tests.commands.drafting import a_draft
from tests.commands.reviewing import a_batch, closed, regenerated, sum_row
from tests.daemon.daemon_rig import Rig

from genomed.entities.types import ReviewPolicy


async def test_a_batch_is_shown_with_its_items_by_state_and_the_share_that_was_let_in(quiet: Rig) -> None:
    ids = await a_batch(quiet, rows=5)
    for item_id, decision in zip(ids, ("approve", "approve", "reject", "regenerate"), strict=False):
        await quiet.call("review-decide", {"itemIds": [item_id], "decision": decision})
    await regenerated(quiet, ids[3], "itm-child", sum_row(9))
    [batch] = (await quiet.call("review-list"))["batches"]
    assert batch["counts"] == {"pending": 2, "approved": 2, "rejected": 1, "regenerated": 1}
    assert batch["items"] == 6
    assert batch["approvalRate"] == pytest.approx(2 / 4)
    assert (batch["batchId"], batch["draftId"], batch["recipe"], batch["closed"]) == ("rev-1", "dr-1", "sums", None)


async def test_a_batch_of_which_nothing_is_decided_has_no_approval_rate(quiet: Rig) -> None:
    await a_batch(quiet)
    [batch] = (await quiet.call("review-list"))["batches"]
    assert batch["approvalRate"] is None


async def test_rows_that_the_policy_let_in_count_as_let_in(quiet: Rig) -> None:
    await a_batch(quiet, policy=ReviewPolicy.THRESHOLD, confidences=[0.9, 0.85, 0.84, None], rows=4)
    [batch] = (await quiet.call("review-list"))["batches"]
    assert batch["counts"] == {"auto_approved": 2, "pending": 2}
    assert batch["approvalRate"] == 1.0


async def test_batches_are_found_by_draft_persona_run_and_by_what_waits_in_them(quiet: Rig) -> None:
    await a_batch(quiet, "rev-1", draft_id="dr-1", rows=2)
    await a_batch(quiet, "rev-2", draft_id="dr-2", rows=3)
    await quiet.call("review-decide", {"batchId": "rev-1", "decision": "reject"})
    await closed(quiet, "rev-1")

    async def found(**chosen: object) -> tuple[list[str], int]:
        answer = await quiet.call("review-list", chosen)
        return [batch["batchId"] for batch in answer["batches"]], answer["pending"]

    assert await found() == (["rev-2", "rev-1"], 3)
    assert await found(draftId="dr-1") == (["rev-1"], 0)
    assert await found(waiting=True) == (["rev-2"], 3)
    assert await found(waiting=False) == (["rev-1"], 0)
    assert await found(personaId="bob") == ([], 0)
    assert await found(runId="run-1", waiting=True) == (["rev-2"], 3)


async def test_pages_hold_every_batch_once_newest_first(quiet: Rig) -> None:
    for n in range(7):
        await a_batch(quiet, f"rev-{n}", rows=1)
    seen: list[str] = []
    cursor = None
    while True:
        page = await quiet.call("review-list", {"limit": 3, "cursor": cursor})
        seen += [batch["batchId"] for batch in page["batches"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert seen == [f"rev-{n}" for n in reversed(range(7))]


async def test_a_batch_says_why_nothing_more_comes(quiet: Rig) -> None:
    await a_batch(quiet)
    await closed(quiet)
    [batch] = (await quiet.call("review-list"))["batches"]
    assert batch["closed"] == "the run ended"


async def test_a_draft_that_does_not_exist_is_no_empty_list(quiet: Rig) -> None:
    await a_batch(quiet, draft_id="dr-1")
    error = await quiet.refused("review-list", {"draftId": "true"})
    assert (error.kind, error.field) == ("not_found", "draftId")
    empty = await a_draft(quiet)
    assert (await quiet.call("review-list", {"draftId": empty}))["batches"] == []
