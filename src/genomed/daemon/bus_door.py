"""The bus door: a WebSocket at /bus that takes calls and, for those who subscribe, sends events.

Calls of one connection run side by side, a bounded number at a time; a slow reader is waited for, event by event.
"""

import logging
from collections.abc import Callable

import anyio
import msgspec
from aiohttp import WSMsgType, web
from anyio.abc import TaskGroup

from genomed.commands.context import Caller
from genomed.daemon.access import demand
from genomed.daemon.bus_messages import Batch, Call, Flaw, event_message, flaw_message, read_frame, reply_message
from genomed.daemon.dispatch import Dispatch, Reply
from genomed.daemon.event_view import EventEncoder, Wanted
from genomed.daemon.http_door import HttpDoor
from genomed.daemon.journal import Journal
from genomed.entities.checking import convert
from genomed.entities.errors import Conflict, GenomeError, InvalidRequest, NotFound, Problem
from genomed.entities.types import Role

log = logging.getLogger(__name__)

CALLS_AT_ONCE = 64
SUBSCRIPTIONS_AT_MOST = 64
HEARTBEAT_S = 30.0


class SubscribeParams(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """after: log position of the last event already seen; none: from now on. patterns: of event types."""

    after: int | None = None
    patterns: tuple[str, ...] = ()
    stream: str | None = None


class UnsubscribeParams(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    subscription: str


class BusDoor:
    """body_bytes: of one frame. stopping: set when the daemon stops."""

    def __init__(
        self,
        door: HttpDoor,
        dispatch: Dispatch,
        journal: Journal,
        encoder: EventEncoder,
        *,
        body_bytes: int,
        batch: int,
        stopping: anyio.Event,
    ) -> None:
        self._door = door
        self._dispatch = dispatch
        self._journal = journal
        self._encoder = encoder
        self._body_bytes = body_bytes
        self._batch = batch
        self._stopping = stopping

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/bus", self.bus)]

    async def bus(self, request: web.Request) -> web.StreamResponse:
        try:
            caller = self._door.caller(request)
        except GenomeError as error:
            return self._door.refused(error)
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=self._body_bytes)
        await socket.prepare(request)
        async with anyio.create_task_group() as tasks:
            connection = Connection(socket, caller, tasks, self._dispatch, self._journal, self._encoder)
            tasks.start_soon(self._close_with_the_daemon, socket)
            async for message in socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await connection.take(read_frame(message.data, most=self._batch))
            tasks.cancel_scope.cancel()
        return socket

    async def _close_with_the_daemon(self, socket: web.WebSocketResponse) -> None:
        await self._stopping.wait()
        await socket.close(code=1001, message=b"the daemon stops")


class Connection:
    def __init__(
        self,
        socket: web.WebSocketResponse,
        caller: Caller,
        tasks: TaskGroup,
        dispatch: Dispatch,
        journal: Journal,
        encoder: EventEncoder,
    ) -> None:
        self._socket = socket
        self._caller = caller
        self._tasks = tasks
        self._dispatch = dispatch
        self._journal = journal
        self._encoder = encoder
        self._calls = anyio.Semaphore(CALLS_AT_ONCE)
        self._pen = anyio.Lock()
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
                await self._send(b"[" + b",".join(answers) + b"]")
            elif answers:
                await self._send(answers[0])
        finally:
            self._calls.release()

    async def _call(self, call: Call) -> bytes | None:
        match call.method:
            case "genome/subscribe":
                reply = await self._locally(lambda: self._subscribe(call.params))
            case "genome/unsubscribe":
                reply = await self._locally(lambda: self._unsubscribe(call.params))
            case _:
                reply = await self._dispatch.execute(call.method, call.params, caller=self._caller, key=call.key)
        return reply_message(call, reply)

    async def _locally(self, work: Callable[[], dict[str, object]]) -> Reply:
        try:
            result = work()
        except GenomeError as error:
            return Reply(error=error.body(), head=self._journal.head())
        return Reply(result=msgspec.Raw(msgspec.json.encode(result)), head=self._journal.head())

    def _subscribe(self, params: object) -> dict[str, object]:
        demand(self._caller, Role.READ, "the event stream")
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

    def _unsubscribe(self, params: object) -> dict[str, object]:
        name = convert({} if params is None else params, UnsubscribeParams).subscription
        scope = self._subscriptions.pop(name, None)
        if scope is None:
            raise NotFound(f"there is no subscription {name!r} on this connection")
        scope.cancel()
        return {"subscription": name}

    async def _send_events(self, name: str, scope: anyio.CancelScope, after: int, wanted: Wanted) -> None:
        """One at a time: a reader that falls behind is served from SQL, and costs one frame of memory."""
        subscription = self._journal.subscribe(after)
        with scope:
            while True:
                for envelope in await subscription.next():
                    if wanted.takes(envelope):
                        await self._send(event_message(name, self._encoder.json(envelope)))

    async def _send(self, message: bytes) -> None:
        async with self._pen:
            if self._socket.closed:
                return
            try:
                await self._socket.send_str(message.decode())
            except (ConnectionResetError, BrokenPipeError):
                log.debug("a bus client went away actor=%s", self._caller.actor)
