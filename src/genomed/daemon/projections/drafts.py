"""Datasets that are still open, and which frozen ones are versions of them: the fold and the tables of drafts.

Knows the log alone. Does not know the other projections.
"""

from collections.abc import Mapping, Sequence
from typing import cast

from genomed.daemon.journal.read_model_port import Fold, fold_of, write
from genomed.entities import draft as draft_fold
from genomed.entities.draft import Draft
from genomed.entities.draft_events import DraftEvent, DraftFrozen, DraftOpened
from genomed.entities.envelope import Envelope
from genomed.entities.journal_port import SideWrite

SCHEMA = """
CREATE TABLE IF NOT EXISTS drafts (
  draft_id TEXT PRIMARY KEY, persona_id TEXT NOT NULL, row_kind TEXT NOT NULL, name TEXT NOT NULL, task TEXT,
  position INTEGER NOT NULL, archived INTEGER NOT NULL, versions INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS drafts_by_position ON drafts (position);
CREATE TABLE IF NOT EXISTS draft_versions (
  draft_id TEXT NOT NULL, version INTEGER NOT NULL, dataset_id TEXT NOT NULL, position INTEGER NOT NULL,
  PRIMARY KEY (draft_id, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS draft_versions_by_dataset ON draft_versions (dataset_id);
"""
TABLES = ("drafts", "draft_versions")

_OPENED = "INSERT OR IGNORE INTO drafts VALUES (?, ?, ?, ?, ?, ?, 0, 0)"
_STANDS = "UPDATE drafts SET archived = ?, versions = ? WHERE draft_id = ?"
_VERSION = "INSERT OR IGNORE INTO draft_versions VALUES (?, ?, ?, ?)"


def _draft(state: Draft | None, envelope: Envelope) -> Draft:
    return draft_fold.evolve(state, cast("DraftEvent", envelope.event), at_us=envelope.at_us)


FOLDS: Mapping[str, Fold] = {"draft": fold_of(Draft, _draft)}


def rows(envelope: Envelope, state: object | None) -> Sequence[SideWrite]:
    if not isinstance(state, Draft):
        return ()
    own = envelope.stream.partition("/")[2]
    if isinstance(envelope.event, DraftOpened):
        about = (state.persona_id, state.row_kind.value, state.name, state.task)
        return (write(_OPENED, own, *about, envelope.position),)
    stands = write(_STANDS, int(state.archived is not None), len(state.versions), own)
    if isinstance(envelope.event, DraftFrozen):
        frozen = envelope.event
        return (stands, write(_VERSION, own, frozen.version, frozen.dataset_id, envelope.position))
    return (stands,)
