"""What was certainly not sent is told apart from what may have arrived, over real sockets that break off."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from aiohttp import web
from anyio.abc import SocketStream
from tests.adapters.local_bench import names_in
from tests.adapters.loopback import app_server, raw_server, read_request
from tests.patience import PATIENCE_S

from genomed.adapters import _http
from genomed.adapters._http import Http, Lost, Unsent, file_form
from genomed.entities.errors import Capacity, MalformedResponse, MissingCredentials, NotFound, Transient

KEY = "sk-very-secret-key-0123456789"
BYTES = bytes(range(256)) * 40


async def headers() -> dict[str, str]:
    return {"Authorization": f"Bearer {KEY}"}


@asynccontextmanager
async def client(base_url: str, timeout_s: float = PATIENCE_S) -> AsyncIterator[Http]:
    http = Http(base_url, headers=headers, provider="acme", timeout_s=timeout_s, redact=lambda text: text)
    try:
        yield http
    finally:
        await http.aclose()


async def closed_port() -> int:
    async with raw_server(read_to_nowhere) as url:
        return int(url.rsplit(":", 1)[1])


async def read_to_nowhere(stream: SocketStream) -> None:
    await read_request(stream)


async def test_a_refused_connection_is_certainly_not_sent() -> None:
    async with client(f"http://127.0.0.1:{await closed_port()}/v1") as http:
        with pytest.raises(Unsent, match="not sent"):
            await http.send("POST", "/jobs", body={"a": 1})


async def test_an_address_that_is_none_is_certainly_not_sent() -> None:
    async with client("ftp://127.0.0.1/v1") as http:
        with pytest.raises(Unsent):
            await http.send("POST", "/jobs", body={"a": 1})


async def test_a_handshake_that_fails_is_certainly_not_sent() -> None:
    async def no_tls(stream: SocketStream) -> None:
        await stream.receive()
        await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with raw_server(no_tls) as url, client(url.replace("http://", "https://")) as http:
        with pytest.raises(Unsent):
            await http.send("POST", "/jobs", body={"a": 1})


async def test_without_a_key_nothing_is_sent() -> None:
    async def none_there() -> dict[str, str]:
        raise MissingCredentials("env:ACME_API_KEY is not set")

    served: list[bytes] = []

    async def serve(stream: SocketStream) -> None:
        served.append(await stream.receive())

    async with raw_server(serve) as url:
        http = Http(url, headers=none_there, provider="acme")
        with pytest.raises(MissingCredentials):
            await http.send("POST", "/jobs", body={"a": 1})
        await http.aclose()
    assert served == []


async def test_a_connection_closed_before_the_request_was_read_is_a_doubt() -> None:
    async def hang_up(stream: SocketStream) -> None:
        pass

    async with raw_server(hang_up) as url, client(url) as http:
        with pytest.raises(Lost, match="no whole answer"):
            await http.send("POST", "/jobs", body={"a": 1})


async def test_a_connection_closed_after_the_request_was_read_is_a_doubt_and_is_not_sent_again() -> None:
    seen: list[bytes] = []

    async def swallow(stream: SocketStream) -> None:
        seen.append(await read_request(stream))

    async with raw_server(swallow) as url, client(url) as http:
        for method in ("POST", "GET", "PUT"):
            with pytest.raises(Lost):
                await http.send(method, "/jobs", body={"a": 1})
    assert len(seen) == 3


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"HTTP/1.1 200 OK\r\nConte",
        b"this is no HTTP at all\r\n\r\n",
    ],
)
async def test_an_answer_that_breaks_off_is_a_doubt(answer: bytes) -> None:
    async def break_off(stream: SocketStream) -> None:
        await read_request(stream)
        await stream.send(answer)

    async with raw_server(break_off) as url, client(url) as http:
        with pytest.raises(Lost):
            await http.send("POST", "/jobs", body={"a": 1})


async def test_silence_is_a_doubt() -> None:
    async def silent(stream: SocketStream) -> None:
        await read_request(stream)
        await anyio.sleep_forever()

    async with raw_server(silent) as url, client(url, timeout_s=0.05) as http:
        with pytest.raises(Lost, match="too long"):
            await http.send("POST", "/jobs", body={"a": 1})


async def test_an_answer_longer_than_can_be_meant_is_not_taken_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http, "LONGEST_REPLY_BYTES", 1000)

    async def endless(stream: SocketStream) -> None:
        await read_request(stream)
        await stream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with anyio.CancelScope():
            while True:
                try:
                    await stream.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    return

    async with raw_server(endless) as url, client(url) as http:
        with pytest.raises(Lost, match="longer than 1000 bytes"):
            await http.send("POST", "/jobs", body={"a": 1})


async def test_every_answer_is_given_back_with_its_headers_and_the_body_as_json_went_out() -> None:
    async def echo(request: web.Request) -> web.Response:
        told = {"body": await request.json(), "query": dict(request.query), "key": request.headers["Authorization"]}
        return web.json_response(told, status=418, headers={"Retry-After": "7"})

    async with app_server(web.post("/v1/jobs/a:start", echo)) as url, client(f"{url}/v1/") as http:
        reply = await http.send("POST", "/jobs/a:start", query={"after": "x y", "limit": 2}, body={"a": [1, None]})
    assert (reply.status, reply.ok, reply.headers["retry-after"]) == (418, False, "7")
    assert json.loads(reply.body) == {
        "body": {"a": [1, None]},
        "query": {"after": "x y", "limit": "2"},
        "key": f"Bearer {KEY}",
    }
    assert reply.read(dict[str, object])["query"] == {"after": "x y", "limit": "2"}
    with pytest.raises(MalformedResponse, match="acme answered 418"):
        reply.read(list[int])


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    elsewhere: list[str] = []

    async def lead_away(request: web.Request) -> web.Response:
        raise web.HTTPFound("/other")

    async def other(request: web.Request) -> web.Response:
        elsewhere.append(request.method)
        return web.Response()

    async with app_server(web.post("/jobs", lead_away), web.get("/other", other)) as url, client(url) as http:
        assert (await http.send("POST", "/jobs", body={})).status == 302
    assert elsewhere == []


async def test_a_changed_key_is_used_by_the_next_request() -> None:
    seen: list[str] = []
    keys = iter(["first", "second"])

    async def rotating() -> dict[str, str]:
        return {"Authorization": next(keys)}

    async def serve(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.Response()

    async with app_server(web.get("/x", serve)) as url:
        http = Http(url, headers=rotating, provider="acme")
        await http.send("GET", "/x")
        await http.send("GET", "/x")
        await http.aclose()
    assert seen == ["first", "second"]


async def test_asking_turns_trouble_and_refusals_into_errors_that_are_told_apart() -> None:
    async def missing(request: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "no such job"}}, status=404)

    async def busy(request: web.Request) -> web.Response:
        return web.Response(status=503, headers={"Retry-After": "9"})

    async with app_server(web.get("/missing", missing), web.get("/busy", busy)) as url, client(url) as http:
        with pytest.raises(NotFound, match="no such job"):
            await http.ask("GET", "/missing")
        with pytest.raises(Transient) as told:
            await http.ask("GET", "/busy")
        assert told.value.retry_after_s == 9
    async with client(f"http://127.0.0.1:{await closed_port()}") as http:
        with pytest.raises(Transient):
            await http.ask("GET", "/x")


async def test_a_file_goes_up_whole_as_a_form_and_is_closed(tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_bytes(BYTES)
    seen: dict[str, object] = {}

    async def take(request: web.Request) -> web.Response:
        form = await request.post()
        held = form["file"]
        assert isinstance(held, web.FileField)
        seen.update(purpose=form["purpose"], name=held.filename, body=held.file.read())
        held.file.close()
        return web.json_response({"id": "file-1"})

    async with app_server(web.post("/files", take)) as url, client(url) as http:
        made = file_form({"purpose": "fine-tune"}, name="gn-1.jsonl", path=str(source))
        assert (await http.send("POST", "/files", form=made)).ok
    assert seen == {"purpose": "fine-tune", "name": "gn-1.jsonl", "body": BYTES}


async def test_a_form_whose_sending_breaks_is_a_doubt_and_its_file_is_closed(tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_bytes(b"x" * (8 << 20))

    async def hang_up(stream: SocketStream) -> None:
        await stream.receive(100)

    async with raw_server(hang_up) as url, client(url) as http:
        with pytest.raises(Lost):
            await http.send("POST", "/files", form=file_form({}, name="a", path=str(source)))


async def test_a_signed_address_gets_the_file_as_it_is_spelt_and_never_our_key(tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_bytes(BYTES)
    seen: list[object] = []

    async def take(request: web.Request) -> web.Response:
        seen.extend([request.path_qs, "Authorization" in request.headers, request.headers["x-goog-a"]])
        seen.append((await request.read()) == BYTES and request.content_length == len(BYTES))
        return web.Response()

    async with app_server(web.put("/up", take)) as bucket, client("http://127.0.0.1:1/v1") as http:
        assert (await http.put_file(f"{bucket}/up?sig=a%2Fb%3D", source, headers={"x-goog-a": "1"})).ok
    assert seen == ["/up?sig=a%2Fb%3D", False, "1", True]


async def test_a_download_follows_a_redirect_and_leaves_the_key_at_home(tmp_path: Path) -> None:
    keys: dict[str, bool] = {}

    async def give(request: web.Request) -> web.Response:
        keys["bucket"] = "Authorization" in request.headers
        return web.Response(body=BYTES)

    async with app_server(web.get("/file", give)) as bucket:

        async def lead(request: web.Request) -> web.Response:
            keys["service"] = "Authorization" in request.headers
            raise web.HTTPFound(f"{bucket}/file?sig=1")

        async with app_server(web.get("/v1/download", lead)) as url, client(f"{url}/v1") as http:
            await http.download("/download", tmp_path / "layer.tar", max_bytes=1 << 20)
    assert keys == {"service": True, "bucket": False}
    assert await anyio.Path(tmp_path / "layer.tar").read_bytes() == BYTES


@pytest.mark.parametrize("size", [len(BYTES) - 1, 0])
async def test_a_download_longer_than_allowed_leaves_nothing(tmp_path: Path, size: int) -> None:
    async def give(request: web.Request) -> web.Response:
        return web.Response(body=BYTES)

    async with app_server(web.get("/file", give)) as url, client(url) as http:
        with pytest.raises(Capacity, match="longer than"):
            await http.download("/file", tmp_path / "layer.tar", max_bytes=size)
    assert names_in(tmp_path) == []


async def test_a_download_that_breaks_off_leaves_nothing_and_may_be_tried_again(tmp_path: Path) -> None:
    async def break_off(stream: SocketStream) -> None:
        await read_request(stream)
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")

    async with raw_server(break_off) as url, client(url) as http:
        with pytest.raises(Transient):
            await http.download("/file", tmp_path / "layer.tar", max_bytes=1000)
    assert names_in(tmp_path) == []


async def test_a_download_that_is_not_there_or_runs_in_circles_says_so(tmp_path: Path) -> None:
    async def circle(request: web.Request) -> web.Response:
        raise web.HTTPFound("/circle")

    async with app_server(web.get("/circle", circle)) as url, client(url) as http:
        with pytest.raises(NotFound):
            await http.download("/nowhere", tmp_path / "a", max_bytes=10)
        with pytest.raises(MalformedResponse, match="redirects"):
            await http.download("/circle", tmp_path / "a", max_bytes=10)


async def test_no_error_tells_the_key_or_a_signature(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    async with client(f"http://127.0.0.1:{await closed_port()}") as http:
        for address in ("/file?X-Signature=s1gnature", f"http://u:s1gnature@127.0.0.1:{await closed_port()}/a"):
            with pytest.raises(Transient) as failed:
                await http.download(address, tmp_path / "a", max_bytes=10)
            told += [str(failed.value), repr(failed.value), repr(failed.value.__cause__)]
    async with app_server() as url, client(url) as http:
        with pytest.raises(NotFound) as missing:
            await http.download(f"{url}/x?X-Signature=s1gnature", tmp_path / "a", max_bytes=10)
        told += [str(missing.value), repr(http)]
    told += [record.getMessage() for record in caplog.records if record.name != "aiohttp.access"]  # the server's own
    assert [text for text in told if "s1gnature" in text or KEY in text] == []


async def test_an_address_with_a_line_break_is_not_followed(tmp_path: Path) -> None:
    async with client("http://127.0.0.1:1") as http:
        with pytest.raises(MalformedResponse):
            await http.download("http://127.0.0.1:1/a\r\nHost: x", tmp_path / "a", max_bytes=10)


async def test_nothing_here_holds_up_the_daemon(tmp_path: Path, no_blocking: None) -> None:
    source = tmp_path / "rows.jsonl"
    await anyio.Path(source).write_bytes(BYTES)

    async def give(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=BYTES)

    async with app_server(web.route("*", "/x", give)) as url, client(url) as http:
        await http.send("POST", "/x", body={"a": 1})
        await http.send("POST", "/x", form=file_form({}, name="a", path=str(source)))
        await http.put_file(f"{url}/x", source)
        await http.download("/x", tmp_path / "got", max_bytes=1 << 20)


async def test_closing_twice_or_before_the_first_request_is_harmless() -> None:
    http = Http("http://127.0.0.1:1", headers=headers, provider="acme")
    await http.aclose()
    await http.aclose()
