"""What can be known of an attempt from its folder: the worker's lines, and whether the worker is still there.

Blocking: call it in a thread. A worker is lost only if it was gone before its last line was read.
"""

import signal
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from genomed.adapters._durable_files import write_atomically
from genomed.adapters.local.attempt_folder import AttemptFolder
from genomed.adapters.local.progress_file import read_lines
from genomed.adapters.local.progress_report import Cursor, Report, cursor_from
from genomed.adapters.local.publication import artifact_of
from genomed.adapters.local.settings import LocalSettings
from genomed.adapters.local.worker_process import Workers
from genomed.entities.ports import Snapshot
from genomed.entities.types import JobPhase, JobStatus

READ_BYTES = 1 << 20
KILL_AFTER_TERM_S = 10.0
LOG_TAIL_LINES = 20
LOG_TAIL_BYTES = 4000


class Wish(Struct, frozen=True):
    """control.json."""

    want: Literal["pause", "cancel"]


class _Method(Struct, frozen=True):
    type: str


class _Spec(Struct, frozen=True):
    method: _Method


def observe(folder: AttemptFolder, *, cursor: str, workers: Workers, settings: LocalSettings, now_us: int) -> Snapshot:
    alive = workers.alive(folder)  # before reading, so that a dead worker's last words are not missed
    report = Report(cursor_from(cursor))
    start = report.cursor.offset if report.cursor.ending is None else report.cursor.ending
    chunk = read_lines(folder.progress, offset=start, limit_bytes=READ_BYTES)
    report.take(chunk.lines, next_offset=chunk.next_offset)
    snapshot = report.snapshot()
    if report.finished is not None:
        full = msgspec.json.decode(folder.spec.read_bytes(), type=_Spec).method.type == "full"
        return replace(snapshot, artifact=artifact_of(report.finished, folder, full=full))
    if report.cursor.ending is not None:
        return snapshot
    if alive or not chunk.drained:
        if alive:
            _enforce_cancel(folder, workers=workers, settings=settings, now_us=now_us)
        return _running(snapshot, report.cursor, folder, settings=settings, now_us=now_us)
    return _gone(snapshot, folder)


def _running(
    snapshot: Snapshot, cursor: Cursor, folder: AttemptFolder, *, settings: LocalSettings, now_us: int
) -> Snapshot:
    wish = wish_in(folder)
    if wish is not None:
        phase = JobPhase.CANCELLING if wish.want == "cancel" else JobPhase.PAUSING
        return replace(snapshot, phase=phase, next_poll_s=settings.poll_s)
    silence_s = _silence_s(folder, now_us)
    if silence_s > settings.stall_after_s:
        message = f"the worker has shown no sign of life for {silence_s:.0f} s (phase {cursor.word})"
        return replace(snapshot, phase=JobPhase.STALLED, message=message, next_poll_s=settings.poll_s)
    return replace(snapshot, next_poll_s=settings.poll_s)


def _gone(snapshot: Snapshot, folder: AttemptFolder) -> Snapshot:
    wish = wish_in(folder)
    if wish is not None and wish.want == "cancel":
        message = "the worker was stopped by force, or had died before it was cancelled"
        return replace(snapshot, status=JobStatus.CANCELLED, phase=JobPhase.ENDED, message=message)
    return replace(snapshot, worker_lost=_last_words(folder, spoke=folder.progress.exists()))


def _last_words(folder: AttemptFolder, *, spoke: bool) -> str:
    what = "the worker is gone without an ending" if spoke else "the worker died before it said anything"
    if not folder.root.exists():
        return f"{what}: its folder {folder.root} does not exist"
    tail = log_tail(folder.log)
    return f"{what}; the end of its log:\n{tail}" if tail else f"{what}; its log is empty"


def log_tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
            held = file.read()
    except FileNotFoundError:
        return ""
    return "\n".join(held.decode(errors="replace").strip().splitlines()[-LOG_TAIL_LINES:])


def _silence_s(folder: AttemptFolder, now_us: int) -> float:
    """Since the heartbeat, or since the start while there was none."""
    for path in (folder.heartbeat, folder.started):
        if (age := _age_s(path, now_us)) is not None:
            return age
    return 0.0


def _age_s(path: Path, now_us: int) -> float | None:
    try:
        return now_us / 1e6 - path.stat().st_mtime
    except FileNotFoundError:
        return None


def wish_in(folder: AttemptFolder) -> Wish | None:
    try:
        return msgspec.json.decode(folder.control.read_bytes(), type=Wish)
    except FileNotFoundError:
        return None


def want(folder: AttemptFolder, wish: Wish) -> None:
    """A wish that stands is not written again, so that its age is that of the first; a cancel outlasts a pause."""
    if not folder.root.exists():
        return
    standing = wish_in(folder)
    if standing is None or (standing.want == "pause" and wish.want == "cancel"):
        write_atomically(folder.control, msgspec.json.encode(wish))


def _enforce_cancel(folder: AttemptFolder, *, workers: Workers, settings: LocalSettings, now_us: int) -> None:
    """First the wish, then SIGTERM, then SIGKILL, each with its time."""
    wish, age_s = wish_in(folder), _age_s(folder.control, now_us)
    if wish is None or wish.want != "cancel" or age_s is None or age_s < settings.cancel_grace_s:
        return
    late = age_s >= settings.cancel_grace_s + KILL_AFTER_TERM_S
    workers.signal(folder, signal.SIGKILL if late else signal.SIGTERM)
