"""What somebody who goes through rows looks at and types on: a terminal with single keys, or plain lines.

Knows file descriptors and terminal modes; does not know what is shown. However it ends, the terminal is left as it was.
"""

import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import tty
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Protocol, Self, TextIO

from genomed.cli.failures import Usage
from genomed.cli.render import coloured

ALTERNATE, MAIN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
CLEAR = "\x1b[H\x1b[2J"
SEQUENCE_S = 0.05
"""What follows an escape within this time belongs to it: an arrow, not the key."""

_SEQUENCES = {
    "[A": "up", "[B": "down", "[C": "right", "[D": "left", "OA": "up", "OB": "down", "OC": "right", "OD": "left",
    "[5~": "page up", "[6~": "page down",
}  # fmt: skip

REDRAW = "redraw"
"""The key that nobody pressed: the window changed, or a signal woke us."""


class Left(Exception):
    """The input ended, or the terminal is gone."""


class Face(Protocol):
    """rest: what was typed behind the key, where whole lines are typed."""

    colour: bool

    def size(self) -> tuple[int, int]:
        """Columns and rows to fill."""
        ...

    def show(self, lines: Sequence[str]) -> None: ...

    def key(self) -> tuple[str, str]:
        """The key that was pressed, REDRAW, or nothing for a key without a name; and the rest. Raises Left."""
        ...

    def ask(self, question: str) -> str | None:
        """A line of text; None where it was given up."""
        ...

    def edit(self, text: str) -> str | None:
        """The text as an editor left it; None where it was given up. Raises Usage where there is no editor."""
        ...


class Terminal:
    """Single keys on the whole screen. Enter it before use; leaving gives the terminal back."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.colour = coloured(sys.stdout)
        self._environment = environment
        self._in, self._out = sys.stdin.fileno(), sys.stdout.fileno()
        self._encoding = sys.stdout.encoding
        self._before: list[object] = []
        self._question: str | None = None
        self._wake_read, self._wake_write, self._woken_before = -1, -1, -1
        self._handlers: dict[int, object] = {}

    def __enter__(self) -> Self:
        self._before = list(termios.tcgetattr(self._in))
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        # Written to the moment a signal comes: one that comes just before the wait for a key would end no wait.
        self._woken_before = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number, handler in (
            (signal.SIGTERM, _leave),
            (signal.SIGHUP, _leave),
            (signal.SIGWINCH, self._changed),
            (signal.SIGTSTP, self._stopped),
        ):
            self._handlers[number] = signal.signal(number, handler)
        self._take()
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal gave us
        signal.set_wakeup_fd(self._woken_before)
        os.close(self._wake_read)
        os.close(self._wake_write)

    def size(self) -> tuple[int, int]:
        try:
            found = os.get_terminal_size(self._in)  # COLUMNS of the environment is of the window as it once was
        except OSError:
            found = shutil.get_terminal_size()
        return found.columns, found.lines

    def show(self, lines: Sequence[str]) -> None:
        self._write(CLEAR + "\n".join(lines))

    def key(self) -> tuple[str, str]:
        ready, _, _ = select.select([self._in, self._wake_read], [], [])
        if self._wake_read in ready:
            os.read(self._wake_read, 1024)
            return REDRAW, ""
        first = self._typed(1)
        if first != b"\x1b":
            return first.decode(errors="ignore"), ""
        sequence = ""
        while len(sequence) < 8 and select.select([self._in], [], [], SEQUENCE_S)[0]:
            sequence += self._typed(1).decode(errors="ignore")
            if (sequence[-1:].isalpha() and sequence not in ("O", "[")) or sequence.endswith("~"):
                break
        return _SEQUENCES.get(sequence, ""), ""

    def ask(self, question: str) -> str | None:
        try:
            with self._cooked(f"\n{question} "):
                line = self._typed(1 << 16)
        except KeyboardInterrupt:
            return None
        return line.decode(errors="replace").rstrip("\n")

    def edit(self, text: str) -> str | None:
        command = shlex.split(self._environment.get("VISUAL") or self._environment.get("EDITOR") or "vi")
        with tempfile.TemporaryDirectory(prefix="genome-") as folder:  # 0700: nobody else reads people's words
            path = Path(folder) / "row.json"
            path.write_text(text, encoding="utf-8")
            with self._elsewhere():
                try:
                    done = subprocess.run([*command, str(path)], check=False)
                except OSError as error:
                    raise Usage(f"{command[0]} does not start: {error.strerror}", remedy="set EDITOR") from error
            return path.read_text(encoding="utf-8", errors="replace") if done.returncode == 0 else None

    def _typed(self, most: int) -> bytes:
        try:
            typed = os.read(self._in, most)
        except OSError as error:  # the other end of the terminal is closed
            raise Left from error
        if not typed:
            raise Left
        return typed

    def _write(self, text: str) -> None:
        """Past Python's buffer, which a signal's handler may not write to while a page is on its way."""
        left = text.encode(self._encoding, errors="replace")
        while left:
            left = left[os.write(self._out, left) :]

    def _take(self) -> None:
        tty.setcbreak(self._in)
        self._write(ALTERNATE)

    def _give_back(self) -> None:
        with suppress(OSError, termios.error):  # a terminal that is gone needs nothing back
            termios.tcsetattr(self._in, termios.TCSADRAIN, self._before)  # type: ignore[arg-type]  # as tcgetattr gave it
            self._write(MAIN)

    @contextmanager
    def _cooked(self, question: str) -> Iterator[None]:
        """A line can be typed, behind the question."""
        self._question = question
        try:
            self._await_line(question)
            yield
        finally:
            self._question = None
            tty.setcbreak(self._in)
            self._write("\x1b[?25l")

    def _await_line(self, question: str) -> None:
        termios.tcsetattr(self._in, termios.TCSADRAIN, self._before)  # type: ignore[arg-type]  # as tcgetattr gave it
        self._write(f"\x1b[?25h{question}")

    @contextmanager
    def _elsewhere(self) -> Iterator[None]:
        """The terminal as it was, for another program."""
        self._give_back()
        try:
            yield
        finally:
            self._take()

    def _changed(self, _number: int, _frame: FrameType | None) -> None:
        with suppress(BlockingIOError):  # enough is waiting there already
            os.write(self._wake_write, b"w")

    def _stopped(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-Z: the shell gets its terminal; when we are called back, we take it again."""
        self._give_back()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, self._stopped)
        self._take()
        if self._question is not None:
            self._await_line(self._question)
        self._changed(number, frame)


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise Left


class Plain:
    """Whole lines, for pipes and for terminals that cannot do more: the first letter is the key."""

    def __init__(self, source: TextIO, out: TextIO) -> None:
        self.colour = False
        self._source, self._out = source, out
        self._rest = ""

    def size(self) -> tuple[int, int]:
        return 80, sys.maxsize

    def show(self, lines: Sequence[str]) -> None:
        self._out.write("\n".join(lines) + "\n")
        self._out.flush()

    def key(self) -> tuple[str, str]:
        line = self._source.readline()
        if not line:
            raise Left
        self._rest = line[1:].strip()
        return line[:1].strip(), self._rest

    def ask(self, question: str) -> str | None:  # noqa: ARG002 - it stands on the line already
        return self._rest

    def edit(self, text: str) -> str | None:  # noqa: ARG002 - what replaces it stands on the line already
        if not self._rest:
            raise Usage("without a terminal, type the corrected row, or just its answer, behind the e")
        return self._rest


@contextmanager
def face(environment: Mapping[str, str]) -> Iterator[Face]:
    """The best that standard input and output can do."""
    if sys.stdin.isatty() and sys.stdout.isatty() and environment.get("TERM") != "dumb":
        with Terminal(environment) as terminal:
            yield terminal
    else:
        yield Plain(sys.stdin, sys.stdout)
