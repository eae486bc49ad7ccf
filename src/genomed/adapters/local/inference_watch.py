"""What ends an inference worker in the middle of an answer: too much memory, too little of the machine's, silence.

Looked at only while somebody waits for it: one that nobody asks does not grow. Knows sizes and times. Blocking.
"""

from collections.abc import Callable

from genomed.adapters.local import memory
from genomed.adapters.local.memory_guard import SHORTAGE_LOOKS
from genomed.adapters.local.sessions import members, memory_bytes
from genomed.adapters.local.settings import LocalSettings
from genomed.entities.errors import Capacity, GenomeError, Transient

LOOK_S = 1.0
SMALLER = "use a smaller model, or ask for less at once"


class InferenceWatch:
    """One per worker. available: bytes of memory that can be had; None where nobody knows."""

    def __init__(self, settings: LocalSettings, available: Callable[[], int | None]) -> None:
        self._settings, self._available = settings, available
        self._short = 0

    def look(self, session: int, *, silent_s: float) -> GenomeError | None:
        """Why it has to end. session: it and whatever it started."""
        return self._over_limit(session) or self._shortage() or self._silence(silent_s)

    def _over_limit(self, session: int) -> GenomeError | None:
        limit = self._settings.memory_limit_bytes
        if limit is None or (held := memory_bytes(members(session))) <= limit:
            return None
        told = f"the inference worker held {memory.gib(held)} GiB; memory_limit_bytes allows {memory.gib(limit)} GiB"
        return Capacity(told, provider="local", remedy=f"{SMALLER}, or raise the limit")

    def _shortage(self) -> GenomeError | None:
        """Like the guard of jobs: others come and go, so that one look counts for little."""
        there, reserve = self._available(), self._settings.memory_reserve_bytes
        self._short = self._short + 1 if there is not None and there < reserve else 0
        if self._short < SHORTAGE_LOOKS or there is None:
            return None
        told = f"only {memory.gib(there)} GiB of this machine's memory were left, {memory.gib(reserve)} GiB are kept"
        return Capacity(f"{told} (memory_reserve_bytes)", provider="local", remedy=f"{SMALLER}, or end other work")

    def _silence(self, silent_s: float) -> GenomeError | None:
        limit_s = self._settings.hang_after_s
        if not limit_s or silent_s < limit_s:
            return None
        told = f"the inference worker said nothing for {silent_s:.0f} s and was ended (hang_after_s)"
        silent = Transient(told, provider="local")
        silent.remedy = "ask for less at once, or with stream, or again"
        return silent
