"""review-show gives each row as it would be trained on, with all that is known of it, page by page without loss."""

from itertools import pairwise

import pytest
from tests.commands.reviewing import a_batch, item_of, regenerated, sum_row
from tests.daemon.daemon_rig import Json, Rig

from genomed.entities.errors import ErrorKind


async def test_an_item_is_shown_with_its_row_and_what_is_known_of_it(quiet: Rig) -> None:
    [item_id] = await a_batch(quiet, rows=1, confidences=[0.8], suggestions=["reject"])
    shown = await quiet.call("review-show", {"batchId": "rev-1"})
    [item] = shown["items"]
    assert item["row"] == {"messages": [{"role": "user", "content": "0+0"}, {"role": "assistant", "content": "0"}]}
    assert (item["itemId"], item["state"], item["confidence"], item["suggestion"]) == (
        item_id,
        "pending",
        0.8,
        "reject",
    )
    assert (item["notes"], item["itemKey"], item["generated"]["recipe"]) == ({"tries": 1}, "k0", "sums")
    assert [batch["batchId"] for batch in shown["batches"]] == ["rev-1"]


async def test_a_corrected_row_is_shown_beside_what_it_was(quiet: Rig) -> None:
    [item_id] = await a_batch(quiet, rows=1)
    await quiet.call("review-decide", {"corrections": {item_id: "zero"}, "decision": "approve", "note": "in words"})
    [item] = (await quiet.call("review-show", {"itemId": item_id}))["items"]
    assert item["row"]["messages"][-1]["content"] == "zero"
    assert item["originalRow"]["messages"][-1]["content"] == "0"
    assert (item["state"], item["note"], item["reviewer"]) == ("approved", "in words", "uid:1000")


async def test_one_item_is_shown_with_every_try_at_its_row_oldest_first(quiet: Rig) -> None:
    [first] = await a_batch(quiet, rows=1)
    chain = [first, "itm-second", "itm-third"]
    for parent, child in pairwise(chain):
        await quiet.call("review-decide", {"itemIds": [parent], "decision": "regenerate", "note": f"not {parent}"})
        await regenerated(quiet, parent, child, sum_row(7))
    items: list[Json] = []
    for one in chain:
        items = (await quiet.call("review-show", {"itemId": one}))["items"]
        assert [(item["itemId"], item["generation"]) for item in items] == [(own, n) for n, own in enumerate(chain)]
    assert [item["state"] for item in items] == ["regenerated", "regenerated", "pending"]
    assert [item["childItemId"] for item in items] == ["itm-second", "itm-third", None]
    assert [item["originalItemId"] for item in items] == [None, first, first]
    assert items[0]["note"] == f"not {first}"


async def test_pages_hold_every_item_once_in_the_order_of_the_queue(quiet: Rig) -> None:
    ids = await a_batch(quiet, rows=7)
    for whose in ({"batchId": "rev-1"}, {"draftId": "dr-1"}):
        seen: list[str] = []
        cursor = None
        while True:
            page = await quiet.call("review-show", whose | {"limit": 3, "cursor": cursor})
            seen += [item["itemId"] for item in page["items"]]
            cursor = page["nextCursor"]
            if cursor is None:
                break
        assert seen == ids


async def test_items_are_found_by_state_and_by_how_good_they_are_known_to_be(quiet: Rig) -> None:
    ids = await a_batch(quiet, rows=4, confidences=[0.2, 0.9, None, 0.95])
    await quiet.call("review-decide", {"itemIds": ids[:2], "decision": "approve"})

    async def found(**chosen: object) -> list[str]:
        return [item["itemId"] for item in (await quiet.call("review-show", {"batchId": "rev-1"} | chosen))["items"]]

    assert await found(states=["approved"]) == ids[:2]
    assert await found(states=["pending", "rejected"]) == ids[2:]
    assert await found(minConfidence=0.9) == [ids[1], ids[3]]
    assert await found(states=["pending"], minConfidence=0.9) == [ids[3]]


async def test_an_erased_row_is_shown_as_gone_and_its_history_stands(quiet: Rig) -> None:
    [item_id] = await a_batch(quiet, rows=1, confidences=[0.8])
    item, _ = await item_of(quiet, item_id)
    await quiet.journal.erase_blob(item.sha256)
    [shown] = (await quiet.call("review-show", {"itemId": item_id}))["items"]
    assert (shown["row"], shown["confidence"], shown["state"]) == (None, 0.8, "pending")


@pytest.mark.parametrize(
    ("params", "kind"),
    [
        ({}, ErrorKind.INVALID_REQUEST),
        ({"batchId": "rev-1", "itemId": "itm-1"}, ErrorKind.INVALID_REQUEST),
        ({"batchId": "rev-1", "cursor": "x"}, ErrorKind.INVALID_REQUEST),
        ({"batchId": "rev-1", "states": ["proposed"]}, ErrorKind.INVALID_REQUEST),
        ({"batchId": "rev-9"}, ErrorKind.NOT_FOUND),
        ({"itemId": "itm-9"}, ErrorKind.NOT_FOUND),
        ({"draftId": "dr-9"}, ErrorKind.NOT_FOUND),
    ],
)
async def test_what_cannot_be_shown_is_refused(quiet: Rig, params: dict[str, object], kind: ErrorKind) -> None:
    assert (await quiet.refused("review-show", params)).kind is kind
