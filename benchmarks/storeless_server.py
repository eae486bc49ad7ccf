"""The daemon's own HTTP door, dispatch and commands, with a journal that keeps nothing: what all but storing costs.

`python -m benchmarks.storeless_server SOCKET`. Knows only commands that decide without looking anything up.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import anyio
from aiohttp import web

from benchmarks.capture_context import capturing_dispatch
from genomed.daemon.doors.http_door import HttpDoor
from genomed.daemon.doors.unix_socket import bound_socket
from genomed.daemon.journal.journal import Journal
from genomed.entities.envelope import Appended, Blob, Cause, Head, Receipt, Write

BODY_BYTES = 8 * 1024 * 1024


class Nowhere:
    """As much of a journal as dispatch asks for when a command looks nothing up."""

    def __init__(self) -> None:
        self._head = Head(position=0, hash="0" * 64)

    async def append(
        self,
        writes: Sequence[Write],
        *,
        cause: Cause,  # noqa: ARG002 - the port's shape
        receipt: Receipt | None = None,  # noqa: ARG002
        blobs: Sequence[Blob] = (),  # noqa: ARG002
    ) -> Appended:
        events = sum(len(write.events) for write in writes)
        self._head = Head(position=self._head.position + events, hash=self._head.hash)
        return Appended(first_position=self._head.position, last_position=self._head.position, head=self._head)

    def head(self) -> Head:
        return self._head

    def read_only(self) -> str | None:
        return None


async def main(path: Path) -> None:
    journal = cast(Journal, Nowhere())
    door = HttpDoor(capturing_dispatch(journal, path.parent), journal, body_bytes=BODY_BYTES)
    application = web.Application(client_max_size=BODY_BYTES)
    application.add_routes(door.routes())
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.SockSite(runner, bound_socket(path), backlog=1024).start()
    await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]))
