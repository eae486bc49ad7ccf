"""What tests of reviewing share: a batch of rows that wait, as a recipe's run would have left it."""

from collections.abc import Sequence

from tests.daemon.daemon_rig import Json, Rig

from genomed.commands.context import Caller
from genomed.entities.dataset_port import Generated
from genomed.entities.envelope import Blob, Cause, Write
from genomed.entities.review import Batch, Item, body_of, proposed, replaced
from genomed.entities.review_events import ReviewClosed, ReviewOpened
from genomed.entities.rows import ChatRow, Message, Row
from genomed.entities.types import ReviewPolicy, Role

RUN = Cause(actor="daemon")
AGENT = Caller(actor="uid:2000", role=Role.CAPTURE)
REVIEWER = Caller(actor="uid:3000", role=Role.OPERATE)
MADE = Generated(recipe="sums", version="1", run_id="run-1", model="m")


def sum_row(n: int) -> Row:
    asked = Message(role="user", content=f"{n}+{n}")
    return ChatRow(messages=(asked, Message(role="assistant", content=str(2 * n))))


async def a_batch(
    rig: Rig,
    batch_id: str = "rev-1",
    *,
    draft_id: str = "dr-1",
    rows: Sequence[Row] | int = 3,
    policy: ReviewPolicy = ReviewPolicy.MANUAL,
    confidences: Sequence[float | None] = (),
    suggestions: Sequence[str | None] = (),
    recipe: str | None = "sums",
) -> list[str]:
    """Opens a batch with its items; their ids, `itm-<batch>-<n>`."""
    opened = ReviewOpened(
        draft_id=draft_id, persona_id="ada", policy=policy, threshold=0.85, recipe=recipe, run_id="run-1"
    )
    writes: list[Write] = [Write(stream=f"review/{batch_id}", expected=0, events=(opened,))]
    blobs: list[Blob] = []
    ids: list[str] = []
    batch = Batch(draft_id=draft_id, persona_id="ada", policy=policy, threshold=0.85, opened_us=0, recipe=recipe)
    for n, row in enumerate([sum_row(n) for n in range(rows)] if isinstance(rows, int) else rows):
        ids.append(f"itm-{batch_id}-{n:04}")
        body = body_of(row, salt=f"s{n}", generated=MADE, group=f"g{n}", source="run-1", notes={"tries": 1})
        write, blob = proposed(
            ids[-1],
            body,
            batch_id=batch_id,
            batch=batch,
            confidence=confidences[n] if n < len(confidences) else None,
            suggestion=suggestions[n] if n < len(suggestions) else None,
            item_key=f"k{n}",
        )
        writes.append(write)
        blobs.append(blob)
    await rig.journal.append(writes, cause=RUN, blobs=blobs)
    return ids


async def closed(rig: Rig, batch_id: str = "rev-1") -> None:
    write = Write(stream=f"review/{batch_id}", expected=1, events=(ReviewClosed(reason="the run ended"),))
    await rig.journal.append([write], cause=RUN)


async def regenerated(rig: Rig, item_id: str, child_id: str, row: Row) -> None:
    """What the engine does of an item that is to be made again: the child and the parent's memory of it in one."""
    item, version = await item_of(rig, item_id)
    batch = (await rig.journal.load(f"review/{item.batch_id}")).state
    assert isinstance(batch, Batch)
    body = body_of(row, salt="child", generated=MADE, group="g", source="run-1")
    child, blob = proposed(child_id, body, batch_id=item.batch_id, batch=batch, confidence=1.0, parent=(item_id, item))
    await rig.journal.append([child, replaced(item_id, version, child_id)], cause=RUN, blobs=[blob])


async def item_of(rig: Rig, item_id: str) -> tuple[Item, int]:
    loaded = await rig.journal.load(f"item/{item_id}")
    assert isinstance(loaded.state, Item)
    return loaded.state, loaded.version


async def states(rig: Rig, batch_id: str = "rev-1") -> Json:
    """Item id -> state, as review-show tells it."""
    shown = await rig.call("review-show", {"batchId": batch_id, "limit": 200})
    return {item["itemId"]: item["state"] for item in shown["items"]}
