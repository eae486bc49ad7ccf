"""The least client that can ask over a Unix socket, the same for every server, so that the servers are what differs."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import anyio

from benchmarks.side_by_side import percentile

Complete = Callable[[bytearray], bool]
PATIENCE_S = 120.0


class Answered(NamedTuple):
    """per_s: over all clients. p50_us, p99_us: of one question. body: of the last answer."""

    per_s: float
    p50_us: float
    p99_us: float
    body: bytes

    def note(self) -> str:
        return f"p50 {self.p50_us:,.0f} µs, p99 {self.p99_us:,.0f} µs"


class Line(asyncio.Protocol):
    """One connection; one question at a time."""

    def __init__(self, complete: Complete) -> None:
        self._complete = complete
        self._received = bytearray()
        self._answer: asyncio.Future[bytes] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._answer is not None and self._complete(self._received):
            self._answer.set_result(bytes(self._received))
            self._answer = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None:
            self._answer.set_exception(exc or ConnectionResetError("the server hung up"))

    async def ask(self, question: bytes) -> bytes:
        assert self.transport is not None
        self._received.clear()
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(question)
        return await self._answer


def http_complete(received: bytearray) -> bool:
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return False
    if not received.startswith(b"HTTP/1.1 200"):
        raise ValueError(bytes(received))
    length = int(received[:end].lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    return len(received) >= end + 4 + length


def echo_of(question: bytes) -> Complete:
    return lambda received: len(received) >= len(question)


def post(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: genomed\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def ask_once(listening: Path, question: bytes) -> bytes:
    """The body of the answer."""
    return anyio.run(_asked, listening, [question], 1, 0.0, http_complete).body


def asked(
    listening: Path, questions: Sequence[bytes], *, clients: int, seconds: float, complete: Complete = http_complete
) -> Answered:
    """Every client on a connection of its own asks one after the other for so many seconds, at least once."""
    return anyio.run(_asked, listening, questions, clients, seconds, complete)


async def _asked(
    listening: Path, questions: Sequence[bytes], clients: int, seconds: float, complete: Complete
) -> Answered:
    loop = asyncio.get_running_loop()
    spent: list[float] = []
    lines = [(await loop.create_unix_connection(lambda: Line(complete), str(listening)))[1] for _ in range(clients)]
    last = b""
    began = time.perf_counter()

    async def client(name: int, line: Line) -> None:
        nonlocal last
        number = name
        while True:
            at = time.perf_counter()
            last = await line.ask(questions[number % len(questions)])
            now = time.perf_counter()
            spent.append((now - at) * 1e6)
            number += clients
            if now - began >= seconds:
                return

    with anyio.fail_after(seconds + PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            for name, line in enumerate(lines):
                tasks.start_soon(client, name, line)
    per_s = len(spent) / (time.perf_counter() - began)
    for line in lines:
        if line.transport is not None:
            line.transport.close()
    spent.sort()
    return Answered(per_s, percentile(spent, 0.5), percentile(spent, 0.99), body_of(last))
