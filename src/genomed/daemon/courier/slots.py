"""How many jobs of a provider run at once, and who is next. In memory: after a restart the log says who holds one."""

from collections.abc import Mapping


class Slots:
    """First come, first served, per provider. limits: provider -> jobs at a time; absent: no limit."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = limits
        self._held: dict[str, set[str]] = {}
        self._queue: dict[str, dict[str, None]] = {}

    def hold(self, provider: str, job_id: str) -> None:
        """A job that runs already (found so at start) has its slot, limit or not."""
        self._held.setdefault(provider, set()).add(job_id)
        self._queue.get(provider, {}).pop(job_id, None)

    def may_take(self, provider: str, job_id: str) -> bool:
        """Whether it is this job's turn; it is in the queue from its first asking on."""
        if job_id in self._held.get(provider, ()):
            return True
        limit = self._limits.get(provider)
        if limit is None:
            return True
        queue = self._queue.setdefault(provider, {})
        queue.setdefault(job_id)
        free = limit - len(self._held.get(provider, ()))
        return job_id in list(queue)[: max(0, free)]

    def release(self, provider: str, job_id: str) -> list[str]:
        """The jobs that may go now that this one has given its slot, or its place in the queue, back."""
        self._held.get(provider, set()).discard(job_id)
        self._queue.get(provider, {}).pop(job_id, None)
        return [one for one in self._queue.get(provider, {}) if self.may_take(provider, one)]
