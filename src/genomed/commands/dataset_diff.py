"""genome/dataset-diff: which rows one dataset has and the other has not, and whether any held-out row leaked."""

from msgspec import Struct

from genomed.commands.context import Context
from genomed.commands.dataset_view import load_dataset
from genomed.entities.configuration import Name
from genomed.entities.dataset import Dataset
from genomed.entities.types import Role

NAME = "genome/dataset-diff"
SUMMARY = "Compare two datasets row by row."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """datasetId: the earlier one. otherDatasetId: the later one."""

    dataset_id: Name
    other_dataset_id: Name


class Change(Struct, frozen=True, kw_only=True, rename="camel"):
    """A setting that is not the same in both."""

    field: str
    before: str
    after: str


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """added, removed, kept: rows of the later one, compared with the earlier. moved: on another side of the split.

    leaked: held out in the earlier, trained on in the later. addedRows, removedRows: ids of the first of them.
    settings: how they were made, where that differs.
    """

    dataset_id: str
    other_dataset_id: str
    added: int
    removed: int
    kept: int
    moved: int
    leaked: int
    added_rows: tuple[str, ...]
    removed_rows: tuple[str, ...]
    settings: tuple[Change, ...]


async def run(params: Params, context: Context) -> Result:
    """Raises NotFound."""
    first = await load_dataset(context, params.dataset_id)
    second = await load_dataset(context, params.other_dataset_id, field="otherDatasetId")
    with context.activities.running(NAME, params.dataset_id):
        found = await context.datasets.diff(params.dataset_id, params.other_dataset_id)
    return Result(
        dataset_id=params.dataset_id,
        other_dataset_id=params.other_dataset_id,
        added=found.added,
        removed=found.removed,
        kept=found.kept,
        moved=found.moved,
        leaked=found.leaked,
        added_rows=found.added_rows,
        removed_rows=found.removed_rows,
        settings=_settings(first, second),
    )


def _settings(first: Dataset, second: Dataset) -> tuple[Change, ...]:
    def told(dataset: Dataset) -> dict[str, object]:
        frozen = dataset.frozen
        return {
            "personaId": frozen.persona_id,
            "rowKind": frozen.row_kind.value,
            "evalShare": frozen.eval_share,
            "seed": frozen.split_seed,
            "draftId": frozen.draft_id,
            "version": frozen.version,
        }

    before, after = told(first), told(second)
    return tuple(
        Change(field=name, before=_said(value), after=_said(after[name]))
        for name, value in before.items()
        if value != after[name]
    )


def _said(value: object) -> str:
    return "none" if value is None else str(value)
