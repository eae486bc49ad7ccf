"""The queue's tables follow from the log alone: whatever was decided, a rebuild gives the same rows."""

from pathlib import Path

from tests.commands.reviewing import a_batch, closed, regenerated, sum_row
from tests.daemon.daemon_rig import Rig, running

from genomed.entities.journal_port import SqlValue
from genomed.entities.types import ReviewPolicy


async def tables(rig: Rig) -> list[list[tuple[SqlValue, ...]]]:
    return [
        await rig.journal.query("SELECT * FROM review_batches ORDER BY batch_id"),
        await rig.journal.query("SELECT * FROM review_items ORDER BY item_id"),
    ]


async def test_a_rebuild_of_the_queue_equals_what_the_appends_made(tmp_path: Path) -> None:
    async with running(tmp_path / "d", courier=False, triggers=False) as rig:
        ids = await a_batch(rig, rows=4, confidences=[0.1, None, 0.9], suggestions=["approve"])
        await a_batch(rig, "rev-2", rows=2, policy=ReviewPolicy.OFF, draft_id="dr-2")
        await rig.call("review-decide", {"decision": "approve", "corrections": {ids[0]: "nought"}})
        await rig.call("review-decide", {"decision": "regenerate", "itemIds": [ids[1]], "note": "again"})
        await regenerated(rig, ids[1], "itm-child", sum_row(9))
        await rig.call("review-decide", {"decision": "reject", "itemIds": ["itm-child"]})
        await closed(rig)
        before = await tables(rig)
        assert [len(table) for table in before] == [2, 7]
        await rig.journal.rebuild()
        assert await tables(rig) == before
        assert (await rig.journal.verify()).ok
