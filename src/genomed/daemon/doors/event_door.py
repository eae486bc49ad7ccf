"""The event door: GET /events as server-sent events, gap-free from a position on, across restarts."""

import logging
from collections.abc import Callable

import anyio
from aiohttp import web
from msgspec.structs import replace

from genomed.daemon.access.credentials import Credentials
from genomed.daemon.configuration.sections import Limits
from genomed.daemon.doors.event_feed import EventFeed, farewell, heartbeat
from genomed.daemon.doors.event_view import Wanted
from genomed.daemon.doors.http_door import HttpDoor
from genomed.daemon.doors.slow_reader import sent
from genomed.daemon.journal.journal import Journal
from genomed.daemon.observation.metrics import Gauge
from genomed.entities.errors import Forbidden, GenomeError, InvalidRequest, Problem

log = logging.getLogger(__name__)

RETRY_MS = 1000
POSITION_DIGITS = 18


class EventDoor:
    """stopping: set when the daemon stops, so that streams end instead of holding it up."""

    def __init__(
        self, door: HttpDoor, journal: Journal, feed: EventFeed, limits: Callable[[], Limits], stopping: anyio.Event
    ) -> None:
        self._door = door
        self._journal = journal
        self._feed = feed
        self._limits = limits
        self._stopping = stopping
        self.subscribers = Gauge()

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/events", self.events)]

    async def events(self, request: web.Request) -> web.StreamResponse:
        try:
            shown = self._door.credentials(request)
            await self._door.gate.subscriber(shown, command="events")
            after = self._position(request)
        except GenomeError as error:
            return self._door.refused(error)
        wanted = Wanted(patterns=tuple(request.query.getall("pattern", [])), stream=request.query.get("stream"))
        follow = request.query.get("follow", "true") != "false"
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        await response.prepare(request)
        if request.transport is not None:
            request.transport.set_write_buffer_limits(high=self._limits().subscriber_buffer_bytes)
        await response.write(f"retry: {RETRY_MS}\n\n".encode())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._end_with_the_daemon, tasks.cancel_scope)
            try:
                with self.subscribers.one_more():
                    await self._write(request, response, shown, after, wanted, follow=follow)
            except ConnectionError:
                log.debug("a subscriber went away")
            except Forbidden as error:
                log.info("a subscriber may read no longer: %s", error.message)
            tasks.cancel_scope.cancel()
        return response

    async def _end_with_the_daemon(self, scope: anyio.CancelScope) -> None:
        await self._stopping.wait()
        scope.cancel()

    async def _write(
        self,
        request: web.Request,
        response: web.StreamResponse,
        shown: Credentials,
        after: int,
        wanted: Wanted,
        *,
        follow: bool,
    ) -> None:
        """A slow reader is waited for, and reads on from SQL; one that does not read is sent away.

        Who it is and whom it may read of is asked anew for each portion: what was taken back ends the stream.
        """
        position, end = after, self._journal.head().position
        while follow or position < end:
            data = b""
            if self._journal.head().position <= position:
                with anyio.move_on_after(self._limits().idle_heartbeat_s):
                    await self._journal.wait_beyond(position)
            caller = await self._door.gate.subscriber(shown, command="events")
            if self._journal.head().position > position:
                if wanted.personas != caller.personas:
                    wanted = replace(wanted, personas=caller.personas)
                portion = await self._feed.after(position, wanted)
                position, data = portion.position, portion.data
            if not await self._sent(request, response, data or heartbeat(position), position):
                return

    async def _sent(self, request: web.Request, response: web.StreamResponse, data: bytes, position: int) -> bool:
        """False when the subscriber was sent away. What lies in its buffer is whole frames up to `position`."""
        transport = request.transport
        if transport is None:
            return False
        if transport.get_write_buffer_size() + len(data) < self._limits().subscriber_buffer_bytes:
            await response.write(data)  # nobody waits: it stays below the mark
            return True

        async def last_word() -> None:
            word = farewell(position)
            transport.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(word), word))

        stall_s = self._limits().stall_s
        if await sent(lambda: response.write(data), transport, stall_s=stall_s, last_word=last_word):
            return True
        log.warning("a subscriber does not read and was sent away after=%d", position)
        return False

    def _position(self, request: web.Request) -> int:
        """Last-Event-ID (a reconnect) before `after`; neither: the live edge."""
        given = request.headers.get("Last-Event-ID") or request.query.get("after")
        if given is None:
            return self._journal.head().position
        if not (given.isascii() and given.isdigit() and len(given) <= POSITION_DIGITS):
            raise InvalidRequest.of([Problem(field="after", message="must be a log position, 0 or more")])
        if int(given) > self._journal.head().position:
            head = self._journal.head().position
            raise InvalidRequest.of(
                [
                    Problem(
                        field="after",
                        message=f"{given} is beyond the end of the log, which is at {head}",
                        remedy="this is another log, or an older copy of it; start from 0",
                    )
                ]
            )
        return int(given)
