"""As much of Weights & Biases as `wandb sync` speaks to, on the loopback: runs, and the rows of their histories.

Knows the questions that wandb 0.31 asks when it uploads a run, and answers others with nothing.
"""

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

KEY = "0123456789abcdef0123456789abcdef01234567"
ALLOWED = f"Basic {b64encode(f'api:{KEY}'.encode()).decode()}"


class WandbServer:
    """rows: of the history of each run, by its name. upserted: what was said of runs. files: their own."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.upserted: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.url = ""

    async def graphql(self, request: web.Request) -> web.Response:
        if not self._allowed(request):
            return web.json_response({"errors": [{"message": "permission denied"}]}, status=401)
        asked = await request.json()
        wanted = asked.get("variables") or {}
        if "mutation CreateRunFiles" in asked["query"]:
            files = [{"name": name, "uploadUrl": f"{self.url}/upload/{name}"} for name in wanted.get("files") or []]
            made = {"runID": "b", "uploadHeaders": [], "files": files}
            return web.json_response({"data": {"createRunFiles": made}})
        if "mutation UpsertBucket" not in asked["query"]:
            return web.json_response({"data": {}})
        self.upserted.append(wanted)
        project = {"id": "p", "name": wanted.get("project"), "entity": {"id": "e", "name": "somebody"}}
        bucket = {
            "id": "b", "name": wanted.get("name"), "displayName": wanted.get("displayName"), "description": None,
            "config": "{}", "sweepName": None, "historyLineCount": 0, "project": project,
        }  # fmt: skip
        return web.json_response({"data": {"upsertBucket": {"bucket": bucket, "inserted": True}}})

    async def stream(self, request: web.Request) -> web.Response:
        if not self._allowed(request):
            return web.json_response({}, status=401)
        sent = (await request.json()).get("files") or {}
        rows = self.rows.setdefault(request.match_info["run"], [])
        rows.extend(json.loads(row) for row in (sent.get("wandb-history.jsonl") or {}).get("content", []))
        return web.json_response({})

    async def upload(self, request: web.Request) -> web.Response:
        self.files[request.match_info["name"]] = await request.read()
        return web.json_response({})

    async def nothing(self, request: web.Request) -> web.Response:
        await request.read()
        return web.json_response({})

    def _allowed(self, request: web.Request) -> bool:
        return request.headers.get("Authorization") == ALLOWED


@asynccontextmanager
async def wandb_server() -> AsyncIterator[WandbServer]:
    server = WandbServer()
    application = web.Application(client_max_size=1 << 26)
    application.router.add_post("/graphql", server.graphql)
    application.router.add_post("/files/{entity}/{project}/{run}/file_stream", server.stream)
    application.router.add_put("/upload/{name}", server.upload)
    application.router.add_route("*", "/{rest:.*}", server.nothing)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()
