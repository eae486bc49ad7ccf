"""One HTTP session to the daemon's Unix socket: requests that outlive a restart of the daemon, and raw event streams.

Knows connections, retries and idempotency keys. What is said over them, `client` and `feed` know.
"""

import os
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import anyio
import msgspec

from genomed.entities.errors import Transient
from genomed.entities.wire import Health, Reply, read_reply

SILENCE_S = 45.0
"""Three heartbeats of the event stream (15 s each): then the connection is dead."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0

LOST = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError, ConnectionError)
"""No answer came; with an idempotency key the request may be sent again."""


class Unreachable(Transient):
    """No daemon answered on the socket for as long as the client was told to try."""

    def __init__(self, socket: str, reason: str) -> None:
        super().__init__(f"no daemon answers on {socket}: {reason}")
        self.remedy = f"start it with `genomed --socket {socket}`, or name another socket"


def read_private(path: str) -> tuple[str, int]:
    """The text and the mode of one and the same file."""
    with Path(path).open(encoding="utf-8") as reader:
        return reader.read(), os.fstat(reader.fileno()).st_mode


def pause_s(tries: int) -> float:
    """How long to wait before try number `tries` + 1: doubling, with jitter so that agents do not return as one."""
    return random.uniform(0.5, 1.0) * min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0**tries)


class Connection:
    """token: shown with every request. patience_s: how long a request is tried again while nobody answers. reply_s: how
    long one answer may take.
    """

    def __init__(self, socket: str, *, patience_s: float, reply_s: float, token: str | None = None) -> None:
        self.socket = socket
        self._authorization = {} if token is None else {"Authorization": f"Bearer {token}"}
        self.patience_s = patience_s
        self._reply_s = reply_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            base_url="http://localhost",
            connector=aiohttp.UnixConnector(path=self.socket, limit=0),
            headers=self._authorization,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def command(self, name: str, params: bytes, *, key: str | None, waits_s: float = 0.0) -> Reply:
        """Carry out a command. A lost connection sends the same bytes under the same key again.

        Raises the GenomeError that the daemon answers, Unreachable after patience_s without an answer.
        """
        headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
        status, body = await self._patiently("POST", f"/{name}", headers, params, self._reply_s + waits_s)
        return read_reply(status, body)

    async def health(self) -> Health:
        """Who answers, and where its log ends."""
        _, body = await self._patiently("GET", "/healthz", {}, b"", self._reply_s)
        return msgspec.json.decode(body, type=Health)

    @asynccontextmanager
    async def portions(self, query: Mapping[str, str | list[str]], after: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes of `/events`, as they come. Raises one of LOST when the connection ends badly."""
        pairs = [(name, one) for name, value in query.items() for one in ([value] if isinstance(value, str) else value)]
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=SILENCE_S, sock_read=SILENCE_S)
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        async with self._open.get("/events", params=pairs, headers=headers, timeout=timeout) as response:
            if response.status != 200:
                read_reply(response.status, await response.read())
            yield response.content.iter_any()

    @asynccontextmanager
    async def answer(self, name: str, params: bytes) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes of an answer in pieces, as they come. Raises the GenomeError that the daemon answers at once, and
        one of LOST when the connection ends badly.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=SILENCE_S, sock_read=SILENCE_S)
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        async with self._open.post(f"/{name}", data=params, headers=headers, timeout=timeout) as response:
            if response.status != 200:
                read_reply(response.status, await response.read())
            yield response.content.iter_any()

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the client is not open: use `async with Client() as genome`")
        return self._session

    async def _patiently(
        self, method: str, path: str, headers: dict[str, str], body: bytes, limit_s: float
    ) -> tuple[int, bytes]:
        deadline = anyio.current_time() + self.patience_s
        tries = 0
        while True:
            try:
                timeout = aiohttp.ClientTimeout(total=limit_s)
                async with self._open.request(method, path, headers=headers, data=body, timeout=timeout) as response:
                    return response.status, await response.read()
            except LOST as error:
                wait_s = pause_s(tries)
                if anyio.current_time() + wait_s > deadline:
                    raise Unreachable(self.socket, str(error) or type(error).__name__) from error
            tries += 1
            await anyio.sleep(wait_s)
