"""The `openai` SDK, opened when first needed, and what became of a request: answered, refused, lost or never sent.

Retries are off: whether to ask again is decided by whoever knows what was meant. What was certainly not sent (Unsent),
what may have arrived (Lost) and what was refused (Refused) are told apart; no text that leaves here holds the key.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Protocol, TypeVar

import anyio
import msgspec
from anyio import to_thread

from genomed.adapters._answers import Refusal, raise_for_reading, refusal
from genomed.adapters._http import Lost, Unsent
from genomed.adapters.openai.file_window import in_threads
from genomed.adapters.openai.settings import NAME, OpenAISettings
from genomed.entities.errors import MalformedResponse, Transient
from genomed.entities.ports import Secrets

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

T = TypeVar("T")


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, told: Refusal) -> None:
        super().__init__(told.message)
        self.refusal = told


class Raw(Protocol):
    """An answer as the SDK hands it out before it reads it."""

    @property
    def content(self) -> bytes: ...


Question = Callable[["AsyncOpenAI"], Awaitable[Raw]]


class Client:
    def __init__(self, settings: OpenAISettings, secrets: Secrets) -> None:
        self._settings, self._secrets = settings, secrets
        self._opening = anyio.Lock()
        self._client: AsyncOpenAI | None = None

    def __repr__(self) -> str:
        return f"Client({self._settings.base_url})"

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def read(self, question: Question, wanted: type[T]) -> T:
        """Raises Transient, MissingCredentials, Forbidden, NotFound, ProviderRejected or MalformedResponse."""
        try:
            return decoded(await self.ask(question), wanted)
        except (Unsent, Lost) as trouble:
            raise Transient(str(trouble), provider=NAME) from None
        except Refused as refused:
            raise_for_reading(refused.refusal, NAME)

    async def ask(self, question: Question) -> bytes:
        """Raises Unsent, Lost, Refused, or MissingCredentials before anything is sent."""
        client = await self._opened()
        import httpx2
        from openai import APIConnectionError, APIStatusError

        try:
            return (await question(client)).content
        except APIStatusError as refused:
            headers = {name.lower(): value for name, value in refused.response.headers.items()}
            raise Refused(
                refusal(refused.status_code, headers, refused.response.content, redact=self._secrets.redact)
            ) from None
        except APIConnectionError as broken:
            cause = broken.__cause__
            never_left = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
            kind = Unsent if isinstance(cause, never_left) else Lost
            raise kind(self._secrets.redact(f"{self._settings.base_url}: {broken.message} ({cause!r})")) from None

    async def _opened(self) -> "AsyncOpenAI":
        async with self._opening:
            if self._client is None:
                self._client = await to_thread.run_sync(self._open)
            return self._client

    def _open(self) -> "AsyncOpenAI":
        """Importing the SDK, and reading the system's certificates, takes a second and a thread."""
        import httpx2
        from openai import AsyncAzureOpenAI, AsyncOpenAI, DefaultAsyncHttpxClient

        settings = self._settings
        http = DefaultAsyncHttpxClient(
            timeout=settings.timeout_s,
            # A kept connection may have been closed at the other end: a create over it would be a doubt, not a no.
            limits=httpx2.Limits(max_keepalive_connections=0),
            follow_redirects=False,  # a key does not follow where an answer points
            event_hooks={"request": [_read_in_threads]},
        )
        client: AsyncOpenAI
        if settings.dialect == "azure" and settings.api_version is not None:
            client = AsyncAzureOpenAI(
                api_key=self._key,
                api_version=settings.api_version,
                base_url=settings.base_url,
                max_retries=0,
                timeout=settings.timeout_s,
                default_headers=settings.headers,
                default_query=settings.query,
                http_client=http,
            )
        else:
            client = AsyncOpenAI(
                api_key=self._key,
                base_url=settings.base_url,
                max_retries=0,
                timeout=settings.timeout_s,
                default_headers=settings.headers,
                default_query=settings.query,
                http_client=http,
            )
        # Whatever the daemon's environment says of these: the settings decide.
        client.organization, client.project, client.admin_api_key = settings.organization, settings.project, None
        _load_what_is_used(client)
        return client

    async def _key(self) -> str:
        """Asked before every request, so that a changed key is used at once. Raises MissingCredentials."""
        return await self._secrets.reveal(self._settings.api_key)


def _load_what_is_used(client: "AsyncOpenAI") -> None:
    """The SDK imports its parts when they are first touched; here that happens in a thread."""
    for part in (client.files, client.uploads, client.uploads.parts, client.models, client.chat.completions):
        _ = part.with_raw_response
    _ = client.fine_tuning.jobs.with_raw_response, client.fine_tuning.jobs.checkpoints.with_raw_response


async def _read_in_threads(request: "httpx2.Request") -> None:
    """Before an upload is sent: its file is not read on the event loop."""
    import httpx2

    if request.headers.get("Content-Type", "").startswith("multipart/") and isinstance(request.stream, Iterable):
        blocks = in_threads(request.stream)
        request.stream = httpx2.Request(request.method, request.url, content=blocks).stream


def decoded(body: bytes | msgspec.Raw, wanted: type[T]) -> T:
    """Raises MalformedResponse."""
    try:
        return msgspec.json.decode(body, type=wanted)
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise MalformedResponse(f"{NAME} answered with something we cannot read: {wrong}", provider=NAME) from None
