"""What can be known of an attempt from its folder: the worker's lines, and whether the worker is still there.

Blocking: call it in a thread. A worker is lost only if it was gone before its last line was read.
"""

import os
import shutil
import signal
from errno import EACCES, EEXIST, EISDIR, ENOTDIR, EPERM
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from genomed.adapters._durable_files import write_atomically
from genomed.adapters.local.attempt_folder import AttemptFolder
from genomed.adapters.local.control_group import Group
from genomed.adapters.local.hangs import HangWatch, age_s, stalled
from genomed.adapters.local.memory_guard import (
    KILL_AFTER_TERM_S,
    KILLED,
    MemoryGuard,
    Verdict,
    died_for_memory,
    killed_for_memory,
    kills_since,
    verdict_in,
)
from genomed.adapters.local.progress_file import read_lines
from genomed.adapters.local.progress_report import Cursor, Report, cursor_from
from genomed.adapters.local.publication import artifact_of
from genomed.adapters.local.settings import LocalSettings
from genomed.adapters.local.worker_file import open_plain, read_plain
from genomed.adapters.local.worker_process import Workers, record_in
from genomed.entities.ports import Snapshot
from genomed.entities.types import TERMINAL, JobPhase, JobStatus

READ_BYTES = 1 << 20
LOG_TAIL_LINES = 20
LOG_TAIL_BYTES = 4000


ENDED = (*TERMINAL, JobStatus.PAUSED)
"""After these a worker has nothing left to do, and nobody looks at it any more."""


class Wish(Struct, frozen=True):
    """wish.json, and control.json."""

    want: Literal["pause", "cancel"]


class _Method(Struct, frozen=True):
    type: str


class _Spec(Struct, frozen=True):
    method: _Method


def observe(
    folder: AttemptFolder,
    *,
    cursor: str,
    workers: Workers,
    guard: MemoryGuard,
    hangs: HangWatch,
    settings: LocalSettings,
    now_us: int,
) -> Snapshot:
    record = record_in(folder)
    seen = _observe(folder, cursor=cursor, workers=workers, guard=guard, hangs=hangs, settings=settings, now_us=now_us)
    if seen.artifact is not None or seen.status in ENDED:
        workers.end(folder)
    if seen.status in TERMINAL or seen.worker_lost is not None:
        shutil.rmtree(folder.scratch, ignore_errors=True)  # a worker that was killed could not
        if record is not None and record.group is not None:
            Group(record.group).remove()
    return seen if record is None else replace(seen, confinement=record.confinement)


def _observe(
    folder: AttemptFolder,
    *,
    cursor: str,
    workers: Workers,
    guard: MemoryGuard,
    hangs: HangWatch,
    settings: LocalSettings,
    now_us: int,
) -> Snapshot:
    alive = workers.alive(folder)  # before reading, so that a dead worker's last words are not missed
    report = Report(cursor_from(cursor))
    start = report.cursor.offset if report.cursor.ending is None else report.cursor.ending
    chunk = read_lines(folder.progress, offset=start, limit_bytes=READ_BYTES, inside=report.cursor.inside)
    report.read(chunk)
    snapshot = report.snapshot()
    if report.finished is not None:
        return replace(snapshot, artifact=artifact_of(report.finished, folder, full=_is_full(folder)))
    if report.cursor.ending is not None:
        return _ended(snapshot, folder)
    if alive or not chunk.drained:
        if alive:
            enforce_cancel(folder, workers=workers, settings=settings, now_us=now_us)
            hangs.look(folder, word=report.cursor.word, now_us=now_us)
            guard.look(folder, now_us=now_us)
        return _running(snapshot, report.cursor, folder, settings=settings, now_us=now_us)
    return _gone(snapshot, folder, workers=workers, now_us=now_us)


def _is_full(folder: AttemptFolder) -> bool:
    """False also where the worker spoiled what it was told: a layer that is none is refused when it is published."""
    try:
        return msgspec.json.decode(read_plain(folder.spec), type=_Spec).method.type == "full"
    except (FileNotFoundError, UnicodeDecodeError, msgspec.MsgspecError):
        return False


def _running(
    snapshot: Snapshot, cursor: Cursor, folder: AttemptFolder, *, settings: LocalSettings, now_us: int
) -> Snapshot:
    wish = wish_in(folder)
    if wish is not None:
        phase = JobPhase.CANCELLING if wish.want == "cancel" else JobPhase.PAUSING
        return replace(snapshot, phase=phase, next_poll_s=settings.poll_s)
    silent = stalled(folder, settings, word=cursor.word, now_us=now_us)
    if silent is not None:
        return replace(snapshot, phase=JobPhase.STALLED, message=silent, next_poll_s=settings.poll_s)
    return replace(snapshot, next_poll_s=settings.poll_s)


def _ended(snapshot: Snapshot, folder: AttemptFolder) -> Snapshot:
    """A worker that the guard ends writes a checkpoint and calls that a pause; nobody had asked for one."""
    verdict = verdict_in(folder)
    if snapshot.status is not JobStatus.PAUSED or verdict is None or wish_in(folder) is not None:
        return snapshot
    return _judged(snapshot, verdict)


def _judged(snapshot: Snapshot, verdict: Verdict) -> Snapshot:
    if verdict.lost:
        return replace(snapshot, worker_lost=verdict.message)
    ended = replace(snapshot, status=JobStatus.FAILED, phase=JobPhase.ENDED)
    return replace(ended, message=verdict.message, error=verdict.error())


def _gone(snapshot: Snapshot, folder: AttemptFolder, *, workers: Workers, now_us: int) -> Snapshot:
    wish = wish_in(folder)
    if wish is not None and wish.want == "cancel":
        message = "the worker was stopped by force, or had died before it was cancelled"
        return replace(snapshot, status=JobStatus.CANCELLED, phase=JobPhase.ENDED, message=message)
    if verdict := (
        verdict_in(folder)
        or killed_for_memory(folder, workers, now_us=now_us)
        or died_for_memory(folder, log_tail(folder.log), now_us=now_us)
    ):
        return _judged(snapshot, verdict)
    return replace(snapshot, worker_lost=last_words(folder, code=workers.code(folder)))


def last_words(folder: AttemptFolder, *, code: int | None) -> str:
    spoke = folder.progress.exists()
    what = "the worker is gone without an ending" if spoke else "the worker died before it said anything"
    if code in KILLED:
        what += " (killed by SIGKILL, not by us)"
    elif code is None and (killed := kills_since(folder)):
        what += f" (the kernel ended {killed} processes for want of memory since it began, perhaps this one)"
    if not folder.root.exists():
        return f"{what}: its folder {folder.root} does not exist"
    tail = log_tail(folder.log)
    return f"{what}; the end of its log:\n{tail}" if tail else f"{what}; its log is empty"


def log_tail(path: Path) -> str:
    try:
        with open_plain(path) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
            held = file.read(LOG_TAIL_BYTES)
    except FileNotFoundError:
        return ""
    return "\n".join(held.decode(errors="replace").strip().splitlines()[-LOG_TAIL_LINES:])


def wish_in(folder: AttemptFolder) -> Wish | None:
    return _wish(folder.wish)


def _wish(path: Path) -> Wish | None:
    """None also for a file that is none of ours: a worker may write into its folder what it likes."""
    try:
        return msgspec.json.decode(read_plain(path), type=Wish)
    except (FileNotFoundError, UnicodeDecodeError, msgspec.MsgspecError):
        return None


def want(folder: AttemptFolder, wish: Wish) -> None:
    """A wish that stands is not written again, so that its age is that of the first; a cancel outlasts a pause."""
    if not folder.root.exists():
        return
    standing = wish_in(folder)
    if standing is None or (standing.want == "pause" and wish.want == "cancel"):
        write_atomically(folder.wish, msgspec.json.encode(wish))
        standing = wish
    if _wish(folder.control) == standing:
        return
    try:
        write_atomically(folder.control, msgspec.json.encode(standing))
    except OSError as trouble:
        if trouble.errno not in SPOILED:
            raise  # a worker that put a folder there is not told, and is ended when its time is over


SPOILED = frozenset({EISDIR, EEXIST, ENOTDIR, EACCES, EPERM})


def enforce_cancel(folder: AttemptFolder, *, workers: Workers, settings: LocalSettings, now_us: int) -> None:
    """First the wish, then SIGTERM, then SIGKILL, each with its time."""
    wish, age = wish_in(folder), age_s(folder.wish, now_us)
    if wish is None or wish.want != "cancel" or age is None or age < settings.cancel_grace_s:
        return
    late = age >= settings.cancel_grace_s + KILL_AFTER_TERM_S
    workers.signal(folder, signal.SIGKILL if late else signal.SIGTERM)
