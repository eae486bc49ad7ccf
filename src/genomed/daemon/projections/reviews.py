"""Synthetic rows that wait for approval: the folds of batches and items, and the tables of the queue.

Knows the log alone. Does not know the other projections.
"""

from collections.abc import Mapping, Sequence
from typing import cast

from genomed.daemon.journal.read_model_port import Fold, fold_of, write
from genomed.entities import review as review_fold
from genomed.entities.envelope import Envelope
from genomed.entities.journal_port import SideWrite
from genomed.entities.review import Batch, Item
from genomed.entities.review_events import ItemEvent, ItemProposed, ReviewClosed, ReviewEvent, ReviewOpened

SCHEMA = """
CREATE TABLE IF NOT EXISTS review_batches (
  batch_id TEXT PRIMARY KEY, draft_id TEXT NOT NULL, persona_id TEXT NOT NULL, recipe TEXT, run_id TEXT, source TEXT,
  policy TEXT NOT NULL, opened_us INTEGER NOT NULL, closed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS review_batches_by_draft ON review_batches (draft_id, batch_id);
CREATE TABLE IF NOT EXISTS review_items (
  item_id TEXT PRIMARY KEY, batch_id TEXT NOT NULL, draft_id TEXT NOT NULL, state TEXT NOT NULL, sha256 TEXT NOT NULL,
  row_kind TEXT NOT NULL, confidence REAL, suggestion TEXT, generation INTEGER NOT NULL, parent_item_id TEXT,
  original_item_id TEXT, item_key TEXT, session_id TEXT, person_id TEXT, position INTEGER NOT NULL, reviewer TEXT,
  decided_us INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS review_items_by_state ON review_items (state, position);
CREATE INDEX IF NOT EXISTS review_items_by_batch ON review_items (batch_id, state, position);
CREATE INDEX IF NOT EXISTS review_items_in_order ON review_items (batch_id, position);
CREATE INDEX IF NOT EXISTS review_items_by_draft ON review_items (draft_id, state, position);
CREATE INDEX IF NOT EXISTS review_items_by_original
  ON review_items (original_item_id, generation) WHERE original_item_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS review_items_by_session ON review_items (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS review_items_by_person ON review_items (person_id) WHERE person_id IS NOT NULL;
"""
TABLES = ("review_batches", "review_items")

_OPENED = "INSERT OR IGNORE INTO review_batches VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)"
_CLOSED = "UPDATE review_batches SET closed = 1 WHERE batch_id = ?"
_PROPOSED = """
INSERT OR IGNORE INTO review_items VALUES (
  ?1, ?2, COALESCE((SELECT draft_id FROM review_batches WHERE batch_id = ?2), ''),
  ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, NULL, NULL
)
"""
_STANDS = "UPDATE review_items SET state = ?, sha256 = ?, reviewer = ?, decided_us = ? WHERE item_id = ?"


def _batch(state: Batch | None, envelope: Envelope) -> Batch:
    return review_fold.evolve_batch(state, cast("ReviewEvent", envelope.event), at_us=envelope.at_us)


def _item(state: Item | None, envelope: Envelope) -> Item:
    return review_fold.evolve_item(state, cast("ItemEvent", envelope.event), at_us=envelope.at_us)


FOLDS: Mapping[str, Fold] = {"review": fold_of(Batch, _batch), "item": fold_of(Item, _item)}


def rows(envelope: Envelope, state: object | None) -> Sequence[SideWrite]:
    own = envelope.stream.partition("/")[2]
    match envelope.event:
        case ReviewOpened() as opened:
            origin = (opened.draft_id, opened.persona_id, opened.recipe, opened.run_id, opened.source)
            return (write(_OPENED, own, *origin, opened.policy.value, envelope.at_us),)
        case ReviewClosed():
            return (write(_CLOSED, own),)
        case ItemProposed() as item:
            return (_proposed(own, item, envelope.position),)
        case _ if isinstance(state, Item):
            stands = (state.state.value, state.current_sha256, state.reviewer, state.decided_us)
            return (write(_STANDS, *stands, own),)
        case _:
            return ()


def _proposed(own: str, item: ItemProposed, position: int) -> SideWrite:
    return write(
        _PROPOSED,
        own,
        item.batch_id,
        item.state.value,
        item.sha256,
        item.row_kind.value,
        item.confidence,
        item.suggestion,
        item.generation,
        item.parent_item_id,
        item.original_item_id,
        item.item_key,
        item.session_id,
        item.person_id,
        position,
    )
