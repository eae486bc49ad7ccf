"""genome/dataset-list: drafts and frozen datasets, newest first, page by page."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from genomed.commands.context import Context, Paged, as_int, as_text
from genomed.commands.dataset_view import DatasetView, dataset_view
from genomed.commands.draft_view import DraftView, draft_view
from genomed.entities.configuration import Name
from genomed.entities.dataset import Dataset
from genomed.entities.draft import Draft
from genomed.entities.types import Role, RowKind

NAME = "genome/dataset-list"
SUMMARY = "List drafts and datasets, newest first."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """personaId, rowKind: only theirs. only: drafts, or frozen datasets. draftId: the versions of a draft. bucketId:
    what was frozen of a bucket. archived: those that were archived, too. limit: of a page. cursor: nextCursor of the
    page before.
    """

    persona_id: Name | None = None
    row_kind: RowKind | None = None
    only: Literal["drafts", "frozen"] | None = None
    draft_id: Name | None = None
    bucket_id: Name | None = None
    archived: bool = False
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(pattern="^[0-9]{1,18}$")] | None = None


class Result(Paged, frozen=True, kw_only=True, rename="camel"):
    """A page holds `limit` of both together."""

    datasets: tuple[DatasetView, ...]
    drafts: tuple[DraftView, ...]


_PAGE = """
SELECT id, position FROM (
  SELECT dataset_id AS id, persona_id, row_kind, position, archived, 'frozen' AS what, bucket_id FROM datasets
  UNION ALL
  SELECT draft_id, persona_id, row_kind, position, archived, 'drafts', NULL FROM drafts
)
WHERE (?1 IS NULL OR persona_id = ?1) AND (?2 IS NULL OR row_kind = ?2) AND (?3 IS NULL OR what = ?3)
  AND (?4 IS NULL OR id IN (SELECT dataset_id FROM draft_versions WHERE draft_id = ?4))
  AND (?5 IS NULL OR bucket_id = ?5) AND (?6 OR NOT archived) AND (?7 IS NULL OR position < ?7)
ORDER BY position DESC LIMIT ?8
"""


async def run(params: Params, context: Context) -> Result:
    as_of = context.log.head().position
    cursor = int(params.cursor) if params.cursor else None
    kind = params.row_kind.value if params.row_kind else None
    chosen = (params.persona_id, kind, params.only, params.draft_id, params.bucket_id, int(params.archived), cursor)
    rows = await context.log.query(_PAGE, (*chosen, params.limit + 1))
    datasets, drafts = [], []
    for raw, _ in rows[: params.limit]:
        own = as_text(raw)
        kept = (await context.log.load(f"draft/{own}" if own.startswith("dr-") else f"dataset/{own}")).state
        if isinstance(kept, Dataset):
            datasets.append(dataset_view(own, kept))
        elif isinstance(kept, Draft):
            drafts.append(await draft_view(context, own, kept))
    more = len(rows) > params.limit
    return Result(
        datasets=tuple(datasets),
        drafts=tuple(drafts),
        next_cursor=str(as_int(rows[params.limit - 1][1])) if more else None,
        as_of=as_of,
    )
