"""The log as an endless iterator: reconnects by itself, and goes on behind the last event it gave, without a gap.

Knows positions. Keeps none: whoever wants to go on after a restart of its own stores the last position it handled.
"""

from collections.abc import AsyncGenerator, Sequence

import anyio
import msgspec

from genomed.client.connection import LOST, Connection, Unreachable, pause_s
from genomed.entities.errors import Transient
from genomed.entities.wire import Frames, ToldEvent


async def events(
    connection: Connection,
    *,
    after: int | None,
    patterns: Sequence[str] = (),
    stream: str | None = None,
    follow: bool = True,
) -> AsyncGenerator[ToldEvent]:
    """Events behind position `after` (None: from now on), in order, each once. follow False: ends at the head.

    Raises Unreachable when the daemon stays away for longer than the connection's patience.
    """
    position = (await connection.health()).head.position if after is None else after
    query: dict[str, str | list[str]] = {"follow": "true" if follow else "false", "pattern": list(patterns)}
    if stream is not None:
        query["stream"] = stream
    decoder = msgspec.json.Decoder(ToldEvent)
    tries, lost_at = 0, 0.0
    while True:
        try:
            async with connection.portions(query, position) as portions:
                frames = Frames()
                async for portion in portions:
                    tries = 0
                    for frame in frames.feed(portion):
                        told = decoder.decode(frame.data)
                        position = told.position
                        yield told
            if not follow:
                return
            reason = "the daemon closed the stream"
        except (*LOST, Transient) as error:
            reason = str(error) or type(error).__name__
        lost_at = anyio.current_time() if tries == 0 else lost_at
        if anyio.current_time() - lost_at > connection.patience_s:
            raise Unreachable(connection.socket, reason)
        await anyio.sleep(pause_s(tries))
        tries += 1
