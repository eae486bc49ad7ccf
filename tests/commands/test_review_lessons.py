"""What is approved does end up in what is frozen: by whom, as corrected, once; what is not, never does."""

from collections.abc import Sequence

from tests.commands.reviewing import a_batch, item_of, regenerated, sum_row
from tests.daemon.daemon_rig import ADMIN, Rig

from genomed.commands.review_lessons import Approved, approved_lessons
from genomed.entities.rows import ChatRow
from genomed.entities.types import ReviewPolicy


async def approved(rig: Rig, batch_ids: Sequence[str] = ("rev-1",)) -> Approved:
    return await approved_lessons(rig.parts.dispatch._context(ADMIN, {}), batch_ids)


def answers(found: Approved) -> list[str | None]:
    return [one.row.messages[-1].content for one in found.lessons if isinstance(one.row, ChatRow)]


async def test_approved_rows_are_taken_and_rejected_waiting_and_replaced_ones_never(quiet: Rig) -> None:
    ids = await a_batch(quiet, rows=6)
    for item_id, decision in zip(ids, ("approve", "reject", "approve", "regenerate", "regenerate"), strict=False):
        await quiet.call("review-decide", {"itemIds": [item_id], "decision": decision})
    await regenerated(quiet, ids[3], "itm-child", sum_row(50))
    assert answers(await approved(quiet)) == ["0", "4"]
    await quiet.call("review-decide", {"itemIds": ["itm-child"], "decision": "approve"})
    assert answers(await approved(quiet)) == ["0", "4", "100"]


async def test_rows_that_the_policy_let_in_are_taken_too(quiet: Rig) -> None:
    ids = await a_batch(quiet, rows=3, policy=ReviewPolicy.THRESHOLD, confidences=[0.9, 0.2, 0.95])
    assert [one.origin for one in (await approved(quiet)).lessons] == [ids[0], ids[2]]
    await quiet.call("review-decide", {"itemIds": [ids[0]], "decision": "reject"})
    assert [one.origin for one in (await approved(quiet)).lessons] == [ids[2]]


async def test_a_corrected_row_is_taken_as_corrected(quiet: Rig) -> None:
    [item_id] = await a_batch(quiet, rows=1)
    await quiet.call("review-decide", {"decision": "approve", "corrections": {item_id: "nought"}})
    assert answers(await approved(quiet)) == ["nought"]


async def test_each_lesson_says_what_made_it_and_who_approved_it(quiet: Rig) -> None:
    ids = await a_batch(quiet, rows=1)
    auto = await a_batch(quiet, "rev-2", rows=1, policy=ReviewPolicy.OFF)
    await quiet.call("review-decide", {"itemIds": ids, "decision": "approve", "reviewer": "eve"})
    found = await approved(quiet, ["rev-1", "rev-2"])
    made = [one.generated for one in found.lessons]
    assert [(one.recipe, one.item_id, one.approved_by) for one in made if one is not None] == [
        ("sums", ids[0], "eve"),
        ("sums", auto[0], None),
    ]


async def test_batches_that_are_not_named_give_nothing(quiet: Rig) -> None:
    await a_batch(quiet, policy=ReviewPolicy.OFF)
    assert (await approved(quiet, [])).lessons == ()
    assert (await approved(quiet, ["rev-other"])).lessons == ()


async def test_words_that_were_erased_are_counted_and_not_taken(quiet: Rig) -> None:
    [item_id] = await a_batch(quiet, rows=1, policy=ReviewPolicy.OFF)
    item, _ = await item_of(quiet, item_id)
    await quiet.journal.erase_blob(item.sha256)
    found = await approved(quiet)
    assert (found.lessons, found.erased) == ((), 1)
