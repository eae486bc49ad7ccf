"""Questions to somebody who may never answer, each in a thread that keeps no process from ending.

Threads of anyio are waited for when the interpreter ends, also those that nobody waits for any more. Knows no secret.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Generic, TypeVar

from anyio import Event, Semaphore

from genomed.entities.errors import GenomeError

T = TypeVar("T")


class Aside(Generic[T]):
    """One question at a time: whoever is cancelled leaves its thread behind, which has the turn until its answer."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._turn = Semaphore(1)

    async def ask(self, question: Callable[[], T]) -> T | None:
        """None where it ended in a way that nobody foresaw, which its thread has told. Raises its GenomeError."""
        await self._turn.acquire()
        loop, answered = asyncio.get_running_loop(), Event()
        answers: list[T | GenomeError] = []

        def told() -> None:
            self._turn.release()
            answered.set()

        def wait() -> None:
            try:
                answers.append(question())
            except GenomeError as refused:
                answers.append(refused)
            finally:
                with suppress(RuntimeError):  # the loop is over, and with it whoever asked
                    loop.call_soon_threadsafe(told)

        try:
            Thread(target=wait, name=self._name, daemon=True).start()
        except RuntimeError:  # no thread can be had
            self._turn.release()
            raise
        await answered.wait()
        answer = answers.pop() if answers else None
        if isinstance(answer, GenomeError):
            raise answer
        return answer
