"""Events to many subscribers over a Unix socket: `python -m benchmarks.fan_out_server SOCKET FOLDER ours|queues`.

`ours` is the daemon's own event door. `queues` is what one writes first: a queue and a task for each subscriber, which
encodes and writes every event by itself. POST /go/N appends N events, one after the other, for both alike.
"""

import asyncio
import sys
from pathlib import Path

import anyio
from aiohttp import web

from benchmarks.appends import CAUSE, EVENT, NoModels
from benchmarks.capture_context import capturing_dispatch
from genomed.daemon.assembly import new_event_id, now_us
from genomed.daemon.configuration.sections import Limits
from genomed.daemon.doors.event_door import EventDoor
from genomed.daemon.doors.event_feed import EventFeed
from genomed.daemon.doors.event_view import EventEncoder
from genomed.daemon.doors.http_door import HttpDoor
from genomed.daemon.doors.unix_socket import bound_socket
from genomed.daemon.journal.journal import Journal, open_journal
from genomed.entities.envelope import ANY_VERSION, Envelope, Write

QUEUED = 10_000
BODY_BYTES = 1024


class QueueDoor:
    """The recipe."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[Envelope]] = set()

    async def pump(self, journal: Journal) -> None:
        following = journal.subscribe(journal.head().position)
        while True:
            for envelope in await following.next():
                for queue in self._queues:
                    queue.put_nowait(envelope)

    async def events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"retry: 1000\n\n")
        queue: asyncio.Queue[Envelope] = asyncio.Queue(QUEUED)
        self._queues.add(queue)
        while True:
            envelope = await queue.get()
            told = EventEncoder().json(envelope)
            await response.write(b"id: %d\nevent: %s\ndata: %s\n\n" % (envelope.position, envelope.type.encode(), told))


async def main(path: Path, folder: Path, way: str) -> None:
    async with (
        open_journal(folder, read_models=NoModels(), now_us=now_us, new_event_id=new_event_id) as journal,
        anyio.create_task_group() as tasks,
    ):
        dispatch = capturing_dispatch(journal, folder)
        door = HttpDoor(dispatch, journal, body_bytes=BODY_BYTES)
        application = web.Application()
        if way == "ours":
            feed = EventFeed(journal, EventEncoder(), dispatch.gate.owners)
            application.add_routes(EventDoor(door, journal, feed, Limits, anyio.Event()).routes())
        else:
            recipe = QueueDoor()
            tasks.start_soon(recipe.pump, journal)
            application.add_routes([web.get("/events", recipe.events)])

        async def go(request: web.Request) -> web.Response:
            for _ in range(int(request.match_info["count"])):
                await journal.append([Write(stream="genome/ada", expected=ANY_VERSION, events=(EVENT,))], cause=CAUSE)
            return web.Response(body=b"{}")

        application.add_routes([web.post("/go/{count}", go), web.get("/healthz", door.health)])
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.SockSite(runner, bound_socket(path), backlog=1024).start()
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
