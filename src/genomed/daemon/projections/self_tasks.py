"""Self-set tasks, and what gaps are measured by: the newest judgement of every interaction.

Knows the log alone. Does not know the other projections.
"""

from collections.abc import Mapping, Sequence
from typing import cast

from genomed.daemon.journal.read_model_port import Fold, fold_of, write
from genomed.entities import self_task as self_task_fold
from genomed.entities.bucket import bucket_id
from genomed.entities.envelope import Envelope
from genomed.entities.interaction import Interaction
from genomed.entities.journal_port import SideWrite
from genomed.entities.self_task import ENDED, SelfTask
from genomed.entities.self_task_events import SelfTaskEvent

SCHEMA = """
CREATE TABLE IF NOT EXISTS self_tasks (
  task_id TEXT PRIMARY KEY, bucket_id TEXT NOT NULL, persona_id TEXT NOT NULL, domain TEXT NOT NULL, kind TEXT NOT NULL,
  state TEXT NOT NULL, open INTEGER NOT NULL, priority REAL NOT NULL, opened_us INTEGER NOT NULL, ended_us INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS self_tasks_by_bucket ON self_tasks (bucket_id, opened_us);
CREATE TABLE IF NOT EXISTS judgements (
  interaction_id TEXT PRIMARY KEY, bucket_id TEXT NOT NULL, captured_us INTEGER NOT NULL, quality REAL,
  corrected INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS judgements_by_bucket ON judgements (bucket_id, captured_us, quality, corrected);
"""
TABLES = ("self_tasks", "judgements")

_TASK = "INSERT OR REPLACE INTO self_tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_JUDGED = "INSERT OR REPLACE INTO judgements VALUES (?, ?, ?, ?, ?)"
_GONE = "DELETE FROM judgements WHERE interaction_id = ?"


def _self_task(state: SelfTask | None, envelope: Envelope) -> SelfTask:
    return self_task_fold.evolve(state, cast("SelfTaskEvent", envelope.event), at_us=envelope.at_us)


FOLDS: Mapping[str, Fold] = {"self_task": fold_of(SelfTask, _self_task)}


def rows(envelope: Envelope, state: object | None) -> Sequence[SideWrite]:
    own = envelope.stream.partition("/")[2]
    if isinstance(state, SelfTask):
        return (_task_row(own, state),)
    if isinstance(state, Interaction):
        if state.forgotten:
            return (write(_GONE, own),)
        corrected = int(state.correction is not None)
        return (write(_JUDGED, own, state.bucket_id, state.captured_us, _quality_of_answer(state), corrected),)
    return ()


def _quality_of_answer(interaction: Interaction) -> float | None:
    """Of what the persona said itself: a corrected answer was wrong, however good the correction is as a lesson."""
    return 0.0 if interaction.correction is not None else interaction.quality


def _task_row(task_id: str, task: SelfTask) -> SideWrite:
    key = task.bucket
    about = (bucket_id(key), key.persona_id, key.domain, task.kind)
    stands = (task.state.value, int(task.state not in ENDED), task.priority, task.opened_us, task.ended_us)
    return write(_TASK, task_id, *about, *stands)
