"""Who is let in: a bounded number of connections, of which the silent ones make room first.

Stands between the listening socket and aiohttp, which by itself keeps every connection that says nothing, until the
process may open no further file and the log cannot be written either. Knows connections and time, no requests.
"""

import asyncio
import logging
import resource
from collections.abc import Awaitable, Callable

import anyio
from aiohttp import web

from genomed.daemon.configuration.sections import Limits

log = logging.getLogger(__name__)

RESERVED_FILES = 256
"""For the log, datasets, workers and providers: an estimate with room, since a busy daemon has about fifty open."""

WANTED_FILES = 65_536

SWEEPS = 4
"""Looks at the connections in the shortest time that one may be silent."""

FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Type: application/json\r\n"
FULL_BODY = (
    b'{"error":{"kind":"capacity","message":"too many connections","retryable":true,'
    b'"remedy":"close some, or raise limits.connections"}}\n'
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def most_connections(wanted: int) -> int:
    """Raises the soft limit of open files as far as it may be, and leaves the daemon its own share."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    raised = WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_FILES)
    if soft != resource.RLIM_INFINITY and soft < raised:
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = raised
    allowed = wanted if soft == resource.RLIM_INFINITY else min(wanted, max(8, soft - RESERVED_FILES))
    if allowed < wanted:
        log.warning("fewer connections than configured allowed=%d wanted=%d open_files=%d", allowed, wanted, soft)
    return allowed


class Reception:
    """most: connections at a time."""

    def __init__(self, limits: Callable[[], Limits], *, most: int) -> None:
        self._limits = limits
        self._most = most
        self._guests: dict[asyncio.BaseTransport, _Guest] = {}
        self._silent: dict[asyncio.BaseTransport, _Guest] = {}
        self._none_silent = anyio.Event()

    def protocols(self, server: Callable[[], asyncio.Protocol]) -> Callable[[], asyncio.Protocol]:
        """What makes the protocol of each new connection, in place of aiohttp's own."""
        return lambda: _Guest(self, server())

    @property
    def open(self) -> int:
        return len(self._guests)

    async def run(self) -> None:
        """Sends away who says nothing. Until cancelled."""
        while True:
            await anyio.sleep(min(self._limits().silent_s, self._limits().idle_s) / SWEEPS)
            now = anyio.current_time()
            for guest in list(self._guests.values()):
                patience_s = self._limits().idle_s if guest.spoke else self._limits().silent_s
                if not guest.requests and now - guest.heard_at > patience_s:
                    guest.leave()

    def admit(self, transport: asyncio.Transport, guest: "_Guest") -> bool:
        """False when nobody can be asked to leave. The longest silent one goes first."""
        if len(self._guests) >= self._most:
            if not self._silent:
                return False
            next(iter(self._silent.values())).leave()
        self._guests[transport] = self._silent[transport] = guest
        return True

    def heard(self, transport: asyncio.BaseTransport) -> None:
        self._silent.pop(transport, None)
        if not self._silent:
            self._none_silent.set()

    def left(self, transport: asyncio.BaseTransport) -> None:
        self._guests.pop(transport, None)
        self.heard(transport)

    async def all_spoke(self) -> None:
        """Until every connection has said something or is gone. Unbounded: the caller's cancel scope ends it."""
        while self._silent:
            self._none_silent = anyio.Event()
            await self._none_silent.wait()

    @web.middleware
    async def count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """A middleware that knows whose request is under way: they are never sent away."""
        guest = self._guests.get(request.transport) if request.transport is not None else None
        if guest is None:
            return await handler(request)
        guest.requests += 1
        try:
            return await handler(request)
        finally:
            guest.requests -= 1
            guest.heard_at = anyio.current_time()


class _Guest(asyncio.Protocol):
    """One connection: everything goes on to aiohttp's own protocol."""

    def __init__(self, reception: Reception, inner: asyncio.Protocol) -> None:
        self._reception = reception
        self._inner = inner
        self._transport: asyncio.Transport | None = None
        self._admitted = False
        self.spoke = False
        self.heard_at = anyio.current_time()
        self.requests = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(f"a stream was expected, got {transport!r}")
        self._transport = transport
        self._admitted = self._reception.admit(transport, self)
        if self._admitted:
            self._inner.connection_made(transport)
            return
        transport.write(FULL + b"Content-Length: %d\r\n\r\n" % len(FULL_BODY) + FULL_BODY)
        transport.close()

    def data_received(self, data: bytes) -> None:
        if not self._admitted:
            return
        self.heard_at = anyio.current_time()
        if not self.spoke and self._transport is not None:
            self.spoke = True
            self._reception.heard(self._transport)
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._admitted else False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._reception.left(self._transport)
        if self._admitted:
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._admitted:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._admitted:
            self._inner.resume_writing()

    def leave(self) -> None:
        if self._transport is not None:
            self._reception.left(self._transport)
            self._transport.close()
