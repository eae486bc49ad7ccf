-- Version 1 of the journal's file. The read models' tables are not here: they declare their own.

CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- pos: gap-free, given by the one writer. hash: over all columns and the hash of pos - 1 (chain.py).
CREATE TABLE events (
  pos INTEGER PRIMARY KEY,
  stream TEXT NOT NULL,
  version INTEGER NOT NULL,
  type TEXT NOT NULL,
  schema INTEGER NOT NULL,
  event_id TEXT NOT NULL UNIQUE,
  cmd_id TEXT,
  corr_id TEXT,
  cause_pos INTEGER,
  actor TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  data TEXT NOT NULL CHECK (length(CAST(data AS BLOB)) <= 65536),
  hash BLOB NOT NULL CHECK (length(hash) = 32),
  UNIQUE (stream, version)
) STRICT;

CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;

CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END;

CREATE TABLE receipts (
  key TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  body_hash TEXT NOT NULL,
  reply BLOB NOT NULL,
  first_pos INTEGER NOT NULL,
  last_pos INTEGER NOT NULL,
  at_us INTEGER NOT NULL
) STRICT;

-- An erased blob keeps its row, so that the history says what was erased and when.
CREATE TABLE blobs (
  sha256 TEXT PRIMARY KEY,
  size_bytes INTEGER NOT NULL,
  body BLOB,
  stored_us INTEGER NOT NULL,
  erased_us INTEGER
) STRICT;

-- Folded state as JSON, for the kinds of streams that have a fold. Derived, like every read model.
CREATE TABLE states (
  stream TEXT PRIMARY KEY,
  version INTEGER NOT NULL,
  state TEXT NOT NULL
) STRICT;

-- Side tables: not derived from the log, written in the same transaction as the events they go with.
CREATE TABLE metric_points (
  job_id TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  name TEXT NOT NULL,
  step INTEGER NOT NULL,
  value REAL NOT NULL,
  at_us INTEGER NOT NULL,
  PRIMARY KEY (job_id, attempt, name, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE job_cursors (
  job_id TEXT PRIMARY KEY,
  attempt INTEGER NOT NULL,
  cursor TEXT NOT NULL,
  at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
