"""Taking in examples of 2 KB: captured one by one by 64 callers, or imported as a file, beside `INSERT OR IGNORE`.

Plain SQLite gets the same bytes under their sha256, in commits of as many examples as there are callers.
"""

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from hashlib import sha256
from itertools import count
from pathlib import Path
from shutil import rmtree

import anyio
import msgspec
from msgspec import UnsetType

from benchmarks.capture_context import capturing_dispatch
from benchmarks.machine import sync_latency
from benchmarks.processes import HEALTH, daemon_command, serving
from benchmarks.side_by_side import Contender, Goal, Sample, Scope, Table, interleaved
from benchmarks.socket_client import ask_once, asked, post
from genomed.commands.context import Caller
from genomed.daemon.assembly import new_event_id, now_us
from genomed.daemon.journal.database import WRITER_PRAGMAS
from genomed.daemon.journal.journal import open_journal
from genomed.daemon.read_models import GenomeReadModels
from genomed.entities.types import Role

CALLERS = 64
FILE_BATCH = 512
"""Of plain SQLite beside a file's import, which has no callers: the journal's own largest batch."""
TEXT_BYTES = 2048
GOALS = "reference/eventlog.md section 2, 6"

RAW, RAW_FILE = f"INSERT OR IGNORE, {CALLERS} per commit", f"INSERT OR IGNORE, {FILE_BATCH} per commit"
DISPATCHED, POSTED = (
    f"capture-interaction, in process, {CALLERS} callers",
    f"capture-interaction, HTTP, {CALLERS} clients",
)
IMPORTED = "dataset-import, rows of a JSONL file"

WORDS = (
    "invoice",
    "ticket",
    "printer",
    "urgent",
    "team",
    "please",
    "refund",
    "account",
    "network",
    "Friday",
    "ü",
    "priority",
)
_fresh = count()


def run(scope: Scope) -> list[Table]:
    folder = scope.disk / "ingest"
    folder.mkdir()
    texts = list(_texts(2000 if scope.quick else 10_000))
    with ExitStack() as running:
        daemon = running.enter_context(serving(daemon_command(folder / "daemon"), folder / "daemon" / "s")).socket
        return [_captures(scope, folder, daemon, texts), _file(scope, folder, daemon, texts)]


def _captures(scope: Scope, folder: Path, daemon: Path, texts: list[tuple[str, str]]) -> Table:
    posts = [post("/genome/capture-interaction", msgspec.json.encode(_params(*text))) for text in texts]
    contenders = [
        Contender(RAW, partial(_raw, folder / "raw.db", texts, CALLERS)),
        Contender(DISPATCHED, lambda: anyio.run(_dispatched, folder / "journal", texts, scope.seconds)),
        Contender(POSTED, partial(_posted, daemon, posts, scope.seconds)),
    ]
    facts = [f"Before: {sync_latency(folder)}."]
    samples = interleaved(contenders, rounds=scope.rounds)
    health = msgspec.json.decode(ask_once(daemon, HEALTH))
    facts.append(f"All captures go into one bucket; the daemon's log ends at {health['head']['position']:,}.")
    facts.append("A capture is also an event in the hash chain, a state, four rows of read models, and an answer.")
    return Table(
        title=f"examples of {TEXT_BYTES} bytes of text",
        unit="examples/s",
        more_is_better=True,
        reference=RAW,
        samples=samples,
        goals=[Goal(DISPATCHED, RAW, "at least", 0.6, GOALS)],
        facts=facts,
    )


def _file(scope: Scope, folder: Path, daemon: Path, texts: list[tuple[str, str]]) -> Table:
    contenders = [
        Contender(RAW_FILE, partial(_raw, folder / "raw.db", texts, FILE_BATCH)),
        Contender(IMPORTED, partial(_imported, daemon, folder / "rows.jsonl", texts)),
    ]
    facts = [f"Before: {sync_latency(folder)}."]
    return Table(
        title=f"a file of {len(texts):,} rows of {TEXT_BYTES} bytes",
        unit="rows/s",
        more_is_better=True,
        reference=RAW_FILE,
        samples=interleaved(contenders, rounds=scope.rounds),
        goals=[Goal(IMPORTED, RAW_FILE, "at least", 0.6, GOALS)],
        facts=[*facts, "The import also checks every row, finds duplicates, splits by group and writes the lineage."],
    )


def _texts(number: int) -> Iterator[tuple[str, str]]:
    """Pairs of what was asked and answered, together TEXT_BYTES long, no two alike."""
    draw = random.Random(1)
    for n in range(number):
        words = " ".join(draw.choices(WORDS, k=TEXT_BYTES // 4)).encode()[: TEXT_BYTES - 10]
        text = f"{n:09d} " + words.decode(errors="ignore")
        yield text[:1200], text[1200:].strip()


def _params(said: str, answer: str) -> dict[str, object]:
    return {"personaId": "ada", "domain": "help-desk", "input": said, "output": answer}


def _raw(database: Path, texts: list[tuple[str, str]], batch: int) -> Sample:
    for path in database.parent.glob(f"{database.name}*"):
        path.unlink()
    bodies = [msgspec.json.encode(_params(*text)) for text in texts]
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for pragma in (*WRITER_PRAGMAS, "PRAGMA wal_autocheckpoint = 1000"):
            connection.execute(pragma)
        connection.execute("CREATE TABLE examples(sha256 TEXT PRIMARY KEY, size_bytes INTEGER, body BLOB) STRICT")
        began = time.perf_counter()
        for start in range(0, len(bodies), batch):
            rows = [(sha256(body).hexdigest(), len(body), body) for body in bodies[start : start + batch]]
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT OR IGNORE INTO examples VALUES (?, ?, ?)", rows)
            connection.execute("COMMIT")
        return Sample(len(bodies) / (time.perf_counter() - began), "hashing counted")


async def _dispatched(folder: Path, texts: list[tuple[str, str]], seconds: float) -> Sample:
    rmtree(folder, ignore_errors=True)
    async with open_journal(
        folder, read_models=GenomeReadModels(), now_us=now_us, new_event_id=new_event_id
    ) as journal:
        dispatch = capturing_dispatch(journal, folder)
        ours = Caller(actor="uid:1000", role=Role.ADMIN)
        began = time.perf_counter()

        async def caller(number: int) -> None:
            while time.perf_counter() - began < seconds:
                params = _params(*texts[number % len(texts)])
                reply = await dispatch.execute("genome/capture-interaction", params, caller=ours)
                if not isinstance(reply.error, UnsetType):
                    raise RuntimeError(reply.error.message)  # noqa: TRY004 - the daemon refused it; no type is wrong
                number += CALLERS

        async with anyio.create_task_group() as tasks:
            for number in range(CALLERS):
                tasks.start_soon(caller, number)
        spent = time.perf_counter() - began
        return Sample(journal.head().position / spent, f"{journal.head().position / journal.commits():.0f} per commit")


def _posted(daemon: Path, posts: list[bytes], seconds: float) -> Sample:
    answered = asked(daemon, posts, clients=CALLERS, seconds=seconds)
    return Sample(answered.per_s, answered.note())


def _imported(daemon: Path, path: Path, texts: list[tuple[str, str]]) -> Sample:
    """New rows each time: content that was frozen before would be found and not written."""
    mark = next(_fresh)
    with path.open("wb") as out:
        for said, answer in texts:
            turns = [{"role": "user", "content": f"{mark} {said}"}, {"role": "assistant", "content": answer}]
            out.write(msgspec.json.encode({"messages": turns}) + b"\n")
    question = post("/genome/dataset-import", msgspec.json.encode({"personaId": "ada", "path": str(path)}))
    began = time.perf_counter()
    reply = msgspec.json.decode(ask_once(daemon, question))
    spent = time.perf_counter() - began
    rows = reply["result"]["rows"] + reply["result"]["evalRows"]
    return Sample(rows / spent, f"{rows:,} rows in {spent:.2f} s, one dataset")
