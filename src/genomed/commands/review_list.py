"""genome/review-list: batches of synthetic rows, with what became of their items, newest first, page by page."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, Paged, as_int, as_text
from genomed.commands.review_view import BatchView, batch_views
from genomed.entities.configuration import Name
from genomed.entities.errors import NotFound
from genomed.entities.types import Role

NAME = "genome/review-list"
SUMMARY = "List batches of synthetic rows that wait for approval, or had it."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """waiting: true: only batches with items to decide; false: only those without. cursor: nextCursor of the page
    before.
    """

    draft_id: Name | None = None
    persona_id: Name | None = None
    run_id: Name | None = None
    waiting: bool | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Name | None = None


class Result(Paged, frozen=True, kw_only=True, rename="camel"):
    """pending: items that wait for a person, over all batches that the filters choose."""

    batches: tuple[BatchView, ...]
    pending: int


_CHOSEN = """
FROM review_batches AS b WHERE (?1 IS NULL OR draft_id = ?1) AND (?2 IS NULL OR persona_id = ?2)
  AND (?3 IS NULL OR run_id = ?3)
  AND (?4 IS NULL OR ?4 = EXISTS
       (SELECT 1 FROM review_items AS i WHERE i.batch_id = b.batch_id AND i.state IN ('pending', 'regenerating')))
"""
_PAGE = f"SELECT batch_id {_CHOSEN} AND (?5 IS NULL OR batch_id < ?5) ORDER BY batch_id DESC LIMIT ?6"
_PENDING = f"SELECT COUNT(*) FROM review_items WHERE state = 'pending' AND batch_id IN (SELECT batch_id {_CHOSEN})"  # noqa: S608  (our own text)


async def run(params: Params, context: Context) -> Result:
    """Raises NotFound for a draft that there never was."""
    as_of = context.log.head().position
    waiting = None if params.waiting is None else int(params.waiting)
    chosen = (params.draft_id, params.persona_id, params.run_id, waiting)
    rows = await context.log.query(_PAGE, (*chosen, params.cursor, params.limit + 1))
    [[pending]] = await context.log.query(_PENDING, chosen)
    ids = [as_text(row[0]) for row in rows]
    if not ids and params.draft_id is not None:
        await _known_draft(context, params.draft_id)
    shown = ids[: params.limit]
    return Result(
        batches=await batch_views(context, shown),
        pending=as_int(pending),
        next_cursor=shown[-1] if len(ids) > params.limit else None,
        as_of=as_of,
    )


async def _known_draft(context: Context, draft_id: str) -> None:
    """A batch may name a draft that lies in no stream of this log."""
    named = await context.log.query("SELECT 1 FROM review_batches WHERE draft_id = ? LIMIT 1", (draft_id,))
    if not named and (await context.log.load(f"draft/{draft_id}")).version == 0:
        raise NotFound(f"there is no draft {draft_id}", field="draftId", remedy="genome/dataset-list names them")
