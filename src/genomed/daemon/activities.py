"""The table of long work in this process: who reports progress writes to it, genome/activity-list reads it.

In memory only: after a restart nothing is running. Progress comes from worker threads; a report replaces two numbers at
once, so that no reader sees half of one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from genomed.entities.activity import Activity
from genomed.entities.dataset_port import Progress


class _Running:
    def __init__(self, own: str, kind: str, about: str, started_us: int) -> None:
        self.id, self.kind, self.about, self.started_us = own, kind, about, started_us
        self.reported = (0, 0)

    def report(self, done: int, total: int) -> None:
        self.reported = (done, total)

    def seen(self, now_us: int) -> Activity:
        done, total = self.reported
        spent_s = (now_us - self.started_us) / 1e6
        eta_s = max(0.0, spent_s * (total - done) / done) if done and total and spent_s > 0 else None
        return Activity(
            id=self.id,
            kind=self.kind,
            about=self.about,
            done=done,
            total=total,
            started_us=self.started_us,
            eta_s=eta_s,
        )


class RunningActivities:
    """Fulfils entities.activity.Activities."""

    def __init__(self, *, now_us: Callable[[], int], new_id: Callable[[str], str]) -> None:
        self._now_us = now_us
        self._new_id = new_id
        self._running: dict[str, _Running] = {}

    @contextmanager
    def running(self, kind: str, about: str) -> Iterator[Progress]:
        one = _Running(self._new_id("act"), kind, about, self._now_us())
        self._running[one.id] = one
        try:
            yield one.report
        finally:
            del self._running[one.id]

    def listed(self) -> tuple[Activity, ...]:
        now_us = self._now_us()
        return tuple(one.seen(now_us) for one in self._running.values())
