"""A gate in the middle of a blocking call: what happens meanwhile happens there, however slow anybody is."""

from threading import Event

from tests.patience import PATIENCE_S


class Gate:
    """The first who comes waits until the test opens it; whoever comes later passes. reached: somebody came."""

    def __init__(self) -> None:
        self.reached, self._opened = Event(), Event()

    def open(self) -> None:
        self._opened.set()

    def pass_through(self) -> None:
        if not self.reached.is_set():
            self.reached.set()
            assert self._opened.wait(PATIENCE_S)
