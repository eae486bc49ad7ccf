"""How far a trace source was read, over as many streams as that took: a stream has an end. Used by trace commands."""

from msgspec import Struct

from genomed.commands.context import Context
from genomed.entities.trace_progress import TraceProgress

STREAM_FILLED = 9_000
"""Imports that one stream tells; the log takes a thousand more."""


class Places(Struct, frozen=True, kw_only=True):
    """stream, version: where the next import is told. progress: of all streams together; null: never read."""

    stream: str
    version: int
    progress: TraceProgress | None


async def places_of(name: str, context: Context) -> Places:
    """name: of the source, or of a file."""
    stream, number = f"trace_source/{name}", 1
    progress: TraceProgress | None = None
    while True:
        loaded = await context.log.load(stream)
        if isinstance(loaded.state, TraceProgress):
            progress = loaded.state if progress is None else progress.followed_by(loaded.state)
        if loaded.version < STREAM_FILLED:
            return Places(stream=stream, version=loaded.version, progress=progress)
        number += 1
        stream = f"trace_source/{name}~{number}"
