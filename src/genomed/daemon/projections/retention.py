"""Which closed streams are archived, and whose files are gone. Knows the log, and the table of jobs.

A job that was reopened leaves files again, also one that was between the going of its files and the event that says so.
"""

from collections.abc import Mapping, Sequence

from genomed.daemon.journal.read_model_port import Fold, write
from genomed.entities.envelope import Envelope
from genomed.entities.events import ResumeRequested, RetryRequested
from genomed.entities.journal_port import SideWrite
from genomed.entities.retention_events import ArchiveSealed, FilesPruned

SCHEMA = """
CREATE TABLE IF NOT EXISTS archived (
  stream TEXT PRIMARY KEY, archive_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pruned_jobs (
  job_id TEXT PRIMARY KEY -- since it was last opened
) STRICT, WITHOUT ROWID;
"""
TABLES = ("archived", "pruned_jobs")

_PRUNED = """
INSERT OR IGNORE INTO pruned_jobs
SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE job_id = ?1 AND finished_us IS NULL)
"""
_LEAVES_AGAIN = "DELETE FROM pruned_jobs WHERE job_id = ?"

FOLDS: Mapping[str, Fold] = {}


def rows(envelope: Envelope, state: object | None) -> Sequence[SideWrite]:  # noqa: ARG001 - its streams have no state
    match envelope.event:
        case ArchiveSealed(streams=streams):
            own = envelope.stream.partition("/")[2]
            return tuple(write("INSERT OR REPLACE INTO archived VALUES (?, ?)", one, own) for one in streams)
        case FilesPruned(job_ids=job_ids):
            return tuple(write(_PRUNED, one) for one in job_ids)
        case ResumeRequested() | RetryRequested():
            return (write(_LEAVES_AGAIN, envelope.stream.partition("/")[2]),)
        case _:
            return ()
