"""A graph over HTTP: a real server on loopback, its nodes and edges as lines, its refusals as typed failures."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from genomed.adapters.models.graph_server import graph_lines
from genomed.entities.errors import MalformedResponse, MissingCredentials, Transient
from genomed.recipes._graph import read_graph

GRAPH = {
    "nodes": [{"id": "a", "content": "Ana"}, {"id": "b", "content": "Bo"}],
    "edges": [{"source": "a", "target": "b", "type": "Companion"}],
}


async def served(answer: web.Response, seen: list[web.Request]) -> TestServer:
    async def graph(request: web.Request) -> web.Response:
        seen.append(request)
        return answer

    app = web.Application()
    app.router.add_get("/api/graph", graph)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    return server


async def key() -> str | None:
    return "s3cret"


async def test_a_graph_arrives_as_lines_that_recipes_read() -> None:
    seen: list[web.Request] = []
    server = await served(web.json_response(GRAPH), seen)
    async with server:
        lines = await graph_lines(str(server.make_url("/api")), namespace="home", api_key=key, limit=7)
    graph = read_graph(lines)
    assert set(graph.nodes) == {"a", "b"}
    assert [edge.target for edge in graph.outgoing["a"]] == ["b"]
    assert seen[0].query["limit"] == "7"
    assert (seen[0].headers["X-Ucotron-Namespace"], seen[0].headers["X-Api-Key"]) == ("home", "s3cret")


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (web.Response(status=401), MissingCredentials),
        (web.Response(status=503), Transient),
        (web.json_response({"edges": []}), MalformedResponse),
        (web.Response(text="<html>"), MalformedResponse),
    ],
)
async def test_what_is_no_graph_is_a_typed_failure(answer: web.Response, failure: type[Exception]) -> None:
    server = await served(answer, [])
    async with server:
        with pytest.raises(failure) as told:
            await graph_lines(str(server.make_url("/api")), api_key=key)
    assert "s3cret" not in str(told.value)


async def test_a_server_that_is_not_there_is_worth_another_try() -> None:
    server = await served(web.json_response(GRAPH), [])
    address = str(server.make_url("/api"))
    await server.close()
    with pytest.raises(Transient):
        await graph_lines(address)
