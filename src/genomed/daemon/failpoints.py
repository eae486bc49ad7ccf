"""Named points at which the daemon can be told to die, for tests that kill it exactly there. Off in production.

GENOMED_FAILPOINT=NAME:N kills this process with SIGKILL when a point that NAME matches (`*` and `?` stand for anything)
is reached for the Nth time; NAME alone means the first. GENOMED_FAILPOINT_TRACE=FILE appends the name of every point
that is reached. With neither, `kinds` gives the plain classes and nothing is wrapped.

Points: `append.<event type>.before|after`; `journal.<transaction>.begun|commit|committed`, `journal.anchor.*`,
`journal.publish.*`, `journal.checkpoint.*`; `<part>.<call>.before|after` around every call that acts outside the log;
and `file.<act>.<folder>` before every change of a file or folder, `process.start|signal` before a worker is started or
told to end, as Python's own audit events tell of them.
"""

import os
import signal
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from threading import Lock
from typing import ParamSpec, TypeVar, cast

from genomed.daemon.assembly import PLAIN_PARTS, PartKinds
from genomed.daemon.courier.staging import Staging
from genomed.daemon.datasets.store import DatasetStore
from genomed.daemon.journal.anchor import Anchor
from genomed.daemon.journal.database import WritingConnection
from genomed.daemon.journal.journal import PLAIN_JOURNAL, Journal, JournalKinds
from genomed.daemon.journal.tail import Tail
from genomed.daemon.provider_table import ProviderTable
from genomed.daemon.recipe_engine.folder import RecipeFolder
from genomed.daemon.recipe_engine.models import Model, ModelTable
from genomed.entities.envelope import Appended, Blob, Cause, Envelope, Head, Receipt, Write
from genomed.entities.event_codec import type_of
from genomed.entities.journal_port import SideWrite
from genomed.entities.ports import Provider

VARIABLE = "GENOMED_FAILPOINT"
TRACE_VARIABLE = "GENOMED_FAILPOINT_TRACE"

PROVIDER_CALLS = ("submit", "find", "poll", "cancel", "pause", "proceed", "publish", "quote", "forget", "prune")
UPLOAD_CALLS = ("find", "put", "state")
SERVING_CALLS = ("deploy", "find", "state", "undeploy", "remove", "answer")
ERRAND_CALLS = ("start", "cancel", "publish", "clear")
DATASET_CALLS = (
    *("freeze", "import_file", "add_segment", "export", "discard"),
    *("forget", "forget_in_draft", "discard_segment"),
)
STAGING_CALLS = ("clear", "prepare", "forget", "let_go")
RECIPE_CALLS = ("keep", "keep_lines", "discard", "clear", "verify")
MODEL_CALLS = ("chat", "embed")

JOURNAL_CALLS = ("erase_blob", "rebuild", "export", "backup", "back_up", "discard_answers")
FILE_ACTS = {
    "open": "write",
    "os.rename": "rename",
    "os.remove": "remove",
    "os.mkdir": "mkdir",
    "os.rmdir": "rmdir",
    "os.truncate": "truncate",
    "os.link": "link",
    "shutil.rmtree": "remove_folder",
}
PROCESS_ACTS = {"subprocess.Popen": "start", "os.kill": "signal", "os.killpg": "signal"}

P = ParamSpec("P")
T = TypeVar("T")


class Failpoints:
    """Counts what is reached, from any thread, and ends the process where it was told to."""

    def __init__(self, *, at: str | None, trace: str | None) -> None:
        name, _, number = (at or "").rpartition(":")
        self._pattern, self._left = (name, int(number)) if name and number.isdigit() else (at, 1)
        self._trace = os.open(trace, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600) if trace else None
        self._lock = Lock()

    def reach(self, *names: str) -> None:
        """One step, under each of its names."""
        for name in names:
            if self._trace is not None:
                os.write(self._trace, f"{name}\n".encode())
            if self._pattern is not None and fnmatchcase(name, self._pattern):
                with self._lock:
                    self._left -= 1
                    if self._left == 0:
                        signal.raise_signal(signal.SIGKILL)


@dataclass(frozen=True, kw_only=True)
class Kinds:
    """What the daemon is composed of."""

    journal: JournalKinds
    parts: PartKinds


def kinds(environment: Mapping[str, str], data_dir: Path) -> Kinds:
    """The plain classes, unless the environment asks for failpoints. Ask once: the watch of files stays."""
    at, trace = environment.get(VARIABLE), environment.get(TRACE_VARIABLE)
    if not at and not trace:
        return Kinds(journal=PLAIN_JOURNAL, parts=PLAIN_PARTS)
    points = Failpoints(at=at, trace=trace)
    sys.addaudithook(_watch(points, data_dir))
    return Kinds(journal=_journal_kinds(points), parts=_part_kinds(points))


def _stepped(points: Failpoints, name: str, call: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[None, None, T]]:
    async def called(*args: P.args, **kwargs: P.kwargs) -> T:
        points.reach(f"{name}.before")
        answer = await call(*args, **kwargs)
        points.reach(f"{name}.after")
        return answer

    return called


def _mortal(points: Failpoints, mark: str, kind: type[T], calls: Iterable[str]) -> type[T]:
    """The class with these of its async methods made steps."""
    body = {call: _stepped(points, f"{mark}.{call}", getattr(kind, call)) for call in calls}
    return cast("type[T]", type(f"Mortal{kind.__name__}", (kind,), body))


def _step_calls(points: Failpoints, mark: str, one: object, calls: Iterable[str]) -> None:
    """The same for an object that others make: an adapter's, which may be anybody's."""
    for call in calls:
        real: Callable[..., Awaitable[object]] | None = getattr(one, call, None)
        if real is not None:
            setattr(one, call, _stepped(points, f"{mark}.{call}", real))


def _journal_kinds(points: Failpoints) -> JournalKinds:
    class MortalJournal(Journal):
        async def append(
            self,
            writes: Sequence[Write],
            *,
            cause: Cause,
            receipt: Receipt | None = None,
            blobs: Sequence[Blob] = (),
            side: Sequence[SideWrite] = (),
        ) -> Appended:
            types = dict.fromkeys(type_of(event) for write in writes for event in write.events) or {"nothing": None}
            points.reach(*(f"append.{one}.before" for one in types))
            appended = await super().append(writes, cause=cause, receipt=receipt, blobs=blobs, side=side)
            points.reach(*(f"append.{one}.after" for one in types))
            return appended

    return JournalKinds(
        journal=_mortal(points, "journal", MortalJournal, JOURNAL_CALLS),
        connection=_connection_kind(points),
        anchor=_anchor_kind(points),
        tail=_tail_kind(points),
    )


def _connection_kind(points: Failpoints) -> type[WritingConnection]:
    class MortalConnection(WritingConnection):
        _label = ""

        def executemany(self, label: str, parameters: Iterable[object], /) -> sqlite3.Cursor:
            self._label = label
            return super().executemany(label, parameters)

        def _commit(self) -> None:
            points.reach(f"journal.{self._label}.commit")
            super()._commit()
            points.reach(f"journal.{self._label}.committed")

        def execute(self, sql: str, parameters: "sqlite3._Parameters" = (), /) -> sqlite3.Cursor:
            checkpoint = sql.startswith("PRAGMA wal_checkpoint")
            if checkpoint:
                points.reach("journal.checkpoint.before")
            cursor = super().execute(sql, parameters)
            if checkpoint:
                points.reach("journal.checkpoint.after")
            elif sql == "BEGIN IMMEDIATE":
                points.reach(f"journal.{self._label}.begun")
            return cursor

    return MortalConnection


def _anchor_kind(points: Failpoints) -> type[Anchor]:
    class MortalAnchor(Anchor):
        def record(self, head: Head) -> None:
            points.reach("journal.anchor.before")
            super().record(head)
            points.reach("journal.anchor.after")

    return MortalAnchor


def _tail_kind(points: Failpoints) -> type[Tail]:
    class MortalTail(Tail):
        def publish(self, envelopes: Sequence[Envelope], head: Head) -> None:
            points.reach("journal.publish.before")
            super().publish(envelopes, head)
            points.reach("journal.publish.after")

    return MortalTail


def _part_kinds(points: Failpoints) -> PartKinds:
    class MortalProviders(ProviderTable):
        def get(self, name: str) -> Provider:
            known = name in self._made
            provider = super().get(name)
            if not known:
                _step_calls(points, f"provider.{name}", provider, PROVIDER_CALLS)
                _step_calls(points, f"uploads.{name}", provider.uploads, UPLOAD_CALLS)
                _step_calls(points, f"serving.{name}", provider.serving, SERVING_CALLS)
                _step_calls(points, f"errands.{name}", getattr(provider, "errands", None), ERRAND_CALLS)
            return provider

    class MortalModels(ModelTable):
        def get(self, name: str) -> Model:
            known = name in self._made
            model = super().get(name)
            if not known:
                _step_calls(points, "model", model.client, MODEL_CALLS)
            return model

    return PartKinds(
        providers=MortalProviders,
        models=MortalModels,
        datasets=_mortal(points, "dataset", DatasetStore, DATASET_CALLS),
        staging=_mortal(points, "staging", Staging, STAGING_CALLS),
        folder=_mortal(points, "recipe", RecipeFolder, RECIPE_CALLS),
    )


def _watch(points: Failpoints, data_dir: Path) -> Callable[[str, tuple[object, ...]], None]:
    """Python tells of each change before it makes it; SQLite's own files it does not see."""
    below = f"{data_dir.absolute()}/"

    def told(event: str, details: tuple[object, ...]) -> None:
        if event in PROCESS_ACTS:
            points.reach(f"process.{PROCESS_ACTS[event]}")
        act = FILE_ACTS.get(event)
        if act is None or (event == "open" and not _writes(details)):
            return
        path = os.fsdecode(details[0]) if isinstance(details[0], str | bytes | os.PathLike) else ""
        if path.startswith(below):
            room, _, within = path.removeprefix(below).partition("/")
            points.reach(f"file.{act}.{room if within else 'top'}")
        elif act == "remove" and not path.startswith("/") and details[-1] != -1:
            points.reach("file.remove.within")  # inside a folder that is being removed as a whole

    return told


def _writes(details: tuple[object, ...]) -> bool:
    flags = details[-1]
    return isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR) != 0
