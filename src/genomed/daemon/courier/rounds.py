"""What one job's loop keeps in memory between its turns; the log knows everything else."""

import anyio

from genomed.daemon.courier.polling import Pace


class Round:
    """What one job's loop keeps between turns: when to poll, and what went wrong in a row.

    wanted, answered: how many fresh polls were asked for, and how many of these a poll begun later has answered.
    """

    def __init__(self) -> None:
        self.pace = Pace(interval_s=0.0)  # before each turn it is the provider's
        self.defects = 0
        self.wanted = 0
        self.answered = 0
        self.next_poll_s = 0.0
        self.bell = anyio.Event()
        self.polled = anyio.Event()

    def ring(self) -> None:
        """Wake the loop, wherever it waits."""
        self.bell.set()

    def tell(self, answered: int) -> None:
        """Wake those who asked for a fresh poll, up to the one that was answered."""
        self.answered = answered
        self.polled.set()
        self.polled = anyio.Event()

    async def listen(self, seconds: float | None) -> None:
        """Until the bell rings or the time is over."""
        with anyio.move_on_after(seconds):
            await self.bell.wait()
        self.bell = anyio.Event()
