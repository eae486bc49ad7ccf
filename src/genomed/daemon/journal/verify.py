"""Verification of a whole log: every hash, every number, every blob, and the read models against a rebuild.

Reads one snapshot through a connection of its own, in a worker thread, while the journal goes on. Changes nothing.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import anyio
import anyio.from_thread
import anyio.to_thread
import msgspec

from genomed.daemon.journal.anchor import anchored_head
from genomed.daemon.journal.chain import genesis, link
from genomed.daemon.journal.database import ANCHOR_FILE, DATABASE_FILE, open_snapshot, readable_text
from genomed.daemon.journal.event_rows import EventRow, event_of, header_of, is_newer
from genomed.daemon.journal.projector import Projector, rebuild_statements, schema_statements, stored_rows
from genomed.daemon.journal.read_model_port import ReadModels
from genomed.entities.envelope import Head
from genomed.entities.errors import Problem
from genomed.entities.events import UnknownEvent
from genomed.entities.log_report import VerifyReport

PROBLEMS_SHOWN = 100
CANCEL_CHECK_EVENTS = 1000


async def verify_log(data_dir: Path, *, read_models: ReadModels) -> VerifyReport:
    """Works beside a running journal and on a folder at rest."""
    return await anyio.to_thread.run_sync(_verify, data_dir, Projector(read_models))


class _Findings:
    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.count = 0

    def add(self, field: str, message: str) -> None:
        self.count += 1
        if self.count <= PROBLEMS_SHOWN:
            self.problems.append(Problem(field=field, message=message))


class _Log:
    """The walk over the events: the chain, gap-free numbers, readable data. Passes every row on."""

    def __init__(self, findings: _Findings, *, beginning: bytes, anchor: Head | None) -> None:
        self._findings = findings
        self._anchor = anchor
        self._versions: dict[str, int] = {}
        self.position, self.hash = 0, beginning
        self.events = 0
        self.unknown: Counter[str] = Counter()

    def walk(self, rows: Iterator[EventRow]) -> Iterator[EventRow]:
        self._compare_anchor()
        for row in rows:
            if self.events % CANCEL_CHECK_EVENTS == 0:
                anyio.from_thread.check_cancelled()
            self.events += 1
            self._check(row)
            self._compare_anchor()
            yield row
        if self._anchor and self._anchor.position > self.position:
            lost = self._anchor.position - self.position
            self._findings.add("log", f"ends at {self.position}, {lost} events before its anchor")

    def _check(self, row: EventRow) -> None:
        where = f"events/{row[0]}"
        if row[0] != self.position + 1:
            self._findings.add(where, f"follows {self.position}: events are missing")
        if row[2] != self._versions.get(row[1], 0) + 1:
            self._findings.add(where, f"{row[1]} goes from version {self._versions.get(row[1], 0)} to {row[2]}")
        self._versions[row[1]] = row[2]
        if link(self.hash, header_of(row), row[11]) != row[12]:
            self._findings.add(where, "is not what was written: its hash does not fit")
        # Goes on from the stored hash, so that one changed row is one problem.
        self.position, self.hash = row[0], row[12]
        if isinstance(event_of(row), UnknownEvent):
            if is_newer(row):
                self.unknown[row[3]] += 1
            else:
                self._findings.add(where, f"{row[3]} cannot be read")

    def _compare_anchor(self) -> None:
        if self._anchor and self._anchor.position == self.position and self._anchor.hash != self.hash.hex():
            self._findings.add("anchor", f"the log is another one than the one anchored at {self.position}")


def _verify(data_dir: Path, projector: Projector) -> VerifyReport:
    findings = _Findings()
    try:
        # Before the snapshot: an anchor read later could rightly be ahead of it.
        anchor = anchored_head(data_dir / ANCHOR_FILE)
        snapshot = open_snapshot(data_dir / DATABASE_FILE)
    except (OSError, sqlite3.DatabaseError) as error:
        findings.add("database", f"cannot be opened: {error}")
        return _report(findings, _Log(findings, beginning=b"", anchor=None), None, blobs=0, erased=0)
    with closing(snapshot):
        (log_id,) = snapshot.execute("SELECT value FROM meta WHERE key = 'log_id'").fetchone()
        walk = _Log(findings, beginning=genesis(log_id), anchor=anchor)
        try:
            _check_pages(snapshot, findings)
            rebuilt = _rebuilt(projector, walk.walk(stored_rows(snapshot)))
            _compare_tables(projector, snapshot, rebuilt, findings)
            blobs, erased = _check_blobs(snapshot, findings)
        except sqlite3.DatabaseError as error:
            findings.add("database", f"cannot be read on: {error}")
            blobs = erased = 0
    if anchor is None and walk.events:
        findings.add("anchor", "is missing: a cut tail would not be noticed")
    return _report(findings, walk, anchor, blobs=blobs, erased=erased)


def _report(findings: _Findings, walk: _Log, anchor: Head | None, *, blobs: int, erased: int) -> VerifyReport:
    return VerifyReport(
        ok=findings.count == 0,
        events=walk.events,
        head=Head(position=walk.position, hash=walk.hash.hex()),
        anchor=anchor,
        blobs=blobs,
        erased_blobs=erased,
        problems_found=findings.count,
        problems=tuple(findings.problems),
        unknown_events=dict(walk.unknown),
    )


def _check_pages(snapshot: sqlite3.Connection, findings: _Findings) -> None:
    """With the indices: an event that its stream's index lacks is there, and nobody who reads the stream sees it."""
    for (line,) in snapshot.execute("PRAGMA integrity_check(10)"):
        if line != "ok":
            findings.add("database", str(line))


def _rebuilt(projector: Projector, rows: Iterator[EventRow]) -> sqlite3.Connection:
    """Read models and states of a database that holds nothing but them."""
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    memory.text_factory = readable_text
    memory.execute(
        "CREATE TABLE states (stream TEXT PRIMARY KEY, version INTEGER NOT NULL, state TEXT NOT NULL) STRICT"
    )
    memory.execute("BEGIN")
    for sql, _ in schema_statements(projector):
        memory.execute(sql)
    for sql, values in rebuild_statements(projector, rows):
        memory.executemany(sql, values or ())
    return memory


def _compare_tables(
    projector: Projector, live: sqlite3.Connection, rebuilt: sqlite3.Connection, findings: _Findings
) -> None:
    with closing(rebuilt):
        for table in ("states", *projector.models.tables()):
            if table_digest(live, table) != table_digest(rebuilt, table):
                findings.add(f"tables/{table}", "differs from what the log gives; genome/log-rebuild makes it anew")


def table_digest(connection: sqlite3.Connection, table: str) -> str:
    """sha256 over all rows in the order of all columns; equal contents, equal digests. Missing table: empty text."""
    columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
    if not columns:
        return ""
    digest = sha256()
    order = ", ".join(str(number) for number in range(1, len(columns) + 1))
    for row in connection.execute(f'SELECT * FROM "{table}" ORDER BY {order}'):  # noqa: S608 - our own tables
        digest.update(msgspec.json.encode(row) + b"\n")
    return digest.hexdigest()


def derived_digest(database: Path, read_models: ReadModels) -> dict[str, str]:
    """Table -> digest, of the states and read models as they are now. Blocking."""
    with closing(open_snapshot(database)) as snapshot:
        return {table: table_digest(snapshot, table) for table in ("states", *read_models.tables())}


def _check_blobs(snapshot: sqlite3.Connection, findings: _Findings) -> tuple[int, int]:
    blobs = erased = 0
    for digest, size_bytes, body, erased_us in snapshot.execute(
        "SELECT sha256, size_bytes, body, erased_us FROM blobs"
    ):
        anyio.from_thread.check_cancelled()
        blobs += 1
        if body is None and erased_us is not None:
            erased += 1
        elif body is None or len(body) != size_bytes or sha256(body).hexdigest() != digest:
            findings.add(f"blobs/{digest}", "the body is not what its name says")
    return blobs, erased
