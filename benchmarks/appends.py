"""Durable appends by 128 concurrent callers: our journal, plain SQLite, the `eventsourcing` package, naive aiosqlite.

Plain SQLite writes the very rows that the journal wrote the turn before: same schema, same settings, same number of
events per commit; so it is what the journal would reach if callers, hashing, folding and futures cost nothing.
"""

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from shutil import rmtree
from uuid import UUID

import aiosqlite
import anyio
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate

from benchmarks.machine import sync_latency
from benchmarks.side_by_side import Contender, Goal, Sample, Scope, Table, interleaved
from genomed.daemon.assembly import new_event_id, now_us
from genomed.daemon.journal.database import DATABASE_FILE, WRITER_PRAGMAS
from genomed.daemon.journal.event_rows import INSERT_EVENT
from genomed.daemon.journal.journal import Journal, open_journal
from genomed.daemon.journal.read_model_port import Fold, ReadModels
from genomed.daemon.read_models import GenomeReadModels
from genomed.entities.envelope import Blob, Cause, Envelope, Write, blob_of
from genomed.entities.event_codec import encode
from genomed.entities.events import Event, ProgressReported
from genomed.entities.experience_events import InteractionCaptured
from genomed.entities.facts import BucketKey, Progress
from genomed.entities.journal_port import SideWrite

CALLERS = 128
PEER_THREADS = 8
"""Of `eventsourcing`, whose calls block; its SQLite pool holds 5 connections and 10 more at need by default."""
CAUSE = Cause(actor="uid:1000", correlation_id="benchmark")
GOALS = "reference/eventlog.md section 2"

OURS, CAPTURES = "journal", "journal, captures with read models"
RAW, RAW_CAPTURES = "plain sqlite3, same rows and batches", "plain sqlite3, rows of the captures"
ALONE = "plain sqlite3, one event per commit"
PEER, PEER_THREADED = "eventsourcing Application.save", f"eventsourcing Application.save, {PEER_THREADS} threads"
NAIVE = "aiosqlite, lock, one commit per event"


class NoModels:
    """The journal with nothing derived from it."""

    @property
    def kinds(self) -> Mapping[str, Fold]:
        return {}

    def rows(self, envelope: Envelope, state: object | None) -> Sequence[SideWrite]:  # noqa: ARG002 - the port's shape
        return ()

    def schema(self) -> str:
        return ""

    def tables(self) -> tuple[str, ...]:
        return ()


EVENT = ProgressReported(
    attempt=1,
    progress=Progress(
        step=120, total_steps=480, epoch=0.75, loss=1.234567, learning_rate=1.5e-4, tokens_per_s=812.5, eta_s=77.25
    ),
)
KEY = BucketKey(persona_id="ada", domain="help-desk", base_model="benchmark-model")


class Written:
    """What the journal's last turn left: its file, and how many events it put into a commit."""

    def __init__(self) -> None:
        self.database = Path()
        self.batch = 1


Append = Callable[[Journal, int, int], "tuple[Write, tuple[Blob, ...]]"]


def run(scope: Scope) -> list[Table]:
    places = {"disk": scope.disk} | ({"tmpfs": scope.memory} if scope.memory else {})
    return [_table(scope, name, folder) for name, folder in places.items()]


def _table(scope: Scope, place: str, folder: Path) -> Table:
    events, captures = Written(), Written()
    seconds = scope.seconds
    contenders = [
        Contender(OURS, partial(_journal, folder / "events", NoModels(), _progress, events, seconds)),
        Contender(RAW, lambda: _plain(events.database, folder / "raw.db", events.batch)),
        Contender(CAPTURES, partial(_journal, folder / "captures", GenomeReadModels(), _capture, captures, seconds)),
        Contender(RAW_CAPTURES, lambda: _plain(captures.database, folder / "raw.db", captures.batch)),
        Contender(ALONE, lambda: _plain(events.database, folder / "raw.db", 1, seconds=seconds)),
        Contender(PEER, partial(_peer, folder / "peer.db", 1, seconds)),
        Contender(PEER_THREADED, partial(_peer, folder / "peer.db", PEER_THREADS, seconds)),
        Contender(NAIVE, lambda: anyio.run(_naive, events.database, folder / "naive.db", seconds)),
    ]
    facts = [f"Before: {sync_latency(folder)}."]
    samples = interleaved(contenders, rounds=scope.rounds)
    facts.append(f"After: {sync_latency(folder)}.")
    facts.append(f"One event is {len(encode(EVENT))} bytes of JSON; a capture is an event, a blob, a state, a row.")
    return Table(
        title=f"durable appends, {CALLERS} callers, {place}",
        unit="events/s",
        more_is_better=True,
        reference=RAW,
        samples=samples,
        facts=facts,
        goals=[]
        if place == "tmpfs"
        else [  # the goals are for a disk that has to be waited for
            Goal(OURS, RAW, "at least", 0.5, f"{GOALS}, 1"),
            Goal(CAPTURES, RAW_CAPTURES, "at least", 0.5, f"{GOALS}, 1"),
            Goal(OURS, NAIVE, "at least", 10, f"{GOALS}, 2"),
            Goal(OURS, PEER, "at least", 8, f"{GOALS}, 2"),
        ],
    )


def _progress(_: Journal, caller: int, number: int) -> tuple[Write, tuple[Blob, ...]]:
    return Write(stream=f"job/job-{caller}", expected=number, events=(EVENT,)), ()


def _capture(_: Journal, caller: int, number: int) -> tuple[Write, tuple[Blob, ...]]:
    said = f"{caller} asks for the {number}th time what the invoice of last month was for and who has paid it"
    body = blob_of({"salt": f"{caller}-{number}", "input": [{"role": "user", "content": said}], "output": said[::-1]})
    event: Event = InteractionCaptured(
        bucket_id="bkt-benchmark", bucket=KEY, sha256=body.sha256, size_bytes=len(body.body)
    )
    return Write(stream=f"interaction/int-{caller}-{number}", expected=0, events=(event,)), (body,)


def _journal(folder: Path, models: ReadModels, make: Append, written: Written, seconds: float) -> Sample:
    rmtree(folder, ignore_errors=True)
    rate, batch = anyio.run(_journal_rate, folder, models, make, seconds)
    written.database, written.batch = folder / DATABASE_FILE, max(1, round(batch))
    return Sample(rate, f"{batch:.0f} events per commit")


async def _journal_rate(folder: Path, models: ReadModels, make: Append, seconds: float) -> tuple[float, float]:
    async with open_journal(folder, read_models=models, now_us=now_us, new_event_id=new_event_id) as journal:
        began = time.perf_counter()

        async def caller(name: int) -> None:
            number = 0
            while time.perf_counter() - began < seconds:
                write, blobs = make(journal, name, number)
                await journal.append([write], cause=CAUSE, blobs=blobs)
                number += 1

        async with anyio.create_task_group() as tasks:
            for name in range(CALLERS):
                tasks.start_soon(caller, name)
        spent = time.perf_counter() - began
        return journal.head().position / spent, journal.head().position / journal.commits()


def _plain(source: Path, target: Path, batch: int, *, seconds: float = 60.0) -> Sample:
    """The rows of `source` into an equal, empty file, `batch` events and what goes with them per commit."""
    tables = _rows(source)
    with closing(_empty_like(source, target)) as connection:
        inserts = {
            table: f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})" for table, rows in tables.items()
        }
        events = len(tables["events"])
        began = time.perf_counter()
        start = 0
        while start < events and time.perf_counter() - began < seconds:
            connection.execute("BEGIN IMMEDIATE")
            for table, rows in tables.items():
                connection.executemany(inserts[table], rows[start : start + batch])
            connection.execute("COMMIT")
            start += batch
        return Sample(min(start, events) / (time.perf_counter() - began), f"{batch} events per commit")


def _rows(source: Path) -> dict[str, list[tuple[object, ...]]]:
    """Of every table that grows with the events; events first."""
    with closing(sqlite3.connect(source)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        found = {
            name: connection.execute(f"SELECT * FROM {name}").fetchall()
            for name in sorted(names, key=lambda name: name != "events")
            if name != "meta" and not name.startswith("sqlite_")
        }
        return {name: rows for name, rows in found.items() if rows}


def _empty_like(source: Path, target: Path) -> sqlite3.Connection:
    """A new file with the schema of `source` and the journal's own settings; SQLite checkpoints it by itself."""
    for path in (target, target.with_name(f"{target.name}-wal"), target.with_name(f"{target.name}-shm")):
        path.unlink(missing_ok=True)
    with closing(sqlite3.connect(source)) as connection:
        schema = connection.execute(
            "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type = 'table' DESC, rowid"
        ).fetchall()
    made = sqlite3.connect(target, isolation_level=None, check_same_thread=False)
    made.execute("PRAGMA journal_mode = WAL")
    for pragma in (*WRITER_PRAGMAS, "PRAGMA wal_autocheckpoint = 1000"):
        made.execute(pragma)
    for (statement,) in schema:
        made.execute(statement)
    return made


class Run(Aggregate):
    """The peer's way to say that a run goes on."""

    class Reported(Aggregate.Event):
        data: str  # pyright: ignore[reportUninitializedInstanceVariable] - the base class fills it

    def report(self, data: str) -> None:
        self.trigger_event(self.Reported, data=data)


def _peer(database: Path, threads: int, seconds: float) -> Sample:
    for path in database.parent.glob(f"{database.name}*"):
        path.unlink()
    application: Application[UUID] = Application(
        env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(database), "SQLITE_POOL_TIMEOUT": "60"}
    )
    data = encode(EVENT).decode()
    began = time.perf_counter()

    def caller(_: int) -> int:
        run, saved = Run(), 0
        while time.perf_counter() - began < seconds:
            run.report(data)
            application.save(run)
            saved += 1
        return saved

    with closing(application):
        if threads == 1:
            return Sample(caller(0) / (time.perf_counter() - began), "one caller after the other")
        with ThreadPoolExecutor(threads) as pool:
            saved = sum(pool.map(caller, range(threads)))
            return Sample(saved / (time.perf_counter() - began), "one aggregate per thread")


async def _naive(source: Path, target: Path, seconds: float) -> Sample:
    """What one writes first: await, await, await, with a lock around it."""
    rows = iter(_rows(source)["events"])
    _empty_like(source, target).close()
    lock, written = anyio.Lock(), 0
    async with aiosqlite.connect(target, isolation_level=None) as connection:
        await connection.execute("PRAGMA synchronous = FULL")
        began = time.perf_counter()

        async def caller() -> None:
            nonlocal written
            while time.perf_counter() - began < seconds:
                async with lock:
                    row = next(rows, None)
                    if row is None:
                        return
                    await connection.execute("BEGIN IMMEDIATE")
                    await connection.execute(INSERT_EVENT, row)
                    await connection.execute("COMMIT")
                    written += 1

        async with anyio.create_task_group() as tasks:
            for _ in range(CALLERS):
                tasks.start_soon(caller)
        return Sample(written / (time.perf_counter() - began), f"{CALLERS} tasks")
