"""The bus door: a WebSocket at /bus that takes calls and, for those who subscribe, sends events.

Calls of one connection run side by side, a bounded number at a time; a slow reader is waited for, event by event.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import anyio
import msgspec
from aiohttp import WSCloseCode, WSMsgType, web
from anyio.abc import TaskGroup

from genomed.daemon.access.credentials import Credentials
from genomed.daemon.configuration.sections import Limits
from genomed.daemon.dispatch import Dispatch, Reply
from genomed.daemon.doors.bus_messages import (
    Batch,
    Call,
    Flaw,
    event_message,
    flaw_message,
    piece_message,
    read_frame,
    reply_message,
)
from genomed.daemon.doors.event_view import EventEncoder, Wanted
from genomed.daemon.doors.http_door import HttpDoor, known
from genomed.daemon.doors.slow_reader import sent
from genomed.daemon.journal.journal import Journal
from genomed.daemon.observation.metrics import Gauge
from genomed.daemon.observation.spans import traced
from genomed.entities.checking import convert
from genomed.entities.errors import Conflict, Forbidden, GenomeError, InvalidRequest, NotFound, Problem

log = logging.getLogger(__name__)

CALLS_AT_ONCE = 64
SUBSCRIPTIONS_AT_MOST = 64
TOO_SLOW = b"too slow: connect again, and subscribe after the last event you got"


class SubscribeParams(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """after: log position of the last event already seen; none: from now on. patterns: of event types."""

    after: int | None = None
    patterns: tuple[str, ...] = ()
    stream: str | None = None


class UnsubscribeParams(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    subscription: str


class BusDoor:
    """stopping: set when the daemon stops."""

    def __init__(
        self,
        door: HttpDoor,
        dispatch: Dispatch,
        journal: Journal,
        encoder: EventEncoder,
        limits: Callable[[], Limits],
        stopping: anyio.Event,
    ) -> None:
        self._door = door
        self._dispatch = dispatch
        self._journal = journal
        self._encoder = encoder
        self._limits = limits
        self._stopping = stopping
        self.subscribers = Gauge()

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/bus", self.bus)]

    async def bus(self, request: web.Request) -> web.StreamResponse:
        try:
            shown = self._door.credentials(request)
            await self._door.gate.caller(shown, command="bus")
        except GenomeError as error:
            return self._door.refused(error)
        limits = self._limits()
        socket = web.WebSocketResponse(heartbeat=limits.bus_heartbeat_s, max_msg_size=limits.body_bytes)
        await socket.prepare(request)
        if request.transport is not None:
            request.transport.set_write_buffer_limits(high=limits.subscriber_buffer_bytes)
        async with anyio.create_task_group() as tasks:
            line = Line(socket, request.transport, stall_s=limits.stall_s)
            connection = Connection(line, shown, tasks, self._dispatch, self._journal, self._encoder, self.subscribers)
            tasks.start_soon(self._close_with_the_daemon, socket)
            async for message in socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await connection.take(read_frame(message.data, most=limits.bus_batch))
            tasks.cancel_scope.cancel()
        return socket

    async def _close_with_the_daemon(self, socket: web.WebSocketResponse) -> None:
        await self._stopping.wait()
        await socket.close(code=1001, message=b"the daemon stops")


class Line:
    """The way out of one connection: one message at a time, and an end for whoever does not read."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None, *, stall_s: float) -> None:
        self._socket = socket
        self._transport = transport
        self._stall_s = stall_s
        self._pen = anyio.Lock()

    async def send(self, message: bytes) -> None:
        """Dropped where nobody is there to read it: a call's answer is kept under its key, events in the log."""
        async with self._pen:
            if self._socket.closed:
                return
            try:
                taken = await sent(
                    lambda: self._socket.send_str(message.decode()),
                    self._transport,
                    stall_s=self._stall_s,
                    last_word=self._last_word,
                )
            except ConnectionError:
                log.debug("a bus client went away")
                return
            if not taken:
                log.warning("a bus client does not read and was cut off")

    async def _last_word(self) -> None:
        await self._socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=TOO_SLOW)


class Connection:
    def __init__(
        self,
        line: Line,
        shown: Credentials,
        tasks: TaskGroup,
        dispatch: Dispatch,
        journal: Journal,
        encoder: EventEncoder,
        subscribers: Gauge,
    ) -> None:
        self._subscribers = subscribers
        self._line = line
        self._shown = shown
        self._gate = dispatch.gate
        self._tasks = tasks
        self._dispatch = dispatch
        self._journal = journal
        self._encoder = encoder
        self._calls = anyio.Semaphore(CALLS_AT_ONCE)
        self._subscriptions: dict[str, anyio.CancelScope] = {}
        self._named = 0

    async def take(self, batch: Batch) -> None:
        """Starts the work and returns; waits only while too many calls run."""
        await self._calls.acquire()
        self._tasks.start_soon(self._answer, batch)

    async def _answer(self, batch: Batch) -> None:
        try:
            answers = []
            for item in batch.items:
                answer = flaw_message(item) if isinstance(item, Flaw) else await self._call(item)
                if answer is not None:
                    answers.append(answer)
            if batch.together and answers:
                await self._line.send(b"[" + b",".join(answers) + b"]")
            elif answers:
                await self._line.send(answers[0])
        finally:
            self._calls.release()

    async def _call(self, call: Call) -> bytes | None:
        match call.method:
            case "genome/subscribe":
                reply = await self._locally(self._subscribe, call.params)
            case "genome/unsubscribe":
                reply = await self._locally(self._unsubscribe, call.params)
            case _:
                reply = await self._carried_out(call)
        return reply_message(call, reply)

    async def _carried_out(self, call: Call) -> Reply:
        """Who it is is asked anew for each call: a connection may outlive what it was let in with."""
        try:
            caller = await self._gate.caller(self._shown, command=known(call.method))
        except GenomeError as error:
            return Reply(error=error.body(), head=self._journal.head())
        caller = traced(caller, call.traceparent)

        async def tell(piece: msgspec.Struct) -> None:
            message = piece_message(call, msgspec.json.encode(piece))
            if message is not None:
                await self._line.send(message)

        return await self._dispatch.execute(call.method, call.params, caller=caller, key=call.key, tell=tell)

    async def _locally(self, work: Callable[[object], Awaitable[dict[str, object]]], params: object) -> Reply:
        try:
            result = await work(params)
        except GenomeError as error:
            return Reply(error=error.body(), head=self._journal.head())
        return Reply(result=msgspec.Raw(msgspec.json.encode(result)), head=self._journal.head())

    async def _subscribe(self, params: object) -> dict[str, object]:
        await self._gate.subscriber(self._shown, command="events")
        wanted = convert({} if params is None else params, SubscribeParams)
        head = self._journal.head().position
        after = head if wanted.after is None else wanted.after
        if not 0 <= after <= head:
            raise InvalidRequest.of([Problem(field="after", message=f"must be a log position from 0 to {head}")])
        if len(self._subscriptions) >= SUBSCRIPTIONS_AT_MOST:
            raise Conflict(f"a connection has at most {SUBSCRIPTIONS_AT_MOST} subscriptions")
        self._named += 1
        name = f"sub-{self._named}"
        scope = self._subscriptions[name] = anyio.CancelScope()
        chosen = Wanted(patterns=wanted.patterns, stream=wanted.stream)
        self._tasks.start_soon(self._send_events, name, scope, after, chosen)
        return {"subscription": name, "after": after}

    async def _unsubscribe(self, params: object) -> dict[str, object]:
        name = convert({} if params is None else params, UnsubscribeParams).subscription
        scope = self._subscriptions.pop(name, None)
        if scope is None:
            raise NotFound(f"there is no subscription {name!r} on this connection")
        scope.cancel()
        return {"subscription": name}

    async def _send_events(self, name: str, scope: anyio.CancelScope, after: int, wanted: Wanted) -> None:
        """One at a time: a reader that falls behind is served from SQL, and costs one frame of memory."""
        subscription = self._journal.subscribe(after)
        with scope, self._subscribers.one_more():
            while True:
                news = await subscription.next()
                try:
                    caller = await self._gate.subscriber(self._shown, command="events")
                except Forbidden as error:  # what it was let in with holds no longer: nor does the connection
                    log.info("a bus client may read no longer: %s", error.message)
                    self._tasks.cancel_scope.cancel()
                    return
                for envelope in news:
                    if wanted.takes(envelope) and await self._gate.owners.sees(caller.personas, envelope.stream):
                        await self._line.send(event_message(name, self._encoder.json(envelope)))
