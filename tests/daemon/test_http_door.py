"""The HTTP door over a real Unix socket: what curl sends, and everything that no client should send."""

import gzip
import os
import socket
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from aiohttp import ClientSession
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.daemon.daemon_rig import Json, listening, running

from genomed.daemon.doors.http_door import STATUS, decoded
from genomed.entities.errors import ErrorKind, InvalidRequest

SAID: Json = {"personaId": "ada", "domain": "sums", "input": "1+1", "output": "2"}
SMALL: Json = {"limits": {"body_bytes": 4096}}


async def post(client: ClientSession, name: str, body: bytes = b"", **headers: str) -> tuple[int, Json]:
    async with client.post(f"/genome/{name}", data=body, headers=headers) as response:
        text = await response.read()
        assert text.endswith(b"\n"), "curl leaves the prompt where it belongs"
        assert response.content_type == "application/json"
        answer: Json = msgspec.json.decode(text)
        return response.status, answer


def test_every_kind_of_error_has_a_status() -> None:
    assert set(STATUS) == set(ErrorKind)


async def test_a_result_comes_with_the_head_of_the_log_and_a_replay_says_so(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        body = msgspec.json.encode(SAID)
        status, first = await post(client, "capture-interaction", body, **{"Idempotency-Key": "k"})
        assert (status, first["head"]) == (200, msgspec.to_builtins(rig.journal.head()))
        status, again = await post(client, "capture-interaction", body, **{"Idempotency-Key": "k"})
        assert (again["result"], again["replayed"]) == (first["result"], True)
        other = msgspec.json.encode(SAID | {"output": "3"})
        status, refused = await post(client, "capture-interaction", other, **{"Idempotency-Key": "k"})
        assert (status, refused["error"]["kind"]) == (409, "conflict")


async def test_an_empty_body_is_no_params(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        for body in (b"", b"  \n", b"{}", b"null"):
            assert (await post(client, "overview", body))[0] == 200


async def test_the_kernel_says_who_asks(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        await post(client, "capture-interaction", msgspec.json.encode(SAID))
        assert [one.actor for one in await rig.journal.read_all()] == [f"uid:{os.getuid()}"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{'single': 1}",
        b"\xff\xfe",
        b'{"personaId": "\xc3\x28"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"n": 1e999}',
        b"[]",
        b'"text"',
        b"NaN",
    ],
)
async def test_what_is_no_object_of_json_is_refused_and_changes_nothing(tmp_path: Path, body: bytes) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        status, refused = await post(client, "capture-interaction", body)
        assert (status, refused["error"]["kind"]) == (400, "invalid_request")
        assert refused["head"]["position"] == rig.journal.head().position == 0


async def test_a_body_beyond_the_limit_is_413_also_when_it_grows_on_the_way(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=SMALL) as rig, listening(rig) as client:
        large = msgspec.json.encode(SAID | {"input": "x" * 5000})
        status, refused = await post(client, "capture-interaction", large)
        assert (status, refused["error"]["kind"]) == (413, "invalid_request")
        assert "4096 bytes" in refused["error"]["message"]
        zipped = gzip.compress(large)
        status, refused = await post(client, "capture-interaction", zipped, **{"Content-Encoding": "gzip"})
        assert status == 413
        assert rig.journal.head().position == 0
        assert (await post(client, "capture-interaction", msgspec.json.encode(SAID)))[0] == 200


async def test_every_problem_is_in_the_details_with_its_wire_path(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        status, refused = await post(client, "capture-interaction", b'{"personaId": 5, "contxt": {}, "output": ""}')
        assert status == 400
        fields = {problem["field"] for problem in refused["error"]["details"]}
        assert fields == {"personaId", "domain", "input", "output", "contxt"}
        assert rig.journal.head().position == 0


async def test_unknown_commands_are_404_as_data(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        for name in ("job-destroy", "context", "..", "job_create", "x" * 500):
            async with client.post(f"/genome/{name}") as response:
                assert response.status == 404


@pytest.mark.parametrize(("method", "path"), [("GET", "/genome/job-list"), ("POST", "/events"), ("GET", "/nowhere")])
async def test_a_way_that_leads_nowhere_is_told_as_data_too(tmp_path: Path, method: str, path: str) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        async with client.request(method, path) as response:
            answer = msgspec.json.decode(await response.read())
        assert (response.status, answer["error"]["kind"]) == (404, "not_found")
        assert "POST /genome/COMMAND" in answer["error"]["remedy"]


async def test_a_fit_status_for_each_kind_that_a_caller_can_cause(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        dataset = await rig.dataset()
        unsupported = {"personaId": "ada", "provider": "simulated", "configuration": {
            "model": {"baseModel": "b"}, "datasets": {"trainingFileId": dataset}, "method": {"type": "lora"},
            "metadata": {"nothing": 1}}}  # fmt: skip
        assert (await post(client, "job-create", msgspec.json.encode(unsupported)))[0] == 422
        assert (await post(client, "job-status", b'{"jobId": "job-x"}'))[0] == 404
        assert (await post(client, "layer-rollback", b'{"personaId": "a", "domain": "b"}'))[0] == 409


async def test_health_tells_version_pid_and_head(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client, client.get("/healthz") as response:
        told = await response.json()
    assert (told["ok"], told["head"]["position"], told["readOnly"]) == (True, 0, None)
    assert {"version", "pid"} <= set(told)


async def test_a_client_that_hangs_up_in_the_middle_disturbs_nobody(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        connector = client.connector
        path = str(getattr(connector, "path", ""))
        half = b"POST /genome/overview HTTP/1.1\r\nHost: d\r\nContent-Length: 99\r\n\r\n{"
        for sent in (half, b"\x00\xff nonsense\r\n\r\n"):
            with socket.socket(socket.AF_UNIX) as rude:
                rude.connect(path)
                rude.sendall(sent)
        assert (await post(client, "overview"))[0] == 200


@settings(max_examples=300)
@given(body=st.binary(max_size=200))
def test_any_bytes_are_json_or_an_invalid_request(body: bytes) -> None:
    with suppress(InvalidRequest):
        decoded(body)


async def test_the_door_adds_nothing_to_what_the_executor_answers(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        await rig.captures(3)
        assert (await post(client, "overview"))[1]["result"] == await rig.call("overview")
