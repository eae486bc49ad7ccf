"""Wishes to forget: their fold, which are still to be carried out, and what each of them named.

Knows the log alone. Does not know the other projections.
"""

from collections.abc import Mapping, Sequence
from typing import cast

from genomed.daemon.journal.read_model_port import Fold, fold_of, write
from genomed.entities import forgetting as forgetting_fold
from genomed.entities.envelope import Envelope
from genomed.entities.forget_events import ForgetEvent, InteractionForgotten, RowsForgotten
from genomed.entities.forgetting import Forgetting
from genomed.entities.journal_port import SideWrite
from genomed.entities.review_events import ItemForgotten

SCHEMA = """
CREATE TABLE IF NOT EXISTS forgettings (
  forget_id TEXT PRIMARY KEY, open INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS forgotten (
  forget_id TEXT NOT NULL, origin TEXT NOT NULL, PRIMARY KEY (forget_id, origin)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS forgotten_rows (
  forget_id TEXT NOT NULL, dataset_id TEXT NOT NULL, row_id TEXT NOT NULL, PRIMARY KEY (forget_id, dataset_id, row_id)
) STRICT, WITHOUT ROWID;
"""
TABLES = ("forgettings", "forgotten", "forgotten_rows")

_FORGETTING = "INSERT OR REPLACE INTO forgettings VALUES (?, ?)"
_FORGOTTEN = "INSERT OR IGNORE INTO forgotten VALUES (?, ?)"
_ROW = "INSERT OR IGNORE INTO forgotten_rows VALUES (?, ?, ?)"


def _forgetting(state: Forgetting | None, envelope: Envelope) -> Forgetting:
    return forgetting_fold.evolve(state, cast("ForgetEvent", envelope.event), at_us=envelope.at_us)


FOLDS: Mapping[str, Fold] = {"forget": fold_of(Forgetting, _forgetting)}


def rows(envelope: Envelope, state: object | None) -> Sequence[SideWrite]:
    own = envelope.stream.partition("/")[2]
    if isinstance(state, Forgetting):
        return (write(_FORGETTING, own, int(state.carried_us is None)),)
    match envelope.event:
        case InteractionForgotten(forget_id=forget_id) | ItemForgotten(forget_id=forget_id):
            return (write(_FORGOTTEN, forget_id, own),)
        case RowsForgotten(forget_id=forget_id, row_ids=row_ids) if row_ids:
            return (SideWrite(sql=_ROW, rows=tuple((forget_id, own, row_id) for row_id in row_ids)),)
        case _:
            return ()
