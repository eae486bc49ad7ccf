"""Which base models Together trains, and within which limits: asked for, and believed for a while.

A model's limits come before anything is uploaded, so that nothing is paid or sent for a job that would be refused.
"""

from collections.abc import Callable
from contextlib import suppress

from genomed.adapters._http import Http
from genomed.adapters.together.asking import ask
from genomed.adapters.together.wire import ModelLimits, SupportedModels
from genomed.entities.errors import GenomeError, NotFound

BRIEFLY_S = 5.0
"""How long the list of models is waited for: it is shown where it is there, and missed by nothing."""


class Models:
    """ttl_s: how long an answer is believed; also the answer that there is none."""

    def __init__(self, http: Http, *, now_us: Callable[[], int], ttl_s: float) -> None:
        self._http = http
        self._now_us = now_us
        self._ttl_us = int(ttl_s * 1_000_000)
        self._limits: dict[str, tuple[int, ModelLimits | None]] = {}
        self._offered: tuple[int, tuple[str, ...]] | None = None

    async def limits(self, name: str) -> ModelLimits | None:
        """Null for a model that is not trained there. Raises as `Http.ask`."""
        if (known := self._limits.get(name)) is not None and self._is_fresh(known[0]):
            return known[1]
        told: ModelLimits | None = None
        with suppress(NotFound):
            told = await ask(self._http, "/fine-tunes/models/limits", ModelLimits, query={"model_name": name})
        self._limits = {kept: entry for kept, entry in self._limits.items() if self._is_fresh(entry[0])}
        self._limits[name] = (self._now_us(), told)
        return told

    async def offered(self) -> tuple[str, ...]:
        """The names of all, sorted; none where they cannot be had just now."""
        if self._offered is not None and self._is_fresh(self._offered[0]):
            return self._offered[1]
        try:
            reply = await self._http.ask("GET", "/fine-tunes/models/supported", timeout_s=BRIEFLY_S)
            names = tuple(sorted(set(reply.read(SupportedModels).models or ())))
        except GenomeError:
            names = ()
        self._offered = (self._now_us(), names)
        return names

    def _is_fresh(self, since_us: int) -> bool:
        return 0 <= self._now_us() - since_us < self._ttl_us
