"""A daemon that stops between two steps: before or after an append, or a call to a provider, and never in the middle.

In one process, so that the stop falls exactly there: the parts are cut off and a new daemon opens the log.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
from tests.daemon.daemon_rig import Json, Rig, running

from genomed.daemon.journal.journal import Journal
from genomed.entities.envelope import Appended, Write
from genomed.entities.event_codec import type_of
from genomed.entities.ports import Provider

CALLS = ("submit", "find", "poll", "cancel", "pause", "proceed", "publish", "quote")
UPLOAD_CALLS = ("find", "put", "state")


class Fate:
    """Counts the steps of one daemon's life and ends it at one of them; who asks afterwards waits for ever."""

    def __init__(self, die_at: int | None) -> None:
        self.steps: list[str] = []
        self.died = anyio.Event()
        self._die_at = die_at

    async def step(self, what: str) -> None:
        self.steps.append(what)
        if len(self.steps) == self._die_at:
            self.died.set()
        if self.died.is_set():
            await anyio.sleep_forever()


class MortalJournal:
    def __init__(self, journal: Journal, fate: Fate) -> None:
        self._journal, self._fate = journal, fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def append(self, writes: Sequence[Write], **more: Any) -> Appended:
        what = ", ".join(type_of(event) for write in writes for event in write.events)
        await self._fate.step(f"before {what}")
        appended = await self._journal.append(writes, **more)
        await self._fate.step(f"after {what}")
        return appended


class Mortal:
    """An object whose named calls are steps; a provider's `uploads` is such an object too."""

    def __init__(self, real: object, fate: Fate, calls: Sequence[str], mark: str = "") -> None:
        self._real, self._fate, self._calls, self._mark = real, fate, calls, mark

    def __getattr__(self, name: str) -> Any:
        real: Any = getattr(self._real, name)
        if name in self._calls:
            return self._stepped(f"{self._mark}{name}", real)
        return Mortal(real, self._fate, UPLOAD_CALLS, "uploads.") if name == "uploads" and real is not None else real

    def _stepped(self, name: str, real: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def called(*args: Any, **kwargs: Any) -> Any:
            await self._fate.step(f"before {name}")
            answer = await real(*args, **kwargs)
            await self._fate.step(f"after {name}")
            return answer

        return called


def every(steps: Sequence[str]) -> list[int]:
    """The number of each step, from 1 on."""
    return list(range(1, len(steps) + 1))


def spread(steps: Sequence[str]) -> list[int]:
    """About a third of them: the first, the last, and of each append and each call one side, in turn."""
    chosen, known = {1, len(steps)}, set[str]()
    sides = {"before": 0, "after": 0}
    for number, step in enumerate(steps, start=1):
        side, _, what = step.partition(" ")
        if what not in known and sides[side] <= min(sides.values()):
            known.add(what)
            sides[side] += 1
            chosen.add(number)
    return sorted(chosen)


def mortal_provider(provider: Provider, fate: Fate) -> Any:
    return Mortal(provider, fate, CALLS)


Attend = Callable[[Rig, Json], Awaitable[None]]
"""What a person does about a job that needs one; called with its view, as often as it is looked at."""


async def lived(
    data_dir: Path,
    *,
    given: Json,
    die_at: int | None = None,
    environment: Mapping[str, str] | None = None,
    attend: Attend | None = None,
) -> list[str]:
    """A daemon's life on this folder, until all of its jobs have ended or its fate has come; the steps it took."""
    fate = Fate(die_at)

    def mortal(journal: Journal) -> Any:
        return MortalJournal(journal, fate)

    async with running(
        data_dir, given=given, courier=False, triggers=False, journal_seen_by_parts=mortal, environment=environment
    ) as rig:
        hands = rig.parts.courier._hands
        provider_of = hands.provider_of
        rig.parts.courier._hands = replace(hands, provider_of=lambda name: mortal_provider(provider_of(name), fate))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(rig.parts.courier.run)
            tasks.start_soon(rig.parts.triggers.run)

            if attend is not None:
                tasks.start_soon(_attended, rig, attend)

            async def over() -> bool:
                jobs = (await rig.call("job-list"))["jobs"]
                return fate.died.is_set() or (bool(jobs) and all(job["finishedUs"] for job in jobs))

            await rig.until(over, "the end")
            tasks.cancel_scope.cancel()
    return fate.steps


async def _attended(rig: Rig, attend: Attend) -> None:
    """A person looks whenever something happened. What they decide may be cut off, too."""
    while True:
        position = rig.journal.head().position
        for job in (await rig.call("job-list"))["jobs"]:
            await attend(rig, job)
        await rig.journal.wait_beyond(position)
