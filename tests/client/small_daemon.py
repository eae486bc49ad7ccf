"""A small server on a Unix socket that speaks the wire of genomed: for what a real daemon does not do on demand.

It has a real log in memory and real idempotency; it can lose a reply, be stopped, and come back on the same socket.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec
from aiohttp import web
from tests.patience import PATIENCE_S

from genomed.entities import event_codec
from genomed.entities.errors import GenomeError, NotFound
from genomed.entities.events import Event
from genomed.entities.narration import narrate

T = TypeVar("T")
Answer = Callable[[dict[str, Any]], object]
HTTP_STATUS = {"invalid_request": 400, "not_found": 404, "conflict": 409, "unsupported": 422, "transient": 503}
HEARTBEAT_S = 0.2


class SmallDaemon:
    """answers: result, or error to raise, by command. requests: (command, params, idempotency key), as received."""

    def __init__(self, socket: Path) -> None:
        self.socket = str(socket)
        self.answers: dict[str, Answer] = {}
        self.requests: list[tuple[str, dict[str, Any], str | None]] = []
        self.carried_out: list[str] = []
        self.lose_replies = 0
        self.last_event_ids: list[str | None] = []
        self._log: list[dict[str, object]] = []
        self._receipts: dict[str, object] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._runner: web.AppRunner | None = None
        self._up = False
        self._grown = asyncio.Condition()

    def __enter__(self) -> Self:
        self._thread.start()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def start(self) -> None:
        self._run(self._start())

    def stop(self) -> None:
        """As a crash does it: open streams and connections end at once."""
        self._run(self._stop())

    def append(self, stream: str, *events: Event) -> None:
        self._run(self._append(stream, events))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=PATIENCE_S)

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/events", self._events)
        app.router.add_post("/genome/{name}", self._command)
        self._up = True
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        await web.UnixSite(self._runner, self.socket).start()

    async def _stop(self) -> None:
        self._up = False
        async with self._grown:
            self._grown.notify_all()
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None
        with suppress(FileNotFoundError):
            os.unlink(self.socket)  # noqa: PTH108 - one call in the loop of a test's own server

    async def _append(self, stream: str, events: tuple[Event, ...]) -> None:
        for event in events:
            position = len(self._log) + 1
            said = narrate(event)
            self._log.append(
                {
                    "position": position,
                    "stream": stream,
                    "version": sum(1 for one in self._log if one["stream"] == stream) + 1,
                    "type": event_codec.type_of(event),
                    "schema": 1,
                    "eventId": f"ev-{position}",
                    "actor": "daemon",
                    "commandId": None,
                    "correlationId": None,
                    "causationPosition": None,
                    "atUs": 1_790_000_000_000_000 + position * 1_000_000,
                    "event": msgspec.Raw(event_codec.encode(event)),
                    "text": said.text,
                    "level": said.level,
                }
            )
        async with self._grown:
            self._grown.notify_all()

    @property
    def _head(self) -> dict[str, object]:
        return {"position": len(self._log), "hash": "00"}

    async def _healthz(self, _: web.Request) -> web.Response:
        return _json({"ok": True, "version": "0", "pid": 1, "head": self._head})

    async def _command(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        params = msgspec.json.decode(await request.read() or b"{}")
        key = request.headers.get("Idempotency-Key")
        self.requests.append((name, params, key))
        try:
            replayed = key is not None and key in self._receipts
            result = self._receipts[key] if replayed and key is not None else self._answer(name, params, key)
        except GenomeError as error:
            return _json({"error": error.body(), "head": self._head}, status=HTTP_STATUS[error.kind])
        if self.lose_replies:
            self.lose_replies -= 1
            assert request.transport is not None
            request.transport.abort()
        return _json({"result": result, "head": self._head, "replayed": replayed})

    def _answer(self, name: str, params: dict[str, Any], key: str | None) -> object:
        if name not in self.answers:
            raise NotFound(f"there is no command genome/{name}")
        result = self.answers[name](params)
        self.carried_out.append(name)
        if key is not None:
            self._receipts[key] = result
        return result

    async def _events(self, request: web.Request) -> web.StreamResponse:
        last = request.headers.get("Last-Event-ID")
        self.last_event_ids.append(last)
        position = int(last or request.query.get("after") or len(self._log))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"retry: 1000\n\n")
        while True:
            for one in self._log[position:]:
                if _wanted(one, request):
                    data = msgspec.json.encode(one)
                    head = f"id: {one['position']}\nevent: {one['type']}\n".encode()
                    await response.write(head + b"data: " + data + b"\n\n")
            position = len(self._log)
            if not self._up:
                assert request.transport is not None
                request.transport.abort()
                return response
            if request.query.get("follow") == "false":
                return response
            async with self._grown:
                try:
                    await asyncio.wait_for(self._grown.wait(), HEARTBEAT_S)
                except TimeoutError:
                    await response.write(b": heartbeat\n\n")


def _wanted(one: dict[str, object], request: web.Request) -> bool:
    patterns = request.query.getall("pattern", ["*"])
    stream = request.query.get("stream", one["stream"])
    return stream == one["stream"] and any(fnmatch(str(one["type"]), pattern) for pattern in patterns)


def _json(body: object, *, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
