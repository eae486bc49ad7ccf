"""A frozen dataset as the commands show it, what learned from it, and which dataset a request means."""

from collections.abc import Sequence

from msgspec import Struct

from genomed.commands.context import Context, as_text, load_as
from genomed.entities.cleaning import CleaningStep
from genomed.entities.dataset import Dataset
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.facts import DatasetSource
from genomed.entities.types import RowKind


class DatasetView(Struct, frozen=True, kw_only=True, rename="camel"):
    """draftId, version: of the draft that it is a version of. steps: what was done to its rows, in order.

    heldOutWith: earlier datasets whose held-out rows are held out here too. forgotten: rows that were erased; with any,
    or archived, nothing new learns from it. selfGenerated: rows that a recipe wrote.
    """

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
    draft_id: str | None
    version: int | None
    self_generated: int
    features: tuple[str, ...]
    held_out_with: tuple[str, ...]
    steps: tuple[CleaningStep, ...]
    forgotten: int
    archived: str | None


class Learner(Struct, frozen=True, kw_only=True, rename="camel"):
    """A job that was given the dataset, and the layer it made. active: the layer is in use."""

    dataset_id: str
    job_id: str
    status: str
    layer_id: str | None
    active: bool


_LEARNERS = """
SELECT j.dataset_id, j.job_id, j.status, l.layer_id, COALESCE(l.active, 0)
FROM jobs AS j LEFT JOIN layers AS l ON l.layer_id = j.layer_id
WHERE j.dataset_id IN (SELECT value FROM json_each(?)) ORDER BY j.job_id
"""


async def load_dataset(context: Context, dataset_id: str, *, field: str = "datasetId") -> Dataset:
    """Raises NotFound; InvalidRequest for a draft, which is no dataset yet."""
    if dataset_id.startswith("dr-"):
        remedy = "give it as draftId where that is possible, or freeze it with genome/dataset-freeze"
        raise InvalidRequest.of([Problem(field=field, message=f"{dataset_id} is a draft", remedy=remedy)])
    dataset, _ = await load_as(context, f"dataset/{dataset_id}", Dataset, what=f"dataset {dataset_id}")
    return dataset


async def learners(context: Context, dataset_ids: Sequence[str]) -> tuple[Learner, ...]:
    """Oldest job first."""
    rows = await context.log.query(_LEARNERS, ("[" + ",".join(f'"{one}"' for one in dataset_ids) + "]",))
    return tuple(
        Learner(
            dataset_id=as_text(dataset_id),
            job_id=as_text(job_id),
            status=as_text(status),
            layer_id=None if layer_id is None else as_text(layer_id),
            active=bool(active),
        )
        for dataset_id, job_id, status, layer_id, active in rows
    )


def exactly_one(**named: object) -> None:
    """Raises InvalidRequest unless exactly one of these params, in wire names, was given."""
    if sum(value is not None for value in named.values()) != 1:
        told = " and ".join(", ".join(named).rsplit(", ", 1))
        raise InvalidRequest.of([Problem(field=next(iter(named)), message=f"give exactly one of {told}")])


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
        draft_id=frozen.draft_id,
        version=frozen.version,
        self_generated=frozen.self_generated,
        features=frozen.features,
        held_out_with=frozen.held_out_with,
        steps=frozen.steps,
        forgotten=dataset.forgotten,
        archived=dataset.archived,
    )
