"""The configured models: made when first asked, one of each, with one gate that all runs go through.

Knows clients and pace. Whether a question may be put at all is the purse's to say.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio

from genomed.adapters.models import ModelClient
from genomed.entities.errors import NotFound
from genomed.entities.language_model import ModelSettings
from genomed.entities.pacing import spacing_of, turn
from genomed.entities.ports import Secrets

LONGEST_QUIET_S = 3600.0
"""A server that asks for more is asked again after an hour."""


class ModelGate:
    """How many questions at once, how many a minute, and how long the server wants to be left alone."""

    def __init__(self, settings: ModelSettings) -> None:
        self._places = anyio.Semaphore(settings.concurrency)
        self._spacing = spacing_of(settings.requests_per_minute)
        self._quiet_until_s = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Waits for a free place, then for the model's quiet time and the next turn of the minute."""
        async with self._places:
            await self._its_time()
            yield

    def quiet(self, seconds: float) -> None:
        """Nobody asks it for so long. A shorter wish does not undo a longer one."""
        until = anyio.current_time() + min(seconds, LONGEST_QUIET_S)
        self._quiet_until_s = max(self._quiet_until_s, until)

    async def _its_time(self) -> None:
        self._spacing, at_s = turn(self._spacing, anyio.current_time())
        wake_s = max(at_s, self._quiet_until_s)
        while wake_s > anyio.current_time():
            await anyio.sleep_until(wake_s)
            wake_s = max(at_s, self._quiet_until_s)  # meanwhile the server may have asked for more


class Model:
    """One model of the configuration, ready to be asked."""

    def __init__(self, name: str, settings: ModelSettings, secrets: Secrets) -> None:
        self.name, self.settings = name, settings
        self.client = ModelClient(name, settings, secrets)
        self.gate = ModelGate(settings)


class ModelTable:
    """Fulfils entities.recipe_shelf.ModelShelf, and hands out the models themselves."""

    def __init__(self, settings: Mapping[str, ModelSettings], secrets: Secrets) -> None:
        self._settings = settings
        self._secrets = secrets
        self._made: dict[str, Model] = {}
        self._former: list[Model] = []  # somebody may still be asking one whose settings are other ones now

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._settings))

    def settings(self, name: str) -> ModelSettings:
        if name not in self._settings:
            there = ", ".join(self.names()) or "none"
            raise NotFound(
                f"there is no model {name!r}; there are: {there}",
                remedy=f"add a section [models.{name}] to the daemon's configuration, then reload it",
            )
        return self._settings[name]

    def get(self, name: str) -> Model:
        """Raises NotFound."""
        settings = self.settings(name)
        made = self._made.get(name)
        if made is None or made.settings != settings:
            if made is not None:
                self._former.append(made)
            made = self._made[name] = Model(name, settings, self._secrets)
        return made

    async def close(self) -> None:
        made = [*self._made.values(), *self._former]
        self._made, self._former = {}, []
        for one in made:
            await one.client.close()
