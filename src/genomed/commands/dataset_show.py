"""genome/dataset-show: one dataset or draft, its first rows, where each came from, and what learned from it."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context
from genomed.commands.dataset_view import DatasetView, Learner, dataset_view, exactly_one, learners, load_dataset
from genomed.commands.draft_view import DraftView, draft_view, load_draft
from genomed.commands.row_trace import RowTrace, row_trace
from genomed.entities.configuration import Name
from genomed.entities.dataset import Dataset
from genomed.entities.dataset_port import Lineage
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.types import Role

NAME = "genome/dataset-show"
SUMMARY = "Show a dataset or a draft: sources, steps, first rows, and which layers learned from it."
ROLE = Role.READ

RowId = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Exactly one of datasetId and draftId. datasetId: of a frozen one. draftId: of one that is open. previewRows: how
    many rows to show whole. lineageRows: how many rows to trace, page by page. lineageAfter: behind how many of them.
    rowId: trace this row, back to who said it and forward to layers.
    """

    dataset_id: Name | None = None
    draft_id: Name | None = None
    preview_rows: Annotated[int, Meta(ge=0, le=100)] = 3
    lineage_rows: Annotated[int, Meta(ge=0, le=1000)] = 0
    lineage_after: Annotated[int, Meta(ge=0)] = 0
    row_id: RowId | None = None


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """dataset or draft: which one was asked for. preview: rows of the training part as JSON text; of a draft, of its
    newest version. lineage: for each traced row, what made it.

    jobs, layers: those that learned from it, or from any version of the draft. learners: the same, side by side.
    """

    dataset: DatasetView | None
    draft: DraftView | None
    preview: tuple[str, ...]
    lineage: tuple[Lineage, ...]
    jobs: tuple[str, ...]
    layers: tuple[str, ...]
    learners: tuple[Learner, ...]
    row: RowTrace | None


async def run(params: Params, context: Context) -> Result:
    """Raises NotFound."""
    exactly_one(datasetId=params.dataset_id, draftId=params.draft_id)
    if params.draft_id is not None:
        return await _draft(params, params.draft_id, context)
    dataset_id = params.dataset_id or ""
    dataset = await load_dataset(context, dataset_id)
    learned = await learners(context, [dataset_id])
    return _result(
        learned,
        dataset=dataset_view(dataset_id, dataset),
        preview=await context.datasets.preview(dataset_id, limit=params.preview_rows),
        lineage=await _lineage(params, dataset_id, context),
        row=await _row(params, dataset_id, dataset, context),
    )


async def _draft(params: Params, draft_id: str, context: Context) -> Result:
    draft, _ = await load_draft(context, draft_id)
    view = await draft_view(context, draft_id, draft)
    learned = await learners(context, [one.dataset_id for one in draft.versions])
    if not draft.versions:
        if params.row_id is not None or params.lineage_rows:
            message = "rows have ids and a lineage once they are frozen"
            raise InvalidRequest.of([Problem(field="draftId", message=message, remedy="use genome/dataset-freeze")])
        return _result(learned, draft=view)
    newest = draft.versions[-1].dataset_id
    return _result(
        learned,
        draft=view,
        preview=await context.datasets.preview(newest, limit=params.preview_rows),
        lineage=await _lineage(params, newest, context),
        row=await _row(params, newest, await load_dataset(context, newest), context),
    )


async def _lineage(params: Params, dataset_id: str, context: Context) -> list[Lineage]:
    if not params.lineage_rows:
        return []
    return await context.datasets.lineage(dataset_id, after=params.lineage_after, limit=params.lineage_rows)


async def _row(params: Params, dataset_id: str, dataset: Dataset, context: Context) -> RowTrace | None:
    return None if params.row_id is None else await row_trace(context, dataset_id, dataset, params.row_id)


def _result(
    learned: tuple[Learner, ...],
    *,
    dataset: DatasetView | None = None,
    draft: DraftView | None = None,
    preview: list[str] | None = None,
    lineage: list[Lineage] | None = None,
    row: RowTrace | None = None,
) -> Result:
    return Result(
        dataset=dataset,
        draft=draft,
        preview=tuple(preview or ()),
        lineage=tuple(lineage or ()),
        jobs=tuple(one.job_id for one in learned),
        layers=tuple(one.layer_id for one in learned if one.layer_id is not None),
        learners=learned,
        row=row,
    )
