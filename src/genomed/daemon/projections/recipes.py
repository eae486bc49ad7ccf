"""Recipes' runs and their work items: the fold of a run, and the tables that a restart and recipe-status ask.

Knows the log alone. Does not know the other projections.
"""

from collections.abc import Mapping, Sequence
from typing import cast

from genomed.daemon.journal.read_model_port import Fold, fold_of, write
from genomed.entities import recipe as recipe_fold
from genomed.entities.envelope import Envelope
from genomed.entities.journal_port import SideWrite
from genomed.entities.recipe import Run
from genomed.entities.recipe_events import ItemFailed, ItemFinished, RecipeEvent, RecipeStarted

SCHEMA = """
CREATE TABLE IF NOT EXISTS recipe_runs (
  run_id TEXT PRIMARY KEY, position INTEGER NOT NULL, recipe TEXT NOT NULL, version TEXT NOT NULL,
  persona_id TEXT NOT NULL, draft_id TEXT NOT NULL, batch_id TEXT NOT NULL, state TEXT NOT NULL,
  open INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS recipe_runs_open ON recipe_runs (position) WHERE open;
CREATE INDEX IF NOT EXISTS recipe_runs_in_order ON recipe_runs (position);
CREATE INDEX IF NOT EXISTS recipe_runs_by_recipe ON recipe_runs (recipe, version, open);
CREATE TABLE IF NOT EXISTS recipe_items (
  run_id TEXT NOT NULL, key TEXT NOT NULL, item_id TEXT, failed INTEGER NOT NULL, at_us INTEGER NOT NULL,
  position INTEGER NOT NULL, rows INTEGER NOT NULL, refused INTEGER NOT NULL, duplicates INTEGER NOT NULL,
  requests INTEGER NOT NULL, prompt_tokens INTEGER, completion_tokens INTEGER, usd REAL,
  PRIMARY KEY (run_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS recipe_items_in_order ON recipe_items (run_id, position);
CREATE TABLE IF NOT EXISTS recipe_refusals (
  run_id TEXT NOT NULL, reason TEXT NOT NULL, items INTEGER NOT NULL, PRIMARY KEY (run_id, reason)
) STRICT, WITHOUT ROWID;
"""
TABLES = ("recipe_runs", "recipe_items", "recipe_refusals")

_STARTED = "INSERT OR IGNORE INTO recipe_runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_STANDS = "UPDATE recipe_runs SET state = ?, open = ? WHERE run_id = ?"
_ITEM = "INSERT OR IGNORE INTO recipe_items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_REFUSED = "INSERT INTO recipe_refusals VALUES (?, ?, 1) ON CONFLICT (run_id, reason) DO UPDATE SET items = items + 1"


def _run(state: Run | None, envelope: Envelope) -> Run:
    return recipe_fold.evolve(state, cast("RecipeEvent", envelope.event), at_us=envelope.at_us)


FOLDS: Mapping[str, Fold] = {"recipe": fold_of(Run, _run)}


def rows(envelope: Envelope, state: object | None) -> Sequence[SideWrite]:
    match envelope.event:
        case RecipeStarted() as started:
            return (_started(envelope, started),)
        case ItemFinished() as finished:
            row = (finished.rows, finished.refused, finished.duplicates)
            return (_item(envelope, finished, row), *_refusals(finished))
        case ItemFailed() as failed:
            return (_item(envelope, failed, (0, 0, 0)),)
        case _ if isinstance(state, Run):
            own = envelope.stream.partition("/")[2]
            return (write(_STANDS, state.state.value, int(state.ended is None), own),)
        case _:
            return ()


def _started(envelope: Envelope, started: RecipeStarted) -> SideWrite:
    return write(
        _STARTED,
        envelope.stream.partition("/")[2],
        envelope.position,
        started.recipe,
        started.version,
        started.persona_id,
        started.draft_id,
        started.batch_id,
        "running",
        1,
    )


def _item(envelope: Envelope, item: ItemFinished | ItemFailed, counts: tuple[int, int, int]) -> SideWrite:
    return write(
        _ITEM,
        item.run_id,
        item.key,
        item.item_id,
        int(isinstance(item, ItemFailed)),
        envelope.at_us,
        envelope.position,
        *counts,
        item.requests,
        item.prompt_tokens,
        item.completion_tokens,
        item.usd,
    )


def _refusals(finished: ItemFinished) -> tuple[SideWrite, ...]:
    return tuple(write(_REFUSED, finished.run_id, reason) for reason in finished.reasons)
