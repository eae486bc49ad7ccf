"""What the journal's tests share: a journal with ids and a clock of its own, small read models, events to append."""

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from genomed.daemon.journal.journal import Journal, open_journal
from genomed.daemon.journal.read_model_port import Fold, fold_of
from genomed.entities.envelope import Appended, Cause, Envelope, Write
from genomed.entities.events import Event, JobNoted, JobPaused
from genomed.entities.journal_port import Journal as JournalPort
from genomed.entities.journal_port import SideWrite
from genomed.entities.types import EventLevel

CAUSE = Cause(actor="uid:1000", command_id="command-1", correlation_id="wish-1", causation_position=None)


class Notebook(Struct, frozen=True, kw_only=True):
    """What the streams of kind `job` fold to in these tests."""

    notes: tuple[str, ...] = ()
    pauses: int = 0


def evolve(notebook: Notebook | None, envelope: Envelope) -> Notebook:
    notebook = notebook or Notebook()
    match envelope.event:
        case JobNoted(code="impossible"):
            raise ValueError("no fold knows what to do with this")
        case JobNoted(message=message):
            return replace(notebook, notes=(*notebook.notes[-9:], message[:40]))
        case JobPaused():
            return replace(notebook, pauses=notebook.pauses + 1)
        case _:
            return notebook


class NotebookModels:
    """One table whose rows are inserted, changed and deleted, so that the order of statements matters."""

    def __init__(self, comment: str = "1") -> None:
        self._comment = comment

    @property
    def kinds(self) -> Mapping[str, Fold]:
        return {"job": fold_of(Notebook, evolve)}

    def rows(self, envelope: Envelope, state: object | None) -> Sequence[SideWrite]:
        assert state is None or isinstance(state, Notebook)
        if not isinstance(envelope.event, JobNoted):
            return [SideWrite(sql="DELETE FROM notes WHERE stream = ?", rows=((envelope.stream,),))]
        insert = "INSERT INTO notes(stream, message, times) VALUES (?, ?, 0) ON CONFLICT DO NOTHING"
        key = (envelope.stream, envelope.event.message)
        return [
            SideWrite(sql=insert, rows=(key,)),
            SideWrite(sql="UPDATE notes SET times = times + 1 WHERE stream = ? AND message = ?", rows=(key,)),
        ]

    def schema(self) -> str:
        return (
            f"-- meaning {self._comment}; a semicolon here is none there\n"
            "CREATE TABLE IF NOT EXISTS notes(\n  stream TEXT, message TEXT, times INTEGER,\n"
            "  PRIMARY KEY (stream, message)\n) STRICT;\n"
            "CREATE INDEX IF NOT EXISTS notes_by_times ON notes(times);\n"
        )

    def tables(self) -> tuple[str, ...]:
        return ("notes",)


def note(message: str = "a word", *, code: str = "n") -> Event:
    return JobNoted(level=EventLevel.INFO, message=message, code=code)


def pause() -> Event:
    return JobPaused(attempt=1)


def make_ids() -> Callable[[], str]:
    """Unique over all journals of a test run and over the processes that it starts."""
    return lambda: f"event-{os.getpid()}-{next(_numbers):06d}"


_numbers = itertools.count(1)
_clock_us = itertools.count(1_795_000_000_000_000, 1000)


def opened(
    data_dir: Path, *, models: NotebookModels | None = None, accept_loss: bool = False
) -> AbstractAsyncContextManager[Journal]:
    return open_journal(
        data_dir,
        read_models=models or NotebookModels(),
        now_us=lambda: next(_clock_us),
        new_event_id=make_ids(),
        accept_loss=accept_loss,
    )


async def put(journal: JournalPort, stream: str, *events: Event, expected: int = -1) -> Appended:
    return await journal.append([Write(stream=stream, expected=expected, events=events)], cause=CAUSE)


async def fill(journal: JournalPort, *, events: int, per_append: int = 250) -> None:
    """Distinct notes `entry-1` ... over ten streams; few commits."""
    for start in range(1, events + 1, per_append):
        numbers = range(start, min(start + per_append, events + 1))
        writes = [Write(stream=f"job/{n % 10}", expected=-1, events=(note(f"entry-{n}."),)) for n in numbers]
        await journal.append(writes, cause=CAUSE)
