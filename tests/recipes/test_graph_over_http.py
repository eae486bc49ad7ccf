"""A run over a graph that a server has: fetched once when it starts, with a key that the operator allowed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.daemon.daemon_rig import Json, running
from tests.daemon.recipe_rig import RecipeRig
from tests.emulators.llm_server import llm_server

from genomed.daemon.recipe_engine.table import RecipeTable

CHAIN = {
    "nodes": [{"id": f"n{n}", "content": f"Node {n}"} for n in range(6)],
    "edges": [{"source": f"n{n}", "target": f"n{n + 1}", "type": "RelatesTo"} for n in range(5)],
}


@asynccontextmanager
async def graph_server(asked: list[str | None]) -> AsyncIterator[str]:
    async def graph(request: web.Request) -> web.Response:
        asked.append(request.headers.get("X-Api-Key"))
        return web.json_response(CHAIN)

    app = web.Application()
    app.router.add_get("/graph", graph)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    async with server:
        yield str(server.make_url("/")).rstrip("/")


def wish(address: str, **more: object) -> Json:
    graph = {"address": address, "apiKey": "env:GRAPH_KEY", **more}
    return {"recipe": "path_reward", "personaId": "ada", "wanted": 5, "inputs": {"graph": graph}}


async def test_the_graph_is_fetched_once_and_the_run_is_made_of_it(tmp_path: Path) -> None:
    asked: list[str | None] = []
    allowed = {"secrets": {"allowed": ["env:GRAPH_KEY"]}}
    async with (
        graph_server(asked) as address,
        llm_server(str) as server,
        running(tmp_path, given=allowed, recipes=RecipeTable(), environment={"GRAPH_KEY": "s3cret"}) as rig,
    ):
        started = await rig.call("recipe-run", wish(address))
        run = await RecipeRig(rig, server).ended(started["runId"])
        assert (run["state"], run["rows"]) == ("completed", 5)
        assert asked == ["s3cret"]
        kept = (rig.data_dir / "recipes" / started["runId"] / "inputs.jsonl").read_text()
        assert len(kept.splitlines()) == 11
        assert "s3cret" not in kept


async def test_a_key_that_nobody_allowed_is_sent_nowhere(tmp_path: Path) -> None:
    asked: list[str | None] = []
    async with (
        graph_server(asked) as address,
        running(tmp_path, recipes=RecipeTable(), environment={"GRAPH_KEY": "s3cret"}) as rig,
    ):
        error = await rig.refused("recipe-run", wish(address))
        assert [problem.field for problem in error.details] == ["inputs.graph.apiKey"]
        assert asked == []


async def test_a_server_that_is_not_there_starts_nothing(tmp_path: Path) -> None:
    allowed = {"secrets": {"allowed": ["env:GRAPH_KEY"]}}
    environment = {"GRAPH_KEY": "s3cret"}
    async with running(tmp_path, given=allowed, recipes=RecipeTable(), environment=environment) as rig:
        error = await rig.refused("recipe-run", wish("http://127.0.0.1:9"))
        assert error.kind == "transient"
        assert not list((tmp_path / "recipes").glob("run-*"))
