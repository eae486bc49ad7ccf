"""How many questions a provider is asked at once, and how long it wants to be left alone. One gate per provider.

A hint to wait (Retry-After) holds for all jobs of that provider: it is the account that is limited, not the job.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio


class QuestionGate:
    """at_once: questions under way to one provider. now_us: the daemon's clock."""

    def __init__(self, *, at_once: int, now_us: Callable[[], int]) -> None:
        self._at_once = at_once
        self._now_us = now_us
        self._limits: dict[str, anyio.CapacityLimiter] = {}
        self._quiet_until_us: dict[str, int] = {}

    @asynccontextmanager
    async def turn(self, provider: str) -> AsyncIterator[None]:
        """Waits for the provider's quiet time to pass, then for a free place."""
        limit = self._limits.setdefault(provider, anyio.CapacityLimiter(self._at_once))
        async with limit:
            await anyio.sleep(max(0.0, self.quiet_s(provider)))
            yield

    def quiet(self, provider: str, seconds: float) -> None:
        """Nobody asks it for so long. A shorter wish does not undo a longer one."""
        until = self._now_us() + int(seconds * 1_000_000)
        self._quiet_until_us[provider] = max(until, self._quiet_until_us.get(provider, 0))

    def quiet_s(self, provider: str) -> float:
        """How long it wants to be left alone yet; 0 or less: it may be asked."""
        return (self._quiet_until_us.get(provider, 0) - self._now_us()) / 1_000_000
