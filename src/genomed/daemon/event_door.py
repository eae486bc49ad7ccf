"""The event door: GET /events as server-sent events, gap-free from a position on, across restarts."""

import anyio
from aiohttp import web

from genomed.daemon.access import demand
from genomed.daemon.event_view import EventEncoder, Wanted
from genomed.daemon.http_door import HttpDoor
from genomed.daemon.journal import Journal
from genomed.entities.errors import GenomeError, InvalidRequest, Problem
from genomed.entities.types import Role

RETRY_MS = 1000
POSITION_DIGITS = 18


class EventDoor:
    """stopping: set when the daemon stops, so that streams end instead of holding it up."""

    def __init__(
        self, door: HttpDoor, journal: Journal, encoder: EventEncoder, *, heartbeat_s: float, stopping: anyio.Event
    ) -> None:
        self._door = door
        self._journal = journal
        self._encoder = encoder
        self._heartbeat_s = heartbeat_s
        self._stopping = stopping

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/events", self.events)]

    async def events(self, request: web.Request) -> web.StreamResponse:
        try:
            caller = self._door.caller(request)
            demand(caller, Role.READ, "the event stream")
            after = self._position(request)
        except GenomeError as error:
            return self._door.refused(error)
        wanted = Wanted(patterns=tuple(request.query.getall("pattern", [])), stream=request.query.get("stream"))
        follow = request.query.get("follow", "true") != "false"
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        await response.prepare(request)
        await response.write(f"retry: {RETRY_MS}\n\n".encode())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._end_with_the_daemon, tasks.cancel_scope)
            await self._write(response, after, wanted, follow=follow)
            tasks.cancel_scope.cancel()
        return response

    async def _end_with_the_daemon(self, scope: anyio.CancelScope) -> None:
        await self._stopping.wait()
        scope.cancel()

    async def _write(self, response: web.StreamResponse, after: int, wanted: Wanted, *, follow: bool) -> None:
        """`response.write` waits for a slow reader, so that one costs a bounded buffer and reads on from SQL."""
        subscription = self._journal.subscribe(after)
        end = self._journal.head().position
        while follow or subscription.position < end:
            news = []
            with anyio.move_on_after(self._heartbeat_s):
                news = await subscription.next()
            chosen = [one for one in news if wanted.takes(one)]
            frames = [_frame(one.position, one.type, self._encoder.json(one)) for one in chosen]
            try:
                await response.write(b"".join(frames) if frames else b": heartbeat\nid: %d\n\n" % subscription.position)
            except (ConnectionResetError, BrokenPipeError):
                return

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


def _frame(position: int, event_type: str, data: bytes) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (position, event_type.encode(), data)
