"""HTTP to one service: what was certainly not sent is told apart from what may have arrived.

No retries of its own: a create call that is sent twice is paid twice. Knows no paths, no bodies' meaning and no
secret but what `headers` gives it per request; error texts hold neither headers nor query strings.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import TypeVar

import aiohttp
import anyio
import msgspec
from anyio import to_thread
from msgspec import Struct
from yarl import URL

from genomed.adapters._answers import raise_for_reading, refusal
from genomed.adapters._http_failures import FAILURES, UNSENT, Lost, Unsent, failure, place
from genomed.entities.errors import Capacity, MalformedResponse, Transient

__all__ = ["UNSENT", "Http", "HttpReply", "Lost", "Unsent", "file_form"]

LONGEST_REPLY_BYTES = 16 << 20
BLOCK_BYTES = 1 << 18
REDIRECTS = 5
CONNECT_TIMEOUT_S = 30.0

T = TypeVar("T")


class HttpReply(Struct, frozen=True, kw_only=True):
    """headers: names in lower case. Any status, also a refusal."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    provider: str = ""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def read(self, wanted: type[T]) -> T:
        """Raises MalformedResponse when the body is not that."""
        try:
            return msgspec.json.decode(self.body, type=wanted)
        except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
            message = f"{self.provider} answered {self.status} with something we cannot read: {wrong}"
            raise MalformedResponse(message, provider=self.provider) from wrong


class Http:
    """headers: asked before every request, so that a changed key is used at once; goes to `base_url`'s origin alone.

    redact: takes secrets out of texts. The session opens with the first request; `aclose` ends it.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Callable[[], Awaitable[dict[str, str]]],
        provider: str,
        timeout_s: float = 60.0,
        redact: Callable[[str], str] = str,
    ) -> None:
        self._base = URL(base_url.rstrip("/"))
        self._headers = headers
        self._provider = provider
        self._timeout_s = timeout_s
        self._redact = redact
        self._opened: aiohttp.ClientSession | None = None

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: object | None = None,
        form: Callable[[], aiohttp.FormData] | None = None,
        headers: Mapping[str, str] = {},
        timeout_s: float | None = None,
    ) -> HttpReply:
        """One request, one answer of any status, no redirects. body: goes as JSON. form: made anew, in a thread.

        Raises Unsent, Lost, or what `headers` raises (MissingCredentials) before anything is sent.
        """
        sent = {**await self._headers(), **headers}
        data: bytes | aiohttp.FormData | None = None
        if body is not None:
            data = msgspec.json.encode(body)
            sent["Content-Type"] = "application/json"
        elif form is not None:
            data = await to_thread.run_sync(form)  # it opens files
        url = self._url(path)
        limits = _limits(total_s=timeout_s or self._timeout_s)
        async with self._answer(
            method, url.update_query(query) if query else url, headers=sent, data=data, limits=limits
        ) as answer:
            return await self._whole(answer)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: object | None = None,
        timeout_s: float | None = None,
    ) -> HttpReply:
        """For calls that may be repeated. Raises Transient, or what any answer but 2xx means (`raise_for_reading`)."""
        try:
            reply = await self.send(method, path, query=query, body=body, timeout_s=timeout_s)
        except (Unsent, Lost) as trouble:
            raise Transient(str(trouble), provider=self._provider) from trouble
        self.demand(reply)
        return reply

    def demand(self, reply: HttpReply) -> None:
        """Raises, as `ask` does, for an answer that is no success."""
        if not reply.ok:
            raise_for_reading(
                refusal(reply.status, reply.headers, reply.body, redact=self._redact), provider=self._provider
            )

    async def put_file(
        self, url: str, source: Path, *, headers: Mapping[str, str] = {}, method: str = "PUT", timeout_s: float = 3600.0
    ) -> HttpReply:
        """A file, streamed, to a signed address: without our credentials unless it is the service itself."""
        target = self._url(url)
        opened = await to_thread.run_sync(lambda: source.open("rb"))
        try:
            data = aiohttp.BufferedReaderPayload(opened, content_type="application/octet-stream")
            limits = _limits(total_s=timeout_s)
            own = {**await self._credentials_for(target), **headers}
            async with self._answer(method, target, headers=own, data=data, limits=limits) as answer:
                return await self._whole(answer)
        finally:
            await to_thread.run_sync(opened.close)

    async def download(self, path_or_url: str, target: Path, *, max_bytes: int) -> None:
        """Streamed to target, on the disk and whole when this returns. Raises as `ask`; Capacity when it does not fit.

        Redirects are followed, without our credentials where they leave the service, never from https to http.
        """
        url = self._url(path_or_url)
        try:
            for _ in range(REDIRECTS):
                limits = _limits(total_s=None, silence_s=self._timeout_s)
                own = await self._credentials_for(url)
                async with self._answer("GET", url, headers=own, data=None, limits=limits) as answer:
                    if answer.status in {301, 302, 303, 307, 308} and "Location" in answer.headers:
                        url = self._redirected(url, answer.headers["Location"])
                        continue
                    if answer.status != 200:
                        self.demand(await self._whole(answer))
                        raise MalformedResponse(f"{place(url)} answered {answer.status}", provider=self._provider)
                    await self._to_disk(answer, target, max_bytes)
                    return
        except (Unsent, Lost) as trouble:
            raise Transient(str(trouble), provider=self._provider) from trouble
        raise MalformedResponse(f"{place(url)}: more than {REDIRECTS} redirects", provider=self._provider)

    async def aclose(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.close()

    def _url(self, path_or_url: str) -> URL:
        if "://" in path_or_url:
            return self._given(path_or_url)
        return URL(f"{self._base}/{path_or_url.lstrip('/')}", encoded="%" in path_or_url)

    def _given(self, address: str) -> URL:
        """As the service wrote it, letter by letter: another spelling would break its signature."""
        if not address.isprintable() or " " in address:
            raise MalformedResponse("the service gave an address that is none", provider=self._provider)
        return URL(address, encoded=True)

    def _redirected(self, url: URL, location: str) -> URL:
        target = url.join(self._given(location))
        if (url.scheme, target.scheme) == ("https", "http"):
            raise MalformedResponse(f"{place(url)} leads from https to http", provider=self._provider)
        return target

    async def _credentials_for(self, url: URL) -> dict[str, str]:
        return await self._headers() if url.origin() == self._base.origin() else {}

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            # A kept connection may have been closed at the other end: every send over it would be a doubt, not a no.
            connector = aiohttp.TCPConnector(force_close=True)
            self._opened = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), middlewares=(self._once,)
            )
        return self._opened

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        url: URL,
        *,
        headers: Mapping[str, str],
        data: bytes | aiohttp.FormData | aiohttp.Payload | None,
        limits: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Raises Unsent, or Lost for whatever breaks once a connection stood, the reading of the answer included."""
        try:
            async with self._session().request(
                method, url, headers=headers, data=data, timeout=limits, allow_redirects=False
            ) as answer:
                yield answer
        except FAILURES as failed:
            raise failure(method, url, failed, redact=self._redact) from None

    async def _once(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """A middleware, because aiohttp would repeat a GET or a PUT whose connection broke, and tell nobody."""
        try:
            return await handler(request)
        except FAILURES as failed:
            raise failure(request.method, request.url, failed, redact=self._redact) from None

    async def _whole(self, answer: aiohttp.ClientResponse) -> HttpReply:
        body = bytearray()
        async for block in answer.content.iter_chunked(BLOCK_BYTES):
            body += block
            if len(body) > LONGEST_REPLY_BYTES:
                raise Lost(f"{place(answer.url)}: the answer is longer than {LONGEST_REPLY_BYTES} bytes")
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return HttpReply(status=answer.status, headers=headers, body=bytes(body), provider=self._provider)

    async def _to_disk(self, answer: aiohttp.ClientResponse, target: Path, max_bytes: int) -> None:
        beside = target.with_name(f".{target.name}.partial")
        try:
            async with await anyio.open_file(beside, "wb") as writer:
                written = 0
                async for block in answer.content.iter_chunked(BLOCK_BYTES):
                    written += len(block)
                    if written > max_bytes:
                        raise Capacity(
                            f"{place(answer.url)} is longer than the {max_bytes} bytes allowed",
                            provider=self._provider,
                        )
                    await writer.write(block)
                await writer.flush()
                await to_thread.run_sync(os.fsync, writer.wrapped.fileno())
            await to_thread.run_sync(beside.replace, target)
        except OSError as trouble:
            if trouble.errno in {ENOSPC, EDQUOT}:
                raise Capacity(
                    f"no room on the disk for {target.name}: {trouble}", provider=self._provider
                ) from trouble
            raise
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.Path(beside).unlink(missing_ok=True)


def file_form(fields: Mapping[str, str], *, name: str, path: str) -> Callable[[], aiohttp.FormData]:
    """What a multipart upload of one file is made of, for `send(form=...)`; the file is streamed from the disk."""

    def made() -> aiohttp.FormData:
        form = aiohttp.FormData()
        for field, value in fields.items():
            form.add_field(field, value)
        form.add_field("file", Path(path).open("rb"), filename=name, content_type="application/octet-stream")  # noqa: SIM115 -- aiohttp closes it once sent
        return form

    return made


def _limits(*, total_s: float | None, silence_s: float | None = None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=total_s, sock_connect=CONNECT_TIMEOUT_S, sock_read=silence_s)
