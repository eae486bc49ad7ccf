"""Which base models Fireworks fine-tunes, asked for now and then, and what it says of one of them.

Nothing here is needed to train: where it cannot be had, the list is empty and the check says that it could not ask.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from anyio import move_on_after

from genomed.adapters.fireworks.client import Ask, FireworksClient, RawAnswer
from genomed.adapters.fireworks.kind import full_model_name
from genomed.adapters.fireworks.wire import Model, Models, identity_of, read
from genomed.entities.capabilities import BaseModelOffer
from genomed.entities.errors import (
    Forbidden,
    GenomeError,
    MissingCredentials,
    NotFound,
    Transient,
)

if TYPE_CHECKING:
    from fireworks import AsyncFireworks

PUBLIC_ACCOUNT = "fireworks"
PAGE_SIZE = 200
MOST_PAGES = 20
KEPT_US = 3_600_000_000
RETRY_US = 60_000_000
"""After a failure it is not asked again for so long: whoever lists providers should not wait each time."""


class Catalogue:
    """denied: why Fireworks would not even list models, which is how a wrong key shows."""

    def __init__(self, client: FireworksClient, *, now_us: Callable[[], int], timeout_s: float) -> None:
        self._client = client
        self._now_us = now_us
        self._timeout_s = timeout_s
        self._offers: tuple[BaseModelOffer, ...] = ()
        self._again_us: int | None = None
        self.denied: str | None = None

    async def offers(self) -> tuple[BaseModelOffer, ...]:
        """Those that can be tuned, as far as it was told in time; never raises."""
        now = self._now_us()
        if self._again_us is None or now >= self._again_us:
            self._again_us = now + RETRY_US
            with move_on_after(self._timeout_s):
                await self._renew(now)
        return self._offers

    async def model(self, name: str) -> Model | None:
        """Null where it does not exist. Raises Transient where no answer came in time, or what the refusal means."""
        full = full_model_name(name)
        account = full.split("/")[1]
        with move_on_after(self._timeout_s):
            try:
                reply = await self._client.ask(
                    lambda sdk: sdk.models.with_raw_response.get(identity_of(full), account_id=account)
                )
            except NotFound:
                return None
            return read(reply, Model)
        raise Transient(f"Fireworks did not answer within {self._timeout_s:g} s")

    async def _renew(self, now: int) -> None:
        try:
            found = await self._listed()
        except (MissingCredentials, Forbidden) as refused:
            self.denied = refused.message
        except GenomeError:
            pass
        else:
            self.denied = None
            self._offers = tuple(BaseModelOffer(name=model.name) for model in found)
            self._again_us = now + KEPT_US

    async def _listed(self) -> list[Model]:
        found: list[Model] = []
        token = ""
        for _ in range(MOST_PAGES):
            page = read(await self._client.ask(_page(token)), Models)
            found += [model for model in page.models if model.tunable and model.name]
            if not (token := page.next_page_token):
                break
        return found


def _page(token: str) -> Ask:
    def ask(sdk: "AsyncFireworks") -> "Awaitable[RawAnswer]":
        models = sdk.models.with_raw_response
        if token:
            return models.list(account_id=PUBLIC_ACCOUNT, page_size=PAGE_SIZE, page_token=token)
        return models.list(account_id=PUBLIC_ACCOUNT, page_size=PAGE_SIZE)

    return ask
