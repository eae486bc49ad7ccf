"""A worker's lines as a snapshot of its job. Pure: lines and the last cursor in, snapshot out.

Knows the worker's words and ours. Does not know whether the process lives; that is the caller's to add.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from genomed.adapters._accounting import Value
from genomed.adapters.local.progress_file import LONGEST_LINE_BYTES, Chunk, Line
from genomed.adapters.local.progress_lines import (
    CheckpointMade,
    CheckpointRejected,
    Effective,
    Evaluation,
    Failed,
    Finished,
    Judged,
    Noticed,
    Phase,
    ProgressLine,
    Setting,
    Started,
    Step,
    Stopped,
    read_line,
)
from genomed.entities.errors import ErrorBody, ErrorKind
from genomed.entities.facts import EffectiveField, Judgement, Progress
from genomed.entities.ports import Checkpoint, MetricPoint, Notice, Snapshot
from genomed.entities.types import EventLevel, JobPhase, JobStatus

PHASES = {
    "loading": JobPhase.LOADING,
    "judging_baseline": JobPhase.EVALUATING,
    "training": JobPhase.TRAINING,
    "judging_candidate": JobPhase.EVALUATING,
    "saving": JobPhase.SAVING,
}


class Cursor(Struct, frozen=True, kw_only=True, rename="camel"):
    """Where reading goes on, and what was last known. ending: offset of the line that ended it; null while it runs.

    inside: the offset lies in a line that is too long. seq: of the last line that was taken; told_to: lines up to this
    one were told before the file was exchanged. unread: how many lines nobody understood.
    """

    offset: int = 0
    ending: int | None = None
    inside: bool = False
    seq: int = 0
    told_to: int = 0
    unread: int = 0
    status: JobStatus = JobStatus.QUEUED
    phase: JobPhase = JobPhase.SUBMITTED
    word: str = "starting"


def cursor_from(text: str) -> Cursor:
    return msgspec.json.decode(text, type=Cursor) if text else Cursor()


def cursor_text(cursor: Cursor) -> str:
    return msgspec.json.encode(cursor).decode()


class Report:
    """Gathers what lines say; `snapshot` gives the sum. `finished` is left to the caller, who can look at files."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.finished: Finished | None = None
        self._message: str | None = None
        self._error: ErrorBody | None = None
        self._progress: Progress | None = None
        self._points: list[MetricPoint] = []
        self._notices: list[Notice] = []
        self._checkpoints: list[Checkpoint] = []
        self._judgements: dict[str, Judgement] = {}
        self._effective: list[EffectiveField] = []

    def read(self, chunk: Chunk) -> None:
        """What a look at the file gave."""
        if chunk.other:
            message = "the progress file is shorter than it was, or another: it is read again, and nothing told twice"
            self._warn("progress_file_exchanged", message)
            self.cursor = replace(self.cursor, offset=0, told_to=max(self.cursor.seq, self.cursor.told_to))
        self.take(chunk.lines, next_offset=chunk.next_offset)
        self.cursor = replace(self.cursor, inside=chunk.inside)
        if chunk.passed:
            self._unread(chunk.passed, f"it ends in a line of more than {LONGEST_LINE_BYTES >> 20} MiB")

    def take(self, lines: Iterable[Line], *, next_offset: int) -> None:
        unread, why = 0, ""
        for line in lines:
            try:
                told = read_line(line.data)
            except (msgspec.MsgspecError, UnicodeDecodeError) as strange:
                unread, why = (
                    unread + 1,
                    f"line at byte {line.offset} of the progress file is not understood: {strange}",
                )
                continue
            if line.offset == self.cursor.ending or told.seq > self.cursor.told_to:
                self.cursor = replace(self.cursor, seq=told.seq)
                self._take(told, line.offset)
        self._unread(unread, why)
        self.cursor = replace(self.cursor, offset=max(self.cursor.offset, next_offset))

    def _unread(self, count: int, why: str) -> None:
        """Told at the first, the tenth, the hundredth line: a worker that raves does not fill the log."""
        before, after = self.cursor.unread, self.cursor.unread + count
        self.cursor = replace(self.cursor, unread=after)
        if count and len(str(after)) > (len(str(before)) if before else 0):
            self._warn("progress_line_unread", why if after == 1 else f"{why} ({after} lines so far)")

    def _warn(self, code: str, message: str) -> None:
        self._notices.append(Notice(level=EventLevel.WARNING, code=code, message=message))

    def _take(self, told: ProgressLine, offset: int) -> None:
        match told:
            case Started():
                self._is(JobStatus.RUNNING, JobPhase.LOADING, "started")
                if told.resumed_from_step is not None:
                    message = f"resumed from the checkpoint of step {told.resumed_from_step}"
                    self._notices.append(Notice(level=EventLevel.INFO, code="resumed", message=message))
                elif told.resume:
                    self._warn("started_anew", "there is no sound checkpoint to go on from: training starts anew")
            case Phase():
                self._is(JobStatus.RUNNING, PHASES.get(told.phase, self.cursor.phase), told.phase)
            case Effective():
                self._effective.extend(_effective(setting) for setting in told.fields)
            case Noticed():
                self._warn(told.code, told.message)
            case Step() | Evaluation() | CheckpointMade() | CheckpointRejected() | Judged():
                self._measure(told)
            case Finished() | Stopped() | Failed():
                self._end(told)
                self.cursor = replace(self.cursor, ending=offset)

    def _measure(self, told: Step | Evaluation | CheckpointMade | CheckpointRejected | Judged) -> None:
        match told:
            case Step():
                self._progress = _progress(told)
                named = {
                    "loss": told.loss,
                    "learning_rate": told.learning_rate,
                    "grad_norm": told.grad_norm,
                    "tokens_per_s": told.tokens_per_s,
                    "reward_accuracy": told.reward_accuracy,
                    "reward_margin": told.reward_margin,
                }
                self._points.extend(_points(named, step=told.step, at=told.at))
            case Evaluation():
                self._points.extend(_points({"val_loss": told.eval_loss}, step=told.step, at=told.at))
            case CheckpointMade():
                made = Checkpoint(step=told.step, path=told.path, sha256=told.sha256, loss=told.loss)
                self._checkpoints.append(made)
            case CheckpointRejected():
                self._warn("checkpoint_rejected", f"checkpoint {told.path} was not used: {told.reason}")
            case Judged():
                self._judgements[told.side] = _judgement(told)

    def _end(self, told: Finished | Stopped | Failed) -> None:
        match told:
            case Finished():
                self.finished = told
                self._is(JobStatus.SUCCEEDED, JobPhase.FETCHING, "finished")
            case Stopped(reason="paused"):
                self._is(JobStatus.PAUSED, JobPhase.PAUSED, "paused")
                self._message = f"paused after step {told.step}"
            case Stopped():
                self._is(JobStatus.CANCELLED, JobPhase.ENDED, "cancelled")
                self._message = f"cancelled after step {told.step}"
            case Failed():
                self._is(JobStatus.FAILED, JobPhase.ENDED, "failed")
                self._message = told.message
                self._error = ErrorBody(
                    kind=ErrorKind(told.kind),
                    message=told.message,
                    retryable=told.kind == "capacity",
                    provider="local",
                    remedy=told.remedy,
                )

    def _is(self, status: JobStatus, phase: JobPhase, word: str) -> None:
        self.cursor = replace(self.cursor, status=status, phase=phase, word=word)

    def snapshot(self) -> Snapshot:
        return Snapshot(
            status=self.cursor.status,
            provider_status=self.cursor.word,
            phase=self.cursor.phase,
            message=self._message,
            progress=self._progress,
            points=tuple(self._points),
            notices=tuple(self._notices),
            checkpoints=tuple(self._checkpoints),
            judgements=self._judgements,
            effective=tuple(self._effective),
            error=self._error,
            cursor=cursor_text(self.cursor),
        )


def _progress(told: Step) -> Progress:
    return Progress(
        step=told.step,
        total_steps=told.total_steps,
        epoch=told.epoch,
        loss=told.loss,
        learning_rate=told.learning_rate,
        tokens_per_s=told.tokens_per_s,
        eta_s=told.eta_s,
    )


def _judgement(told: Judged) -> Judgement:
    return Judgement(
        rows=told.rows,
        loss=told.loss,
        exact_match=told.exact_match,
        reward_accuracy=told.reward_accuracy,
        reward_margin=told.reward_margin,
        metrics=told.metrics,
    )


def _points(named: dict[str, float | None], *, step: int, at: float) -> list[MetricPoint]:
    """A number nobody measured gives no point."""
    return [
        MetricPoint(name=name, step=step, value=value, at_us=int(at * 1e6))
        for name, value in named.items()
        if value is not None
    ]


def _effective(setting: Setting) -> EffectiveField:
    asked, sent = _plain(setting.asked), _plain(setting.sent)
    disposition = "defaulted" if asked is None else "sent" if asked == sent else "adjusted"
    return EffectiveField(field=setting.field, asked=asked, sent=sent, disposition=disposition, note=setting.note)


def _plain(value: object) -> Value:
    match value:
        case None | str() | int() | float() | bool():
            return value
        case list():
            return tuple(str(item) for item in value)
        case _:
            return msgspec.json.encode(value, order="sorted").decode()
