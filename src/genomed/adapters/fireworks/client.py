"""The door to Fireworks: its own SDK, loaded when first needed, never retrying, its failures sorted into ours.

Knows how the SDK is made and how it fails; knows no path and no body. What was certainly not sent is told apart from
what may have arrived at the connection itself: the SDK's types mix the two up (a lost reply is a ConnectTimeout).
"""

import logging
from collections.abc import Awaitable, Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import aiohttp
import anyio
from anyio import to_thread

from genomed.adapters._answers import raise_for_reading, refusal
from genomed.adapters._http import Http, HttpReply, Lost, Unsent
from genomed.adapters._http_failures import FAILURES, failure
from genomed.adapters.fireworks.settings import FireworksSettings
from genomed.adapters.fireworks.wire import NAME
from genomed.entities.errors import MissingCredentials, Transient, Unsupported
from genomed.entities.ports import Secrets

if TYPE_CHECKING:
    import httpx
    from fireworks import AsyncFireworks


PACKAGE = "fireworks"
INSTALL = "install genomed with the extra [fireworks]"
PARTS = ("fireworks.resources", "fireworks.resources.chat.completions", "httpx_aiohttp")
"""Loaded in a thread, all of them: the SDK would load the rest at its first call, on the event loop."""


@runtime_checkable
class RawAnswer(Protocol):
    """What the SDK's `with_raw_response` methods give."""

    http_response: "httpx.Response"


Ask = Callable[["AsyncFireworks"], Awaitable["RawAnswer | httpx.Response"]]


class FireworksClient:
    """One per daemon.

    signed: for signed addresses, with no credentials to give away. plain: for what the SDK cannot stream.
    """

    def __init__(self, settings: FireworksSettings, secrets: Secrets) -> None:
        self._settings = settings
        self._secrets = secrets
        self._opened: AsyncFireworks | None = None
        self._opening = anyio.Lock()
        self.signed = self._http(_no_credentials)
        self.plain = self._http(self._credentials)

    @property
    def account(self) -> str:
        """Raises MissingCredentials."""
        account = self._settings.account()
        if account is None:
            message = "Fireworks' paths carry the account's id, and none is set"
            remedy = f"set {self._settings.account_id}, or account_id in the provider's settings"
            raise MissingCredentials(message, provider=NAME, remedy=remedy)
        return account

    def redact(self, text: str) -> str:
        return self._secrets.redact(text)

    async def send(self, ask: Ask) -> HttpReply:
        """One request, one answer of any status. Raises Unsent, Lost, MissingCredentials or Unsupported."""
        client = await self._client()
        sdk = import_module(PACKAGE)
        client.api_key = await self._secrets.reveal(self._settings.api_key)  # a changed key is used at once
        try:
            answer = await ask(client)
        except sdk.APIStatusError as refused:
            return _reply(refused.response)
        except sdk.APIConnectionError as failed:
            raise _sorted(failed) from None
        return _reply(answer)

    async def ask(self, ask: Ask) -> HttpReply:
        """For calls that may be repeated. Raises Transient, or what any answer but 2xx means."""
        try:
            reply = await self.send(ask)
        except (Unsent, Lost) as trouble:
            raise Transient(str(trouble), provider=NAME) from trouble
        if not reply.ok:
            raise_for_reading(refusal(reply.status, reply.headers, reply.body, redact=self.redact), NAME)
        return reply

    async def aclose(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.close()
        await self.signed.aclose()
        await self.plain.aclose()

    def _http(self, headers: Callable[[], Awaitable[dict[str, str]]]) -> Http:
        settings, redact = self._settings, self._secrets.redact
        return Http(settings.base_url, headers=headers, provider=NAME, timeout_s=settings.timeout_s, redact=redact)

    async def _credentials(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {await self._secrets.reveal(self._settings.api_key)}"}

    async def _client(self) -> "AsyncFireworks":
        async with self._opening:
            if self._opened is None:
                self._opened = await to_thread.run_sync(self._made, self.account)
            return self._opened

    def _made(self, account: str) -> "AsyncFireworks":
        """Blocking: imports, and reads the certificates of the machine."""
        if not installed():
            raise Unsupported("the package fireworks-ai is not installed here", provider=NAME, remedy=INSTALL)
        for part in PARTS:
            import_module(part)
        sdk = import_module(PACKAGE)
        # At DEBUG the SDK writes whole requests, and with them the W&B key; its httpx, a line for every poll.
        logging.getLogger(PACKAGE).setLevel(logging.INFO)
        logging.getLogger("httpx").setLevel(logging.WARNING)
        transport = import_module("httpx_aiohttp").AiohttpTransport(client=self._session)
        made: AsyncFireworks = sdk.AsyncFireworks(
            api_key="set before every call",
            account_id=account,
            base_url=self._settings.base_url,
            timeout=self._settings.timeout_s,
            max_retries=0,
            http_client=import_module("httpx").AsyncClient(transport=transport, timeout=self._settings.timeout_s),
        )
        return made

    def _session(self) -> aiohttp.ClientSession:
        """No kept connections, for what is sent over one that was closed is a doubt."""
        connector = aiohttp.TCPConnector(force_close=True)
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), middlewares=(self._once,)
        )

    async def _once(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """A middleware: aiohttp would repeat a GET or a DELETE whose connection broke, and tell nobody."""
        try:
            return await handler(request)
        except FAILURES as failed:
            raise failure(request.method, request.url, failed, redact=self.redact) from None


def _sorted(failed: BaseException) -> Unsent | Lost:
    """By what the connection said, at the root of the SDK's own error; what broke while it was read had been sent."""
    first = failed
    while (earlier := first.__cause__ or first.__context__) is not None:
        first = earlier
        if isinstance(first, Unsent | Lost):
            return type(first)(str(first))
    return Lost(f"no whole answer: {type(first).__name__}")


def installed() -> bool:
    """Blocking: looks at the disk."""
    return find_spec(PACKAGE) is not None


def _reply(answer: "RawAnswer | httpx.Response") -> HttpReply:
    response = answer.http_response if isinstance(answer, RawAnswer) else answer
    headers = {name.lower(): value for name, value in response.headers.items()}
    return HttpReply(status=response.status_code, headers=headers, body=response.content, provider=NAME)


async def _no_credentials() -> dict[str, str]:
    return {}
