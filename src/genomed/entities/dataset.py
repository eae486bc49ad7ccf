"""A dataset: a frozen, content-addressed version of rows. Pure: identity, and the fold of its few events."""

from hashlib import sha256
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from genomed.entities.errors import Conflict
from genomed.entities.events import DatasetEvent, DatasetFrozen
from genomed.entities.facts import DatasetFacts
from genomed.entities.forget_events import DatasetArchived, RowsForgotten
from genomed.entities.ids import DatasetId, base32


class Dataset(Struct, frozen=True, kw_only=True, rename="camel"):
    """forgotten: rows that were erased from it; one with any is tainted, and no new job trains on it, nor on an
    archived one.
    """

    frozen: DatasetFrozen
    frozen_us: int
    forgotten: int = 0
    archived: str | None = None

    def refuse_retired(self, dataset_id: str, *, field: str | None = None) -> None:
        """Raises Conflict where nothing new may learn from it. field: of the request, where the dataset is named."""
        if self.forgotten:
            raise Conflict(
                f"{self.forgotten} rows of dataset {dataset_id} were forgotten, and nothing new learns from it",
                field=field,
                remedy="freeze what is left: genome/dataset-freeze for its draft, genome/dataset-create for its bucket",
            )
        if self.archived is not None:
            raise Conflict(
                f"dataset {dataset_id} is archived: {self.archived}",
                field=field,
                remedy="name a dataset that genome/dataset-list shows",
            )

    def facts(self, dataset_id: str) -> DatasetFacts:
        return DatasetFacts(
            dataset_id=dataset_id,
            row_kind=self.frozen.row_kind,
            rows=self.frozen.rows,
            eval_rows=self.frozen.eval_rows,
            size_bytes=self.frozen.size_bytes,
            longest_row_bytes=self.frozen.longest_row_bytes,
            features=self.frozen.features,
        )


def evolve(dataset: Dataset | None, event: DatasetEvent, *, at_us: int) -> Dataset:
    """Frozen once; what was frozen never changes but by forgetting. Raises ValueError for an event before that."""
    if isinstance(event, DatasetFrozen):
        return dataset or Dataset(frozen=event, frozen_us=at_us)
    if dataset is None:
        raise ValueError("a dataset's stream opens with dataset.frozen")
    match event:
        case RowsForgotten(rows=rows):
            return replace(dataset, forgotten=dataset.forgotten + rows)
        case DatasetArchived(reason=reason):
            return replace(dataset, archived=reason)
        case _:
            assert_never(event)


def dataset_id(*, persona_id: str, row_kind: str, train_sha256: str, eval_sha256: str | None) -> DatasetId:
    """Equal content of one persona has one id."""
    text = "\0".join((persona_id, row_kind, train_sha256, eval_sha256 or ""))
    return DatasetId(f"ds-{base32(int.from_bytes(sha256(text.encode()).digest()[:10], 'big'), 16)}")
