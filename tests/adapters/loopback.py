"""Small servers on the loopback that break off where they are told to: for tests of what a client makes of it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
from aiohttp import web
from anyio.abc import SocketAttribute, SocketStream

Behaviour = Callable[[SocketStream], Awaitable[None]]


@asynccontextmanager
async def raw_server(behave: Behaviour) -> AsyncIterator[str]:
    """One behaviour per connection, on the bare socket; the connection ends with it."""

    async def handle(stream: SocketStream) -> None:
        async with stream:
            await behave(stream)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        yield f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        tasks.cancel_scope.cancel()


async def read_request(stream: SocketStream) -> bytes:
    """Head and body, by Content-Length."""
    held = b""
    while b"\r\n\r\n" not in held:
        held += await stream.receive()
    head, _, body = held.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
    )
    while len(body) < length:
        body += await stream.receive()
    return head + b"\r\n\r\n" + body


@asynccontextmanager
async def app_server(*routes: web.RouteDef) -> AsyncIterator[str]:
    application = web.Application(client_max_size=1 << 26)
    application.add_routes(routes)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
