"""genome/review-show: the items of a batch or a draft, page by page with their rows; or one item with its tries."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from genomed.commands.context import Context, Paged, as_int, as_text
from genomed.commands.review_view import BatchView, ItemView, batch_views, item_view, load_item
from genomed.entities.configuration import Name
from genomed.entities.errors import InvalidRequest, NotFound, Problem
from genomed.entities.types import ReviewState, Role

NAME = "genome/review-show"
SUMMARY = "Show synthetic rows: a batch's, a draft's, or one with all its tries."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """batchId, draftId, itemId: exactly one of them; an item is shown with every try at the same row, oldest first.

    states: only items in these. minConfidence: only items that are known to be so good. cursor: nextCursor of the page
    before.
    """

    batch_id: Name | None = None
    draft_id: Name | None = None
    item_id: Name | None = None
    states: tuple[ReviewState, ...] = ()
    min_confidence: Annotated[float, Meta(ge=0, le=1)] | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(pattern="^[0-9]{1,18}$")] | None = None


class Result(Paged, frozen=True, kw_only=True, rename="camel"):
    """batches: those that the items shown belong to; of a batch that was asked for also when it has none."""

    batches: tuple[BatchView, ...]
    items: tuple[ItemView, ...]


_PAGE = """
SELECT item_id, position FROM review_items
WHERE {whose} = ?1 AND {standing} AND (?3 IS NULL OR confidence >= ?3) AND position > ?4
ORDER BY position LIMIT ?5
"""
_TRIES = """
SELECT item_id FROM review_items WHERE item_id = ?1 OR original_item_id = ?1 ORDER BY generation, position
"""


async def run(params: Params, context: Context) -> Result:
    """Raises NotFound, or InvalidRequest unless exactly one thing is asked for."""
    named = [one for one in (params.batch_id, params.draft_id, params.item_id) if one is not None]
    if len(named) != 1:
        raise InvalidRequest.of([Problem(field="", message="give exactly one of batchId, draftId and itemId")])
    as_of = context.log.head().position
    if params.item_id is not None:
        ids, following = await _tries(context, params.item_id), None
    else:
        ids, following = await _page(params, context)
    items = tuple([await item_view(context, one) for one in ids])
    batches = dict.fromkeys([params.batch_id] if params.batch_id is not None else [item.batch_id for item in items])
    return Result(batches=await batch_views(context, list(batches)), items=items, next_cursor=following, as_of=as_of)


async def _tries(context: Context, item_id: str) -> list[str]:
    item, _ = await load_item(context, item_id)
    rows = await context.log.query(_TRIES, (item.original_item_id or item_id,))
    return [as_text(row[0]) for row in rows]


async def _page(params: Params, context: Context) -> tuple[list[str], str | None]:
    whose = "draft_id" if params.batch_id is None else "batch_id"
    standing = "state IN (SELECT value FROM json_each(?2))" if params.states else "?2 = '[]'"
    states = msgspec.json.encode(params.states).decode()
    after = int(params.cursor or 0)
    rows = await context.log.query(
        _PAGE.format(whose=whose, standing=standing),
        (params.batch_id or params.draft_id, states, params.min_confidence, after, params.limit + 1),
    )
    if not rows and params.draft_id is not None:
        await _known_draft(context, params.draft_id)
    shown = rows[: params.limit]
    following = str(as_int(shown[-1][1])) if len(rows) > params.limit else None
    return [as_text(item_id) for item_id, _ in shown], following


async def _known_draft(context: Context, draft_id: str) -> None:
    if (await context.log.load(f"draft/{draft_id}")).version == 0:
        raise NotFound(f"there is no draft {draft_id}")
