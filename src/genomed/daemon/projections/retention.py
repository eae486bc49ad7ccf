"""Which closed streams are archived, and whose files are gone. Knows the log alone."""

from collections.abc import Mapping, Sequence

from genomed.daemon.journal.read_model_port import Fold, write
from genomed.entities.envelope import Envelope
from genomed.entities.journal_port import SideWrite
from genomed.entities.retention_events import ArchiveSealed, FilesPruned

SCHEMA = """
CREATE TABLE IF NOT EXISTS archived (
  stream TEXT PRIMARY KEY, archive_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pruned_jobs (
  job_id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
"""
TABLES = ("archived", "pruned_jobs")

FOLDS: Mapping[str, Fold] = {}


def rows(envelope: Envelope, state: object | None) -> Sequence[SideWrite]:  # noqa: ARG001 - its streams have no state
    match envelope.event:
        case ArchiveSealed(streams=streams):
            own = envelope.stream.partition("/")[2]
            return tuple(write("INSERT OR REPLACE INTO archived VALUES (?, ?)", one, own) for one in streams)
        case FilesPruned(job_ids=job_ids):
            return tuple(write("INSERT OR IGNORE INTO pruned_jobs VALUES (?)", one) for one in job_ids)
        case _:
            return ()
