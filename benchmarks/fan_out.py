"""Events to many subscribers at once: the daemon's event door beside a queue and a task for each of them.

The subscribers are connections of this one process, which only counts frames; either server is a process of its own.
"""

import asyncio
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from time import perf_counter

import anyio

from benchmarks.processes import module, serving
from benchmarks.side_by_side import Contender, Goal, Sample, Scope, Table, interleaved
from benchmarks.socket_client import http_complete, post

SUBSCRIBERS, EVENTS = 300, 100
QUICK_SUBSCRIBERS, QUICK_EVENTS = 50, 20
PATIENCE_S = 60.0

OURS, RECIPE = "genomed, each event encoded once", "a queue, a task and an encoding for each subscriber"
WAYS = {OURS: "ours", RECIPE: "queues"}
FOLLOW = b"GET /events HTTP/1.1\r\nHost: genomed\r\n\r\n"
OPENED, FRAME = b"retry:", b"event: job.progress_reported"


def fan_out_table(scope: Scope) -> Table:
    folder = scope.memory or scope.disk
    subscribers, events = (QUICK_SUBSCRIBERS, QUICK_EVENTS) if scope.quick else (SUBSCRIBERS, EVENTS)
    with ExitStack() as running:
        contenders = []
        for name, way in WAYS.items():
            listening = folder / f"fan-{way}"
            command = module("benchmarks.fan_out_server", str(listening), str(folder / f"fan-{way}-data"), way)
            served = running.enter_context(serving(command, listening))
            contenders.append(Contender(name, partial(_delivered, served.socket, subscribers, events)))
        samples = interleaved(contenders, rounds=scope.rounds)
    return Table(
        title=f"{events} events to {subscribers} subscribers",
        unit="deliveries/s",
        more_is_better=True,
        reference=RECIPE,
        samples=samples,
        goals=[Goal(OURS, RECIPE, "at least", 5, "reference/eventlog.md 1.9")],
        facts=["Both append the events one after the other, and ask nobody to wait for a slow subscriber."],
    )


def _delivered(listening: Path, subscribers: int, events: int) -> Sample:
    return anyio.run(_timed, listening, subscribers, events)


async def _timed(listening: Path, subscribers: int, events: int) -> Sample:
    """From the request for the events until the last subscriber has the last of them."""
    loop = asyncio.get_running_loop()
    followers = []
    for _ in range(subscribers):
        _, follower = await loop.create_unix_connection(partial(_Follower, events), str(listening))
        followers.append(follower)
    _, asking = await loop.create_unix_connection(_Asking, str(listening))
    with anyio.fail_after(PATIENCE_S):
        for follower in followers:
            await follower.opened.wait()
        began = perf_counter()
        asking.send(post(f"/go/{events}", b""))
        for follower in followers:
            await follower.done.wait()
        spent = perf_counter() - began
        await asking.answered.wait()
    for one in (*followers, asking):
        one.close()
    return Sample(subscribers * events / spent, f"{spent / events * 1000:.2f} ms for an event to reach all")


class _Connection(asyncio.Protocol):
    _transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class _Follower(_Connection):
    """Counts frames; one that is cut in two by the socket counts once its second part is here."""

    def __init__(self, events: int) -> None:
        self._left = events
        self._rest = b""
        self.opened, self.done = anyio.Event(), anyio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.send(FOLLOW)

    def data_received(self, data: bytes) -> None:
        if OPENED in data:
            self.opened.set()
        text = self._rest + data
        self._left -= text.count(FRAME)
        after = text.rfind(FRAME) + len(FRAME) if FRAME in text else 0
        self._rest = text[after:][-len(FRAME) + 1 :]
        if self._left <= 0:
            self.done.set()


class _Asking(_Connection):
    def __init__(self) -> None:
        self._received = bytearray()
        self.answered = anyio.Event()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if http_complete(self._received):
            self.answered.set()
