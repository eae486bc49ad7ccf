"""How many questions a provider is asked at once, and how long it wants to be left alone. One gate per provider.

A hint to wait (Retry-After) holds for all jobs of that provider: it is the account that is limited, not the job.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from genomed.entities.clock_jumps import still_ahead, wait_until


class QuestionGate:
    """at_once: questions under way to one provider, asked anew each time. now_us: the daemon's clock.

    asked: counts the questions by provider.
    """

    def __init__(
        self, *, at_once: Callable[[], int], now_us: Callable[[], int], asked: Counter[str] | None = None
    ) -> None:
        self._asked: Counter[str] = Counter() if asked is None else asked
        self._at_once = at_once
        self._now_us = now_us
        self._limits: dict[str, anyio.CapacityLimiter] = {}
        self._quiet_until_us: dict[str, int] = {}

    @asynccontextmanager
    async def turn(self, provider: str) -> AsyncIterator[None]:
        """Waits for the provider's quiet time to pass, then for a free place."""
        at_once = self._at_once()
        limit = self._limits.setdefault(provider, anyio.CapacityLimiter(at_once))
        limit.total_tokens = at_once
        async with limit:
            await anyio.sleep(max(0.0, self.quiet_s(provider)))
            self._asked[provider] += 1
            yield

    def quiet(self, provider: str, seconds: float) -> None:
        """Nobody asks it for so long. A shorter wish does not undo a longer one."""
        until = wait_until(self._now_us(), seconds)
        self._quiet_until_us[provider] = max(until, self._quiet_until_us.get(provider, 0))

    def quiet_s(self, provider: str) -> float:
        """How long it wants to be left alone yet; 0 or less: it may be asked."""
        until, now_us = self._quiet_until_us.get(provider, 0), self._now_us()
        return (until - now_us) / 1_000_000 if still_ahead(until, now_us=now_us) else 0.0
