"""A daemon's doors with their reception, in this process, and clients that misbehave on plain sockets."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from socket import AF_UNIX, SO_RCVBUF, SO_SNDBUF, SOCK_STREAM, SOL_SOCKET, socket
from types import SimpleNamespace

import anyio
import pytest
from aiohttp import web
from tests.daemon.daemon_rig import Rig
from tests.patience import PATIENCE_S

from genomed.daemon.doors import slow_reader
from genomed.daemon.doors.application import doors
from genomed.daemon.doors.reception import Reception
from genomed.daemon.doors.unix_socket import bound_socket


class House:
    def __init__(self, path: Path, reception: Reception) -> None:
        self.path, self.reception = path, reception

    def buffered_bytes(self) -> int:
        """What the daemon holds in memory for those who do not read."""
        transports = [one for one in self.reception._guests if isinstance(one, asyncio.WriteTransport)]
        return sum(one.get_write_buffer_size() for one in transports)


class Patience:
    """With slow readers, in place of so many seconds: it runs out when a test says so, and not by a pause of ours."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._waiting: list[anyio.CancelScope] = []
        rest = {"Event": anyio.Event, "create_task_group": anyio.create_task_group}
        patch.setattr(slow_reader, "anyio", SimpleNamespace(**rest, move_on_after=self._waited))

    @contextmanager
    def _waited(self, _: float) -> Iterator[anyio.CancelScope]:
        with anyio.CancelScope() as scope:
            self._waiting.append(scope)
            try:
                yield scope
            finally:
                self._waiting.remove(scope)

    async def runs_out(self, *, readers: int) -> None:
        """As soon as so many are waited for, and nobody else."""
        with anyio.fail_after(PATIENCE_S):
            while len(self._lasting()) != readers:  # noqa: ASYNC110 - filled by other tasks
                await anyio.sleep(0.02)
        for scope in self._lasting():
            scope.cancel()

    def _lasting(self) -> list[anyio.CancelScope]:
        return [scope for scope in self._waiting if not scope.cancel_called]


@asynccontextmanager
async def received(rig: Rig, *, most: int | None = None) -> AsyncIterator[House]:
    """The doors as the daemon opens them, for at most so many connections."""
    limits = rig.settings.limits
    reception = Reception(lambda: limits, most=most or limits.connections)
    stopping = anyio.Event()
    application = doors(rig.settings, rig.journal, rig.parts.dispatch, stopping)
    application.middlewares.append(reception.count)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    assert runner.server is not None
    with tempfile.TemporaryDirectory(prefix="gn", dir="/tmp") as folder:
        path = Path(folder) / "s"
        server = await asyncio.get_running_loop().create_server(
            reception.protocols(runner.server), sock=bound_socket(path), backlog=1024
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reception.run)
            try:
                yield House(path, reception)
            finally:
                tasks.cancel_scope.cancel()
                stopping.set()
                server.close()
                with anyio.CancelScope(shield=True):
                    await runner.cleanup()


@contextmanager
def caller(path: Path, said: bytes = b"") -> Iterator[socket]:
    """A connection that says something, or nothing, and reads only what a test reads; its own buffers are small."""
    with socket(AF_UNIX, SOCK_STREAM) as line:
        for option in (SO_RCVBUF, SO_SNDBUF):
            line.setsockopt(SOL_SOCKET, option, 4096)
        line.connect(str(path))
        line.sendall(said)
        line.setblocking(False)
        yield line


def ask(path: str, **headers: str) -> bytes:
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET {path} HTTP/1.1\r\nHost: genome\r\n{more}\r\n".encode()


async def all_it_says(line: socket) -> bytes:
    """Everything that still comes, to the end of the connection."""
    loop, heard = asyncio.get_running_loop(), b""
    while portion := await loop.sock_recv(line, 1 << 16):
        heard += portion
    return heard


def without_chunks(body: bytes) -> bytes:
    """The body of a chunked answer (RFC 9112, 7.1), as far as it came."""
    content, rest = b"", body
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size or b"0", 16)
        content, rest = content + rest[:length], rest[length + 2 :]
    return content
