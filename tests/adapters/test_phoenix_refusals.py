"""What a Phoenix server may answer instead of spans, each told as what it is, and never with the key in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from tests.adapters.loopback import app_server
from tests.adapters.phoenix_house import load_its_tooling, missing

from genomed.adapters.traces.phoenix_server import PhoenixServer
from genomed.daemon.secrets.secret_store import SecretStore
from genomed.entities.errors import GenomeError
from genomed.entities.trace import SpanPage, TraceSettings, Window

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif("arize-phoenix-client" in missing(), reason="arize-phoenix-client is not installed"),
]
KEY = "phx-secret-key-123"


@pytest.fixture(scope="module", autouse=True)
def _tooling() -> None:
    load_its_tooling()


@asynccontextmanager
async def answering(status: int, body: str, seen: list[str] | None = None) -> AsyncIterator[PhoenixServer]:
    async def answer(request: web.Request) -> web.Response:
        if seen is not None:
            seen.append(f"{request.headers.get('authorization')} {request.rel_url}")
        return web.Response(status=status, text=body, content_type="application/json")

    async with app_server(web.get("/v1/projects/{project}/spans", answer)) as url:
        settings = TraceSettings(kind="phoenix", url=url, project="my project", api_key="env:KEY")
        server = PhoenixServer(settings, SecretStore({"KEY": KEY}))
        try:
            yield server
        finally:
            await server.close()


async def page(server: PhoenixServer, *, after: str | None = None) -> SpanPage:
    return await server.page(after=after, limit=10, window=Window(since_us=1, until_us=2_000_000))


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, "no", "missing_credentials"),
        (403, "no", "forbidden"),
        (404, "no", "not_found"),
        (422, "no", "invalid_request"),
        (429, "slow down", "transient"),
        (500, KEY, "transient"),
        (200, "<html>", "malformed_response"),
        (200, '{"data": 3}', "malformed_response"),
    ],
)
async def test_every_refusal_is_told_as_what_it_is(status: int, body: str, kind: str) -> None:
    async with answering(status, body) as server:
        with pytest.raises(GenomeError) as refused:
            await page(server)
    assert refused.value.body().kind.value == kind
    assert KEY not in str(refused.value)


async def test_the_key_and_the_window_travel_with_the_question() -> None:
    seen: list[str] = []
    async with answering(200, '{"data": [], "next_cursor": null}', seen) as server:
        assert (await page(server)).spans == ()
    [asked] = seen
    assert asked.startswith(f"Bearer {KEY} /v1/projects/my%20project/spans?limit=10&sort=id&order=asc&start_time=1970")
    assert "end_time=1970-01-01T00" in asked


async def test_spans_without_ids_are_counted_and_a_strange_place_is_refused() -> None:
    async with answering(200, '{"data": [{"name": "x"}, {"context": 3}], "next_cursor": null}') as server:
        assert (await page(server)).skipped == {"no_id": 2}
        with pytest.raises(GenomeError) as refused:
            await page(server, after="{")
    assert refused.value.body().kind.value == "invalid_request"
