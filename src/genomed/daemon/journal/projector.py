"""Events to states and rows: the one place where folds run, for appends and for rebuilding alike.

Pure but for `stored_rows`, which reads the log through a snapshot of its own.
"""

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from hashlib import sha256

import msgspec

from genomed.daemon.journal.database import Row, Statement, statements_of
from genomed.daemon.journal.errors import PURE_FAILURES
from genomed.daemon.journal.event_rows import SELECT_EVENTS, EventRow, envelope_from
from genomed.daemon.journal.read_model_port import ReadModels
from genomed.entities.envelope import Envelope, stream_kind
from genomed.entities.events import UnknownEvent
from genomed.entities.journal_port import Loaded, SideWrite

UPSERT_STATE = (
    "INSERT INTO states(stream, version, state) VALUES (?, ?, ?) "
    "ON CONFLICT(stream) DO UPDATE SET version = excluded.version, state = excluded.state"
)
READ_MODELS_KEY = "read_models"
TABLES_KEY = "read_model_tables"
UPSERT_META = "INSERT INTO meta(key, value) VALUES (?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value"
REBUILD_BATCH = 500

log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder(order="deterministic")


class Script:
    """Statements in the order they were added; neighbours with the same SQL become one executemany."""

    def __init__(self) -> None:
        self._runs: list[tuple[str, list[Row]]] = []

    def add(self, sql: str, rows: Iterable[Row]) -> None:
        if self._runs and self._runs[-1][0] == sql:
            self._runs[-1][1].extend(rows)
        else:
            self._runs.append((sql, list(rows)))

    def extend(self, writes: Iterable[SideWrite]) -> None:
        for write in writes:
            self.add(write.sql, write.rows)

    def runs(self) -> list[tuple[str, list[Row]]]:
        return self._runs

    def __iter__(self) -> Iterator[Statement]:
        return iter(self._runs)


class Projector:
    def __init__(self, models: ReadModels) -> None:
        self.models = models
        self._folds = dict(models.kinds)
        self._decoders: dict[str, msgspec.json.Decoder[object]] = {
            kind: msgspec.json.Decoder(fold.state_type) for kind, fold in self._folds.items()
        }

    def folds(self, stream: str) -> bool:
        return stream_kind(stream) in self._folds

    def project(self, before: object | None, envelope: Envelope) -> tuple[object | None, Sequence[SideWrite]]:
        """State and rows after one event. Raises one of PURE_FAILURES when a fold or a row function does."""
        if isinstance(envelope.event, UnknownEvent):
            return before, ()
        fold = self._folds.get(stream_kind(envelope.stream))
        state = fold.evolve(before, envelope) if fold else None
        return state, self.models.rows(envelope, state)

    def fold(self, envelopes: Iterable[Envelope]) -> Loaded:
        """A stream's state from its events; those that the fold refuses are skipped, as in a rebuild."""
        loaded = Loaded(version=0, state=None)
        for envelope in envelopes:
            state, _ = self.project_or_skip(loaded.state, envelope)
            loaded = Loaded(version=envelope.version, state=state)
        return loaded

    def project_or_skip(self, before: object | None, envelope: Envelope) -> tuple[object | None, Sequence[SideWrite]]:
        """For events that are already in the log: one bad one must not take the others with it."""
        try:
            return self.project(before, envelope)
        except PURE_FAILURES as error:
            log.warning("skipped event position=%d type=%s error=%r", envelope.position, envelope.type, error)
            return before, ()

    def encode(self, state: object) -> str:
        return _encoder.encode(state).decode()

    def decode(self, stream: str, state: str) -> object:
        """Raises msgspec.MsgspecError when the state was written by a build with other state types."""
        return self._decoders[stream_kind(stream)].decode(state)

    def fingerprint(self) -> str:
        """Changes with the tables' SQL and with the state types: then everything is rebuilt."""
        types = {kind: _schema_of(fold.state_type) for kind, fold in self._folds.items()}
        return sha256(self.models.schema().encode() + msgspec.json.encode(types, order="sorted")).hexdigest()

    def state_rows(self, states: Mapping[str, Loaded]) -> list[Row]:
        return [
            (stream, loaded.version, self.encode(loaded.state))
            for stream, loaded in states.items()
            if loaded.state is not None
        ]


@cache
def _schema_of(state_type: type) -> msgspec.Raw:
    """Types do not change while a process runs; a process may open many journals."""
    return msgspec.Raw(msgspec.json.encode(msgspec.json.schema(state_type), order="sorted"))


def stored_rows(snapshot: sqlite3.Connection, *, after: int = 0) -> Iterator[EventRow]:
    """All events in order, streamed."""
    yield from snapshot.execute(f"{SELECT_EVENTS} WHERE pos > ? ORDER BY pos", (after,))


def rebuild_statements(projector: Projector, rows: Iterable[EventRow]) -> Iterator[Statement]:
    """Read models and states as the whole log gives them, into tables that exist and are empty."""
    states: dict[str, Loaded] = {}
    script = Script()
    for count, row in enumerate(rows, start=1):
        envelope = envelope_from(row)
        before = states.get(envelope.stream)
        state, writes = projector.project_or_skip(before.state if before else None, envelope)
        script.extend(writes)
        if projector.folds(envelope.stream):
            states[envelope.stream] = Loaded(version=envelope.version, state=state)
        if count % REBUILD_BATCH == 0:
            yield from script
            script = Script()
    yield from script
    yield UPSERT_STATE, projector.state_rows(states)


def schema_statements(projector: Projector) -> Iterator[Statement]:
    for statement in statements_of(projector.models.schema()):
        yield statement, None


def reset_statements(projector: Projector, *, former_tables: Iterable[str]) -> Iterator[Statement]:
    """Take away all derived tables, also those of an earlier build, and make them anew and empty."""
    for table in dict.fromkeys([*former_tables, *projector.models.tables()]):
        yield f'DROP TABLE IF EXISTS "{table}"', None
    yield "DELETE FROM states", None
    yield from schema_statements(projector)
    tables = msgspec.json.encode(projector.models.tables()).decode()
    yield UPSERT_META, [(READ_MODELS_KEY, projector.fingerprint()), (TABLES_KEY, tables)]
