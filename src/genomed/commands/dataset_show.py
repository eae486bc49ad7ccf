"""genome/dataset-show: one dataset, its first rows, and what learned from it."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, Lineage, as_text, load_as
from genomed.entities.configuration import Name
from genomed.entities.dataset import Dataset
from genomed.entities.facts import DatasetSource
from genomed.entities.types import Role, RowKind

NAME = "genome/dataset-show"
SUMMARY = "Show a dataset, its first rows, and which layers learned from it."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """lineageRows, lineageAfter: how many rows to trace, and behind how many; all of them, page by page."""

    dataset_id: Name
    preview_rows: Annotated[int, Meta(ge=0, le=100)] = 3
    lineage_rows: Annotated[int, Meta(ge=0, le=1000)] = 0
    lineage_after: Annotated[int, Meta(ge=0)] = 0


class DatasetView(Struct, frozen=True, kw_only=True, rename="camel"):
    dataset_id: str
    name: str
    persona_id: str
    row_kind: RowKind
    rows: int
    eval_rows: int
    size_bytes: int
    duplicates: int
    unusable: int
    train_sha256: str
    eval_sha256: str | None
    source: DatasetSource
    frozen_us: int


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """preview: rows of the training part as JSON text. lineage: for each traced row, what made it.

    jobs, layers: those that learned from it.
    """

    dataset: DatasetView
    preview: tuple[str, ...]
    lineage: tuple[Lineage, ...]
    jobs: tuple[str, ...]
    layers: tuple[str, ...]


async def run(params: Params, context: Context) -> Result:
    """Raises NotFound."""
    what = f"dataset {params.dataset_id}"
    dataset, _ = await load_as(context, f"dataset/{params.dataset_id}", Dataset, what=what)
    preview = await context.datasets.preview(params.dataset_id, limit=params.preview_rows)
    lineage = await context.datasets.lineage(params.dataset_id, after=params.lineage_after, limit=params.lineage_rows)
    jobs = await context.log.query(
        "SELECT job_id, layer_id FROM jobs WHERE dataset_id = ? ORDER BY job_id", (params.dataset_id,)
    )
    return Result(
        dataset=dataset_view(params.dataset_id, dataset),
        preview=tuple(preview),
        lineage=tuple(lineage),
        jobs=tuple(as_text(job) for job, _ in jobs),
        layers=tuple(as_text(layer) for _, layer in jobs if layer is not None),
    )


def dataset_view(dataset_id: str, dataset: Dataset) -> DatasetView:
    frozen = dataset.frozen
    return DatasetView(
        dataset_id=dataset_id,
        name=frozen.name,
        persona_id=frozen.persona_id,
        row_kind=frozen.row_kind,
        rows=frozen.rows,
        eval_rows=frozen.eval_rows,
        size_bytes=frozen.size_bytes,
        duplicates=frozen.duplicates,
        unusable=frozen.unusable,
        train_sha256=frozen.train_sha256,
        eval_sha256=frozen.eval_sha256,
        source=frozen.source,
        frozen_us=dataset.frozen_us,
    )
