"""Which base models a key reaches at an OpenAI-shaped server: asked for now and then, and missed by nothing.

Results of fine-tuning are no base models and are left out, though OpenAI lets further jobs go on from them.
"""

from collections.abc import Callable

from anyio import move_on_after

from genomed.adapters.openai import sunset
from genomed.adapters.openai.server import Server
from genomed.adapters.openai.settings import OpenAISettings
from genomed.entities.capabilities import BaseModelOffer
from genomed.entities.errors import GenomeError

BRIEFLY_S = 5.0
"""How long the list is waited for: it is shown where it is there."""

RETRY_US = 60_000_000
"""After a failure it is not asked for again so soon: whoever lists providers should not wait each time."""


class Catalogue:
    def __init__(self, server: Server, settings: OpenAISettings, now_us: Callable[[], int]) -> None:
        self._server, self._settings, self._now_us = server, settings, now_us
        self._offers: tuple[BaseModelOffer, ...] | None = None
        self._again_us = 0

    async def offers(self) -> tuple[BaseModelOffer, ...]:
        """As it was last told; until then what is known without asking. Never raises."""
        now = self._now_us()
        if now >= self._again_us:
            self._again_us = now + RETRY_US
            with move_on_after(min(BRIEFLY_S, self._settings.timeout_s)):
                await self._renew(now)
        return self._offers if self._offers is not None else self.unasked()

    def unasked(self) -> tuple[BaseModelOffer, ...]:
        """What is known of OpenAI itself; of other servers, nothing."""
        return sunset.offers(self._now_us()) if self._settings.hosted else ()

    async def _renew(self, now: int) -> None:
        try:
            listed = await self._server.models()
        except GenomeError:
            return
        base = [model for model in sorted(listed, key=lambda model: model.id) if not _is_result(model.id)]
        if self._settings.hosted:
            self._offers = sunset.reachable(base, now)
        else:
            self._offers = tuple(BaseModelOffer(name=model.id) for model in base)
        self._again_us = now + int(self._settings.models_ttl_s * 1_000_000)


def _is_result(name: str) -> bool:
    """The second is Azure's way of naming them."""
    return name.startswith("ft:") or ".ft-" in name
