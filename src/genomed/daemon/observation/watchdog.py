"""The pings by which a service manager knows that the daemon lives, twice in the time it allows (WATCHDOG_USEC).

Sent by the event loop, so a loop that does not turn sends none. Withheld while the journal's writer neither answers nor
gets on with a transaction for longer than the slowest commit that we put up with. Knows the notifier and those two
signs of life. Restarts nothing: that is the manager's.
"""

import logging
from typing import Protocol

import anyio

from genomed.daemon.observation.notify import Notifier

log = logging.getLogger(__name__)

SLOWEST_COMMIT_S = 120.0
"""A sync of seconds is no defect: p99 of a busy disk was that long (reference/eventlog.md 4.8)."""


class WritingThread(Protocol):
    """What the watch asks of the journal."""

    async def answers(self) -> None:
        """Returns once the writer had its turn and its connection's thread has answered."""
        ...

    def progress(self) -> int:
        """Grows with every statement of a transaction, however long the transaction takes."""
        ...


class Watch:
    """Decides about one ping after another; by counting rounds, so that a stopped clock or process misleads nobody."""

    def __init__(self, *, every_s: float, slowest_commit_s: float = SLOWEST_COMMIT_S) -> None:
        self._patience = max(1, round(slowest_commit_s / every_s))
        self._marks: tuple[int, int] | None = None
        self._still = 0

    def alive(self, marks: tuple[int, int]) -> bool:
        """marks: answers of the writer so far, and its progress. False once they stood still for too many rounds."""
        self._still = self._still + 1 if marks == self._marks else 0
        self._marks = marks
        return self._still <= self._patience


async def watchdog(notifier: Notifier, writing: WritingThread, *, slowest_commit_s: float = SLOWEST_COMMIT_S) -> None:
    """Until cancelled. Returns at once where nobody watches."""
    if notifier.watchdog_s is None:
        return
    every_s = notifier.watchdog_s / 2
    watch, answers, silent = Watch(every_s=every_s, slowest_commit_s=slowest_commit_s), 0, False

    async def keep_asking() -> None:
        nonlocal answers
        while True:
            await writing.answers()
            answers += 1
            await anyio.sleep(every_s)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep_asking)
        while True:
            if watch.alive((answers, writing.progress())):
                notifier.ping()
                silent = False
            elif not silent:
                log.critical("watchdog withheld reason=%s", "the journal's writer neither answers nor gets on")
                silent = True
            await anyio.sleep(every_s)
