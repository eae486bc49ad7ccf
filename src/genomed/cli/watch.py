"""`job watch` and `job wait`: a job from its first event to its end, over restarts of the daemon.

Knows how a job ends. Only looks: interrupting it does nothing to the job.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing

import msgspec

from genomed.cli.failures import PROGRAM, ExitCode
from genomed.cli.job_ids import whole_job_id
from genomed.cli.parsing import Globals
from genomed.cli.transport import Wire
from genomed.cli.views import JsonLines, Lines, Live, Pulse, Silence, View
from genomed.entities.wire import Frame, ToldEvent

ENDINGS = {
    "job.succeeded": ExitCode.OK,
    "job.failed": ExitCode.FAILED,
    "job.cancelled": ExitCode.FAILED,
}
REOPENINGS = ("job.resume_requested", "job.retry_requested")


def watch(wire: Wire, typed_id: str, asked: Globals, *, silent: bool = False) -> ExitCode:
    """Show a job until it has ended: OK if it succeeded, FAILED if not. Raises NotFound.

    The past comes first and in one piece, so that an ending which a retry undid is not taken for the end.
    """
    job_id = whole_job_id(wire, typed_id)
    wire.call("genome/job-status", {"jobId": job_id, "maxPoints": 1})
    view = _view(wire, job_id, asked, silent=silent)
    ending: ExitCode | None = None
    position = 0
    try:
        past = wire.followed(after=0, stream=f"job/{job_id}", answered=True, follow=False, lost=view.lost)
        for told, frame in _told(past):
            view.show(told, frame)
            position, ending = told.position, _ending(told, ending)
        if ending is None:
            ending = _followed(wire, job_id, position, view)
    except KeyboardInterrupt:
        view.close()
        again = f"{PROGRAM} job {'wait' if silent else 'watch'} {job_id}"
        sys.stderr.write(f"the view ended; the job goes on. Look again with: {again}\n")
        return ExitCode.INTERRUPTED
    view.close()
    return ending


def tail(wire: Wire, *, after: int | None, patterns: Sequence[str], asked: Globals) -> ExitCode:
    """Show the log from behind `after` (None: from now) until interrupted."""
    view: View = JsonLines() if asked.as_json else Lines(with_stream=True)
    try:
        with closing(wire.followed(after=after, patterns=patterns, lost=view.lost)) as frames:
            for told, frame in _told(frames):
                view.show(told, frame)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return ExitCode.OK


def _followed(wire: Wire, job_id: str, position: int, view: View) -> ExitCode:
    with closing(wire.followed(after=position, stream=f"job/{job_id}", answered=True, lost=view.lost)) as frames:
        for told, frame in _told(frames):
            view.show(told, frame)
            ending = _ending(told, None)
            if ending is not None:
                return ending
    raise AssertionError("what follows for ever ends by an exception only")


def _ending(told: ToldEvent, before: ExitCode | None) -> ExitCode | None:
    if told.type in REOPENINGS:
        return None
    return ENDINGS.get(told.type, before)


def _told(frames: Iterator[Frame]) -> Iterator[tuple[ToldEvent, Frame]]:
    decoder = msgspec.json.Decoder(ToldEvent)
    for frame in frames:
        yield decoder.decode(frame.data), frame


def _view(wire: Wire, job_id: str, asked: Globals, *, silent: bool) -> View:
    if silent or asked.quiet:
        return Silence()
    if asked.as_json:
        return JsonLines()
    if not sys.stdout.isatty():
        return Lines()
    return Live(lambda step: _pulses(wire, job_id, step))


class _Point(msgspec.Struct):
    step: int
    value: float
    timestamp: int


class _Metrics(msgspec.Struct):
    series: dict[str, list[_Point]]


def _pulses(wire: Wire, job_id: str, after_step: int) -> list[Pulse]:
    params = {"jobId": job_id, "names": ["loss", "tokens_per_s"], "afterStep": after_step, "maxPoints": 100}
    measured = msgspec.json.decode(wire.call("genome/job-metrics", params).result, type=_Metrics).series
    speeds = {point.step: point.value for point in measured.get("tokens_per_s", [])}
    return [
        Pulse(step=point.step, at_us=point.timestamp, loss=point.value, tokens_per_s=speeds.get(point.step))
        for point in measured.get("loss", [])
    ]
