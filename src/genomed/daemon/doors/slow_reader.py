"""Sending to somebody who may not read: waited for so long, told a last word, then cut off.

A write is never cancelled half-way: aiohttp would not take another one on that connection. Cutting the connection ends
it, too. Knows transports. Knows no messages.
"""

import asyncio
from collections.abc import Awaitable, Callable

import anyio


async def sent(
    send: Callable[[], Awaitable[None]],
    transport: asyncio.Transport | None,
    *,
    stall_s: float,
    last_word: Callable[[], Awaitable[None]],
) -> bool:
    """False when the reader took nothing for stall_s; it then has as long again for the last word.

    Raises ConnectionError when the reader is gone.
    """
    done = anyio.Event()
    lost: list[ConnectionError] = []

    async def sending() -> None:
        try:
            await send()
        except ConnectionError as error:
            lost.append(error)
        done.set()

    patient = True
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sending)
        with anyio.move_on_after(stall_s) as patience:
            await done.wait()
        if patience.cancelled_caught:
            patient = False
            with anyio.move_on_after(stall_s):
                await last_word()
                await done.wait()
            if transport is not None:
                transport.close() if done.is_set() else transport.abort()
    if patient and lost:
        raise lost[0]
    return patient
