"""Frozen datasets: their fold, and the table that finds them.

Knows the log alone. Does not know the other projections.
"""

from collections.abc import Mapping, Sequence
from typing import cast

from genomed.daemon.journal.read_model_port import Fold, fold_of, write
from genomed.entities import dataset as dataset_fold
from genomed.entities.dataset import Dataset
from genomed.entities.envelope import Envelope
from genomed.entities.events import DatasetEvent, DatasetFrozen
from genomed.entities.forget_events import DatasetArchived, RowsForgotten
from genomed.entities.journal_port import SideWrite

SCHEMA = """
CREATE TABLE IF NOT EXISTS datasets (
  dataset_id TEXT PRIMARY KEY, persona_id TEXT NOT NULL, row_kind TEXT NOT NULL, name TEXT NOT NULL,
  position INTEGER NOT NULL, bucket_id TEXT, draft_id TEXT, version INTEGER, rows INTEGER NOT NULL,
  eval_rows INTEGER NOT NULL, frozen_us INTEGER NOT NULL, forgotten INTEGER NOT NULL DEFAULT 0,
  archived INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS datasets_by_position ON datasets (position);
CREATE INDEX IF NOT EXISTS datasets_by_bucket ON datasets (bucket_id, position) WHERE bucket_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS datasets_by_draft ON datasets (draft_id, position) WHERE draft_id IS NOT NULL;
"""
TABLES = ("datasets",)

_DATASET = "INSERT OR IGNORE INTO datasets VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)"
_STANDS = "UPDATE datasets SET forgotten = ?, archived = ? WHERE dataset_id = ?"


def _dataset(state: Dataset | None, envelope: Envelope) -> Dataset | None:
    """None after rows were erased from a folder that was about to be frozen: there is no such dataset yet."""
    if state is None and isinstance(envelope.event, RowsForgotten):
        return None
    return dataset_fold.evolve(state, cast("DatasetEvent", envelope.event), at_us=envelope.at_us)


FOLDS: Mapping[str, Fold] = {"dataset": fold_of(Dataset, _dataset)}


def rows(envelope: Envelope, state: object | None) -> Sequence[SideWrite]:
    own = envelope.stream.partition("/")[2]
    match envelope.event:
        case DatasetFrozen() as frozen:
            return (_frozen(own, frozen, envelope),)
        case RowsForgotten() | DatasetArchived() if isinstance(state, Dataset):
            return (write(_STANDS, state.forgotten, int(state.archived is not None), own),)
        case _:
            return ()


def _frozen(own: str, frozen: DatasetFrozen, envelope: Envelope) -> SideWrite:
    about = (frozen.persona_id, frozen.row_kind.value, frozen.name, envelope.position)
    origin = (frozen.source.bucket_id, frozen.draft_id, frozen.version)
    return write(_DATASET, own, *about, *origin, frozen.rows, frozen.eval_rows, envelope.at_us)
