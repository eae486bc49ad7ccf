"""An answer that comes in pieces, over HTTP: server-sent events, `piece` for each, then `result` or `error`.

For callers who say `"stream": true` to a command that has pieces. Nothing is sent before the first piece, so that what
is refused at once is refused as everywhere else. Knows frames and the connection; knows no command.
"""

import logging
from collections.abc import Callable

import anyio
import msgspec
from aiohttp import web
from msgspec import Struct

from genomed import commands
from genomed.commands.context import CallerGone
from genomed.daemon.configuration.sections import Limits
from genomed.daemon.dispatch import Reply
from genomed.daemon.doors.slow_reader import sent
from genomed.entities.wire import FAILED, PIECE, RESULT

log = logging.getLogger(__name__)

HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
HEARTBEAT = b": heartbeat\n\n"
HEARTBEAT_S = 2.0
"""How soon it is noticed that a caller went away who waits for a first piece, or for the whole."""


def in_pieces(command: str, params: object) -> bool:
    """Whether this request asks for pieces, and the command has some."""
    asked = isinstance(params, dict) and params.get("stream") is True
    return asked and has_pieces(command)


def has_pieces(command: str) -> bool:
    """Whether its answer could come in pieces: work that nobody needs once the caller is gone."""
    return hasattr(commands.command(command), "Piece")


async def gone(request: web.Request) -> None:
    """Until the caller went away. Raises CallerGone then."""
    while True:
        await anyio.sleep(HEARTBEAT_S)
        if request.transport is None or request.transport.is_closing():
            raise CallerGone


def nobody() -> web.Response:
    """For a caller who went away: there is nobody to send it to, but the server wants one."""
    return web.Response(status=499, reason="the caller went away")


class Pieces:
    """The way of one answer to one caller."""

    def __init__(self, request: web.Request, limits: Callable[[], Limits]) -> None:
        self._request, self._limits = request, limits
        self._response: web.StreamResponse | None = None
        self._pen = anyio.Lock()

    @property
    def begun(self) -> bool:
        return self._response is not None

    async def tell(self, piece: Struct) -> None:
        """Raises CallerGone."""
        await self._send(_frame(PIECE, msgspec.json.encode(piece)))

    async def heartbeats(self) -> None:
        """For ever. Raises CallerGone."""
        while True:
            await anyio.sleep(HEARTBEAT_S)
            await self._send(HEARTBEAT)

    async def end(self, reply: Reply) -> web.StreamResponse:
        """The last frame: the reply as every door gives it. Raises CallerGone."""
        name = RESULT if isinstance(reply.error, msgspec.UnsetType) else FAILED
        await self._send(_frame(name, msgspec.json.encode(reply)))
        assert self._response is not None
        return self._response

    def left(self) -> web.StreamResponse:
        return self._response or nobody()

    async def _send(self, data: bytes) -> None:
        async with self._pen:
            transport = self._request.transport
            if transport is None or transport.is_closing():
                raise CallerGone
            response = await self._prepared()
            taken = False
            try:
                with anyio.CancelScope(shield=True):  # a write that is cut in two leaves no connection to write to
                    taken = await sent(
                        lambda: response.write(data),
                        transport,
                        stall_s=self._limits().stall_s,
                        last_word=self._last_word,
                    )
            except ConnectionError:
                raise CallerGone from None
            if not taken:
                log.warning("a caller does not read its answer and was cut off")
                raise CallerGone

    async def _last_word(self) -> None:
        """None: what waits to be read is in the way of whatever could be said."""

    async def _prepared(self) -> web.StreamResponse:
        if self._response is None:
            response = web.StreamResponse(headers=HEADERS)
            await response.prepare(self._request)
            if self._request.transport is not None:
                self._request.transport.set_write_buffer_limits(high=self._limits().subscriber_buffer_bytes)
            self._response = response
        return self._response


def _frame(name: bytes, data: bytes) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name, data)
