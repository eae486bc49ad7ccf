"""Answers on the listening sockets until a signal says stop; then no new connection, and some time for the rest."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Sequence

import anyio
import anyio.lowlevel
from aiohttp import web

from genomed.daemon.doors.reception import Reception
from genomed.daemon.doors.unix_socket import BACKLOG
from genomed.daemon.observation.notify import Notifier

log = logging.getLogger(__name__)

SHUTDOWN_S = 10.0
"""How long running requests may take to end once the daemon stops."""

FIRST_WORD_S = 1.0
"""How long a connection that has said nothing yet may take to do so once the daemon stops."""

TURNS = 8
"""Of the loop, with room: accepting takes two, reading a request and starting on it two more."""


async def listen(
    application: web.Application,
    sockets: Sequence[socket.socket],
    reception: Reception,
    stopping: anyio.Event,
    manager: Notifier,
) -> None:
    """Until SIGTERM or SIGINT. stopping: is set then, so that open streams end. manager: is told when doors open."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    servers: list[asyncio.Server] = []
    try:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(reception.run)
                servers += [await _server(runner, one, reception) for one in sockets]
                names = ", ".join(told_address(one) for one in sockets)
                log.info("ready sockets=%s pid=%d", names, os.getpid())
                manager.ready("doors are open")
                async for received in signals:
                    manager.stopping("no new requests; those that run get ten seconds")
                    log.info("stopping signal=%s", signal.Signals(received).name)
                    break
                tasks.cancel_scope.cancel()
    finally:
        stopping.set()
        with anyio.CancelScope(shield=True):
            await _close(servers, sockets)
            await _hear_out(reception)
            await runner.cleanup()


async def _close(servers: Sequence[asyncio.Server], sockets: Sequence[socket.socket]) -> None:
    """A closed server hangs up on whoever was accepted and has no transport yet: first nobody more is let in."""
    for one in sockets:
        asyncio.get_running_loop().remove_reader(one)
    for _ in range(TURNS):
        await anyio.lowlevel.checkpoint()
    for server in servers:
        server.close()


async def _hear_out(reception: Reception) -> None:
    """Who was let in before the doors closed is still asked what they want: aiohttp hangs up on the silent ones."""
    for _ in range(TURNS):
        await anyio.lowlevel.checkpoint()
    with anyio.move_on_after(FIRST_WORD_S):
        await reception.all_spoke()
    for _ in range(TURNS):
        await anyio.lowlevel.checkpoint()


def told_address(one: socket.socket) -> str:
    """A path, or `127.0.0.1:7411`, `[::1]:7411`."""
    address = one.getsockname()
    if not isinstance(address, tuple):
        return str(address)
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _server(runner: web.AppRunner, listening: socket.socket, reception: Reception) -> asyncio.Server:
    if runner.server is None:
        raise RuntimeError("the runner is not set up")
    loop = asyncio.get_running_loop()
    return await loop.create_server(reception.protocols(runner.server), sock=listening, backlog=BACKLOG)
