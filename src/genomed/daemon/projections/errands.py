"""Errands, and what is to be removed of them and of layers: an errand's fold, and tables for restarts and lists.

Knows the log alone. Does not know the other projections.
"""

from collections.abc import Mapping, Sequence
from typing import cast

from genomed.daemon.journal.read_model_port import Fold, fold_of, write
from genomed.entities import errand_record
from genomed.entities.envelope import Envelope
from genomed.entities.errand_events import ErrandEvent, ErrandRequested
from genomed.entities.errand_record import ErrandRecord
from genomed.entities.journal_port import SideWrite
from genomed.entities.layer_keeping_events import LayerPruned, LayerPruneRequested

SCHEMA = """
CREATE TABLE IF NOT EXISTS errands (
  errand_id TEXT PRIMARY KEY, position INTEGER NOT NULL, kind TEXT NOT NULL, persona_id TEXT, state TEXT NOT NULL,
  open INTEGER NOT NULL, kept INTEGER NOT NULL, requested_us INTEGER NOT NULL, ended_us INTEGER, removed_us INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS errands_in_order ON errands (position);
CREATE INDEX IF NOT EXISTS errands_open ON errands (position) WHERE open;
CREATE TABLE IF NOT EXISTS errand_layers (
  layer_id TEXT NOT NULL, errand_id TEXT NOT NULL, PRIMARY KEY (layer_id, errand_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS prunings (
  stream TEXT PRIMARY KEY, open INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""
TABLES = ("errands", "errand_layers", "prunings")

_REQUESTED = "INSERT OR IGNORE INTO errands VALUES (?, ?, ?, ?, 'requested', 1, 0, ?, NULL, NULL)"
_OF_LAYER = "INSERT OR IGNORE INTO errand_layers VALUES (?, ?)"
_STANDS = "UPDATE errands SET state = ?, open = ?, kept = ?, ended_us = ?, removed_us = ? WHERE errand_id = ?"
_PRUNING = "INSERT OR REPLACE INTO prunings VALUES (?, ?)"


def _errand(state: ErrandRecord | None, envelope: Envelope) -> ErrandRecord:
    return errand_record.evolve(state, cast("ErrandEvent", envelope.event), at_us=envelope.at_us)


FOLDS: Mapping[str, Fold] = {"errand": fold_of(ErrandRecord, _errand)}


def rows(envelope: Envelope, state: object | None) -> Sequence[SideWrite]:
    own = envelope.stream.partition("/")[2]
    match envelope.event:
        case ErrandRequested() as asked:
            about = (asked.kind, asked.persona_id, envelope.at_us)
            layers = dict.fromkeys(layer.layer_id for layer in asked.layers)
            return (
                write(_REQUESTED, own, envelope.position, *about),
                *(write(_OF_LAYER, layer_id, own) for layer_id in layers),
            )
        case LayerPruneRequested() | LayerPruned() as event:
            return (write(_PRUNING, envelope.stream, int(isinstance(event, LayerPruneRequested))),)
        case _ if isinstance(state, ErrandRecord):
            ends = (state.ended_us, state.removed_us)
            stands = write(_STANDS, state.state.value, int(not state.ended), int(state.export is not None), *ends, own)
            if state.removal_us is None:
                return (stands,)
            return (stands, write(_PRUNING, envelope.stream, int(state.removed_us is None)))
        case _:
            return ()
