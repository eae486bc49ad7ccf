"""genome/dataset-list: frozen datasets, newest first, page by page."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, Paged, as_int, as_text
from genomed.commands.dataset_show import DatasetView, dataset_view
from genomed.entities.configuration import Name
from genomed.entities.dataset import Dataset
from genomed.entities.types import Role, RowKind

NAME = "genome/dataset-list"
SUMMARY = "List the datasets, newest first."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    persona_id: Name | None = None
    row_kind: RowKind | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(pattern="^[0-9]{1,18}$")] | None = None


class Result(Paged, frozen=True, kw_only=True, rename="camel"):
    datasets: tuple[DatasetView, ...]


_PAGE = """
SELECT dataset_id, position FROM datasets
WHERE (?1 IS NULL OR persona_id = ?1) AND (?2 IS NULL OR row_kind = ?2) AND (?3 IS NULL OR position < ?3)
ORDER BY position DESC LIMIT ?4
"""


async def run(params: Params, context: Context) -> Result:
    as_of = context.log.head().position
    cursor = int(params.cursor) if params.cursor else None
    kind = params.row_kind.value if params.row_kind else None
    rows = await context.log.query(_PAGE, (params.persona_id, kind, cursor, params.limit + 1))
    views = []
    for dataset_id, _ in rows[: params.limit]:
        loaded = await context.log.load(f"dataset/{as_text(dataset_id)}")
        if isinstance(loaded.state, Dataset):
            views.append(dataset_view(as_text(dataset_id), loaded.state))
    more = len(rows) > params.limit
    return Result(
        datasets=tuple(views),
        next_cursor=str(as_int(rows[params.limit - 1][1])) if more else None,
        as_of=as_of,
    )
