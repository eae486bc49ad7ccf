"""A provider on the loopback: what every emulator shares. Each provider's own file adds its routes and its states.

Records every request, holds it and its answer against the published spec, asks for the bearer key, and does what the
faults say. Knows nothing of genomed: an adapter meets it only through HTTP.
"""

import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar, TypeVar, cast

import anyio
from aiohttp import web
from tests.emulators.exchange import Call, Handler, Refused, Reply, Route, read_call, response_of
from tests.emulators.faults import Fault, FaultKind, Faults
from tests.emulators.published_spec import ABSENT, PublishedSpec, available

API_KEY = "emulated-key-0123456789abcdef"

T = TypeVar("T")

__all__ = ["API_KEY", "Call", "Emulator", "Refused", "Reply", "Route", "Steps", "serving"]


class _Broken(Exception):
    """The connection was closed instead of an answer."""


Watcher = Callable[[Call], Awaitable[None]]


class Emulator:
    """State in memory, one instance per test. accepted: key -> how many jobs were created by it, that is, paid for.

    on_receipt: told of each request before anything is done; on_answer: once it is done, before its answer goes out.
    """

    provider: ClassVar[str]
    prefix: ClassVar[str] = ""  # what base_url ends in
    status_field: ClassVar[str] = "status"  # where WORD faults write

    def __init__(self, *, api_key: str = API_KEY, now_s: Callable[[], float] = time.time) -> None:
        self.api_key = api_key
        self.now_s = now_s
        self.faults = Faults()
        self.calls: list[Call] = []
        self.violations: list[str] = []
        self.accepted: Counter[str] = Counter()
        self.held = False
        self.on_receipt: Watcher | None = None
        self.on_answer: Watcher | None = None
        self.spec = PublishedSpec.load(self.provider) if available() else None
        self._lists_seen: Counter[tuple[str, str]] = Counter()
        self._vanished: list[str] = []
        self._runner: web.AppRunner | None = None
        self._port = 0

    # What a provider's emulator says.

    def routes(self) -> Sequence[Route]:
        """Longest first where one pattern covers another."""
        raise NotImplementedError

    def error_body(self, status: int, message: str) -> object:
        """An error in this provider's form."""
        return {"error": {"message": message, "type": "emulated_error", "param": None, "code": None}}

    def operation_of(self, route: Route, call: Call) -> str:
        """The operation's name, where one route does two things."""
        return route.operation

    # What a test asks.

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def base_url(self) -> str:
        return self.origin + self.prefix

    def fault(
        self,
        operation: str,
        kind: FaultKind | str,
        *,
        times: int = 1,
        code: int = 500,
        retry_after: str | None = None,
        body: object = None,
        seconds: float = 0.0,
        word: str = "",
        calls: int = 0,
    ) -> Fault:
        return self.faults.add(
            operation,
            FaultKind(kind),
            times=times,
            code=code,
            retry_after=retry_after,
            body=body,
            seconds=seconds,
            word=word,
            calls=calls,
        )

    def seen(self, operation: str) -> list[Call]:
        """The requests of that operation so far, lost and refused ones included."""
        return [call for call in self.calls if call.operation == operation]

    def hold(self) -> None:
        """From now on jobs stay at their working word until they are cancelled, paused or released."""
        self.held = True

    def release(self) -> None:
        self.held = False

    async def start(self) -> None:
        app = web.Application(client_max_size=1 << 40)
        for route in self.routes():
            app.router.add_route(route.method, route.path, self._door(route))
        app.router.add_route(
            "*", "/{tail:.*}", self._door(Route(operation="unknown", method="*", path="", handler=self._unknown))
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)  # again on its own port, after a stop
        await site.start()
        self._port = cast(tuple[str, int], self._runner.addresses[0])[1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # What a handler uses.

    def listed(self, operation: str, items: Sequence[T], *, key: Callable[[T], str]) -> list[T]:
        """The items as the faults of that list let them be seen, in the order given otherwise."""
        lag = self.faults.standing(operation, FaultKind.LAG)
        shown: list[T] = []
        for item in items:
            self._lists_seen[operation, key(item)] += 1
            if lag is None or self._lists_seen[operation, key(item)] > lag.calls:
                shown.append(item)
        if self.faults.take(operation, FaultKind.DUPLICATE):
            shown = [item for item in shown for _ in range(2)]
        if self.faults.take(operation, FaultKind.REORDER):
            shown.reverse()
        return shown

    def steps(self, words: Iterable[str], *, working: str, endless: bool = False) -> "Steps":
        """A new job's walk; it stays at `working` while the emulator is held, and for ever where it is endless."""
        return Steps(self, tuple(words), working=working, endless=endless)

    # How a request goes through.

    def _door(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                return await self._answered(route, request)
            except _Broken:
                if request.transport is not None:
                    request.transport.close()
                return web.Response(status=500)  # goes nowhere: the connection is closed

        return answer

    async def _answered(self, route: Route, request: web.Request) -> web.StreamResponse:
        call = await read_call(route.operation, request)
        operation = call.operation = self.operation_of(route, call)
        self.calls.append(call)
        if self.on_receipt is not None:
            await self.on_receipt(call)
        self._hold_request_against_spec(route, call)
        self._break_before(operation)
        reply = self._refusal(route, call) or await _handled(route.handler, call)
        self._misspell(operation, reply)
        self._hold_reply_against_spec(route, call, reply)
        if self.on_answer is not None:
            await self.on_answer(call)
        late = self.faults.take(operation, FaultKind.LATE)
        if late:
            await anyio.sleep(late.seconds)
        if self.faults.take(operation, FaultKind.LOSE_REPLY):
            raise _Broken
        response = response_of(reply)
        if self.faults.take(operation, FaultKind.TRUNCATE):
            await _send_half(request, response)
            raise _Broken
        return response

    def _break_before(self, operation: str) -> None:
        if self.faults.take(operation, FaultKind.LOSE_REQUEST):
            raise _Broken

    def _refusal(self, route: Route, call: Call) -> Reply | None:
        """What is answered without doing anything: no such path, no key, a fault, an object that vanished."""
        if route.operation == "unknown":
            return Reply(status=404, body=self.error_body(404, f"no such path: {call.path}"))
        if not route.open and call.headers.get("authorization") != f"Bearer {self.api_key}":
            return Reply(status=401, body=self.error_body(401, "the key is not valid"))
        fault = self.faults.take(call.operation, FaultKind.STATUS)
        if fault:
            headers = {"Retry-After": fault.retry_after} if fault.retry_after is not None else {}
            body = self.error_body(fault.code, "asked for by the test") if fault.body is None else fault.body
            return Reply(status=fault.code, body=body, headers=headers, off_spec=True)
        if self.faults.take(call.operation, FaultKind.VANISH):
            self._vanished.append(call.path)
        if any(call.path == path or call.path.startswith((f"{path}/", f"{path}:")) for path in self._vanished):
            return Reply(status=404, body=self.error_body(404, f"not found: {call.path}"))
        return None

    def _misspell(self, operation: str, reply: Reply) -> None:
        if isinstance(reply.body, dict) and self.status_field in reply.body and reply.status < 300:
            fault = self.faults.take(operation, FaultKind.WORD)
            if fault:
                reply.body = {**reply.body, self.status_field: fault.word}
                reply.off_spec = True

    def _hold_request_against_spec(self, route: Route, call: Call) -> None:
        if route.open:
            return
        if self.spec is not None:
            self.violations += self.spec.request_problems(call.method, call.path, call.query, call.body, call.parts)
        elif route.operation == "unknown":
            self.violations.append(f"{call.method} {call.path}: this emulator has no such path")

    def _hold_reply_against_spec(self, route: Route, call: Call, reply: Reply) -> None:
        if self.spec is None or route.open or reply.off_spec or route.operation == "unknown":
            return
        body = ABSENT if isinstance(reply.body, bytes) or reply.content_type != "application/json" else reply.body
        problems = self.spec.response_problems(call.method, call.path, reply.status, body)
        self.violations += [f"(the emulator's own answer) {problem}" for problem in problems]

    async def _unknown(self, call: Call) -> object:
        raise Refused(404, self.error_body(404, f"no such path: {call.path}"))


class Steps:
    """A job's way through its words: one further with each `step`, and no further than its last."""

    def __init__(self, emulator: Emulator, words: tuple[str, ...], *, working: str, endless: bool = False) -> None:
        self._emulator = emulator
        self._ahead = list(words[1:])
        self._working = working
        self._endless = endless
        self.word = words[0]

    def step(self) -> str:
        """The next word; the same one at the end, and at the working word while it is held there."""
        held = self._endless or self._emulator.held
        if self._ahead and not (held and self.word == self._working):
            self.word = self._ahead.pop(0)
        return self.word

    def go(self, *words: str) -> None:
        """Be at the first of these words now, with the others ahead instead of what was."""
        self.word, *self._ahead = words

    @property
    def ended(self) -> bool:
        return not self._ahead


@asynccontextmanager
async def serving(emulator: "E", *, strict: bool = True) -> "AsyncIterator[E]":
    """The emulator, started. On a clean way out no request and no answer may have broken the published spec."""
    await emulator.start()
    try:
        yield emulator
    finally:
        await emulator.stop()
    if strict:
        assert not emulator.violations, "\n".join(emulator.violations)


E = TypeVar("E", bound=Emulator)


async def _handled(handler: Handler, call: Call) -> Reply:
    try:
        answer = await handler(call)
    except Refused as refused:
        return refused.reply
    return answer if isinstance(answer, Reply) else Reply(body=answer)


async def _send_half(request: web.Request, response: web.Response) -> None:
    body = cast(bytes, response.body)
    half = web.StreamResponse(status=response.status, headers={"Content-Type": "application/json"})
    half.content_length = len(body)
    await half.prepare(request)
    await half.write(body[: len(body) // 2])
