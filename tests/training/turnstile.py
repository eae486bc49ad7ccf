"""A pipe in the place of a worker's control file: where a real worker looks for a wish, it stands until it is let on.

What happens at a step then happens at that step, however slow or fast the worker or the test is.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from errno import ENXIO
from pathlib import Path
from time import monotonic, sleep

from tests.patience import PATIENCE_S


class Turnstile:
    """control: where the worker will look, in a folder that is there; nothing lies there yet."""

    def __init__(self, control: Path) -> None:
        self._control = control
        self._arrived = -1  # our end of the pipe that it stands at
        self._shut()

    def _shut(self) -> None:
        """A new pipe each time: the worker reads what is another file than before, and only then."""
        pipe = self._control.with_name("turnstile")
        os.mkfifo(pipe)
        pipe.replace(self._control)

    def hold_when(self, there: Callable[[], bool], *, alive: Callable[[], bool]) -> None:
        """The worker passes until `there` is true while it looks; at that look it stands still."""
        while True:
            self._arrived = self._arrival(alive)
            if there():
                return
            self._shut()
            self._let_on()

    def open(self) -> None:
        """It goes on and is not held again. A wish that was written meanwhile it finds at its next look."""
        if self._control.is_fifo():
            self._control.unlink()
        self._let_on()

    def _arrival(self, alive: Callable[[], bool]) -> int:
        deadline = monotonic() + PATIENCE_S
        while True:
            lives = alive()
            try:
                return os.open(self._control, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as refused:
                if refused.errno != ENXIO:  # nobody reads
                    raise
            assert lives, "the worker ended before"
            assert monotonic() < deadline, "the worker looks for no wish"
            sleep(0.002)

    def _let_on(self) -> None:
        with suppress(BrokenPipeError):  # nobody is left who looks
            os.write(self._arrived, b"{}")
        os.close(self._arrived)
