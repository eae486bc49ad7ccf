"""What a person or a program sees of a stream of events: one line each, one live line on a terminal, or JSON Lines."""

import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol, TextIO

import msgspec
from msgspec.structs import replace

from genomed.cli.cells import cut, local_time
from genomed.cli.colours import PLAIN
from genomed.cli.render import COLOURS, coloured, width
from genomed.cli.sparkline import sparkline
from genomed.cli.wrapping import harmless
from genomed.entities.errors import GenomeError
from genomed.entities.events import ProgressReported
from genomed.entities.facts import Progress
from genomed.entities.narration import progress_line
from genomed.entities.wire import Frame, ToldEvent

CONTINUED = "\n    "
ERASE_LINE = "\r\x1b[K"
STEPS_OF_ETA = 20
"""An ETA follows the speed of so many steps: steady, and still true after a slow start."""


class View(Protocol):
    """Shows events as they come, and says when the connection is lost."""

    def show(self, told: ToldEvent, frame: Frame) -> None: ...

    def lost(self, problem: GenomeError) -> None: ...

    def close(self) -> None: ...


class Silence:
    """Shows nothing."""

    def show(self, told: ToldEvent, frame: Frame) -> None:
        """Nothing."""

    def lost(self, problem: GenomeError) -> None:
        """Nothing: the follower waits."""

    def close(self) -> None:
        """Nothing is open."""


class JsonLines:
    """Each envelope as it came, on a line of its own."""

    def show(self, told: ToldEvent, frame: Frame) -> None:  # noqa: ARG002 - a program gets the bytes as they came
        sys.stdout.write(frame.data.decode() + "\n")
        sys.stdout.flush()

    def lost(self, problem: GenomeError) -> None:
        sys.stderr.write(msgspec.json.encode({"interrupted": problem.message}).decode() + "\n")

    def close(self) -> None:
        """Nothing is open."""


class Lines:
    """One line per event. with_stream: also which stream it is of, for views of several."""

    def __init__(self, *, with_stream: bool = False, out: TextIO | None = None) -> None:
        self._with_stream = with_stream
        self._out = out or sys.stdout
        self._colour = coloured(self._out)

    def show(self, told: ToldEvent, frame: Frame) -> None:  # noqa: ARG002 - people read the sentence
        self._out.write(self.line(told) + "\n")
        self._out.flush()

    def line(self, told: ToldEvent) -> str:
        where = f"{told.position}  {told.stream}  " if self._with_stream else ""
        colour = COLOURS.get(told.level) if self._colour else None
        said = told.text.replace("\n", CONTINUED)  # a line of another's words is no event
        text = f"{colour}{said}{PLAIN}" if colour else said
        return harmless(f"{local_time(told.at_us)}  {where}{text}")

    def lost(self, problem: GenomeError) -> None:
        sys.stderr.write(f"interrupted: {problem.message}; waiting for the daemon\n")

    def close(self) -> None:
        """Nothing is open."""


class Pulse(msgspec.Struct, frozen=True):
    """What was measured at a step. at_us: when."""

    step: int
    at_us: int
    loss: float | None
    tokens_per_s: float | None


class Live:
    """Events as lines, progress as one line that renews itself below them. For terminals only.

    pulses: the measurements after a step, asked once a second; progress events alone come too seldom to look alive.
    """

    def __init__(self, pulses: Callable[[int], list[Pulse]], *, every_s: float = 1.0) -> None:
        self._lines = Lines()
        self._pulses = pulses
        self._every_s = every_s
        self._progress: Progress | None = None
        self._recent: deque[Pulse] = deque(maxlen=STEPS_OF_ETA)
        self._losses: deque[float] = deque(maxlen=24)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)  # ends with close(), at the latest with us
        self._ticker.start()

    def show(self, told: ToldEvent, frame: Frame) -> None:  # noqa: ARG002 - people read the sentence
        with self._lock:
            event = told.event
            if isinstance(event, ProgressReported):
                self._moved(event.progress)
                return
            sys.stdout.write(ERASE_LINE + self._lines.line(told) + "\n")
            if told.type in ("job.training_finished", "job.paused", "job.failed", "job.cancelled", "job.succeeded"):
                self._progress = None
            self._redraw()

    def lost(self, problem: GenomeError) -> None:
        with self._lock:
            sys.stdout.write(ERASE_LINE)
            self._lines.lost(problem)
            self._redraw()

    def close(self) -> None:
        self._over.set()
        self._ticker.join(timeout=self._every_s * 2)
        with self._lock:
            sys.stdout.write(ERASE_LINE)
            sys.stdout.flush()

    def _tick(self) -> None:
        while not self._over.wait(self._every_s):
            with self._lock:
                step = self._progress.step if self._progress else None
            if step is None:
                continue
            try:
                measured = self._pulses(step)
            except GenomeError:  # the follower reports it
                continue
            with self._lock:
                for pulse in measured:
                    self._measured(pulse)
                self._redraw()

    def _measured(self, pulse: Pulse) -> None:
        if self._progress is None or pulse.step <= self._progress.step:
            return
        self._recent.append(pulse)
        eta_s = _eta_s(self._recent, self._progress.total_steps) or self._progress.eta_s
        self._moved(
            replace(self._progress, step=pulse.step, loss=pulse.loss, tokens_per_s=pulse.tokens_per_s, eta_s=eta_s)
        )

    def _moved(self, progress: Progress) -> None:
        if self._progress is not None and progress.step < self._progress.step:
            self._recent.clear()  # a new attempt
        self._progress = progress
        if progress.loss is not None:
            self._losses.append(progress.loss)
        self._redraw()

    def _redraw(self) -> None:
        if self._progress is not None:
            line = f"{progress_line(self._progress)}  {sparkline(list(self._losses))}"
            columns = width(sys.stdout)
            sys.stdout.write(ERASE_LINE + (cut(line, columns - 1) if columns else line))
        sys.stdout.flush()


def _eta_s(recent: deque[Pulse], total_steps: int | None) -> float | None:
    first, last = recent[0], recent[-1]
    if total_steps is None or last.step <= first.step or last.at_us <= first.at_us:
        return None
    return (last.at_us - first.at_us) / 1_000_000 / (last.step - first.step) * max(0, total_steps - last.step)
