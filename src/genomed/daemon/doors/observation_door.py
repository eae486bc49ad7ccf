"""What a machine asks of a service: /metrics, for whoever may read of everybody, and /readyz, for who can connect.

Knows HTTP and roles. What there is to tell, `metrics_scrape` knows.
"""

from http import HTTPStatus
from importlib import import_module

import anyio.to_thread
import msgspec
from aiohttp import web

from genomed.daemon.doors.http_door import HttpDoor, json_response
from genomed.daemon.observation.metrics_scrape import Sources, not_ready, told
from genomed.entities.errors import GenomeError

PAGE = "genomed.daemon.observation.metrics_page"


class ObservationDoor:
    def __init__(self, door: HttpDoor, sources: Sources) -> None:
        self._door = door
        self._sources = sources

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/metrics", self.metrics), web.get("/readyz", self.ready)]

    async def metrics(self, request: web.Request) -> web.Response:
        """For the role read, of everybody: totals of the house tell who is bound to personas about the others."""
        try:
            await self._door.gate.of_the_house(self._door.credentials(request), command="metrics")
        except GenomeError as error:
            return self._door.refused(error)
        await anyio.to_thread.run_sync(import_module, PAGE)
        from genomed.daemon.observation import metrics_page  # noqa: PLC0415  (loaded just now, in a thread)

        facts = await told(self._sources)
        body = await anyio.to_thread.run_sync(metrics_page.page, facts)
        return web.Response(body=body, headers={"Content-Type": metrics_page.CONTENT_TYPE})

    async def ready(self, _: web.Request) -> web.Response:
        reasons = not_ready(self._sources)
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        return json_response(msgspec.json.encode({"ready": not reasons, "reasons": reasons}), status)
