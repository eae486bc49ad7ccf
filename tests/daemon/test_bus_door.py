"""The bus: JSON-RPC and the older envelope on one WebSocket, subscriptions; any bytes in, at most one answer out."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.daemon.daemon_rig import Json, Rig, listening, running
from tests.patience import PATIENCE_S

from genomed.daemon.doors.bus_messages import RPC_CODES, command_of, read_frame
from genomed.entities.errors import ErrorKind

SAID: Json = {"personaId": "ada", "domain": "sums", "input": "1+1", "output": "2"}


@asynccontextmanager
async def bus_of(tmp_path: Path, given: Json | None = None) -> AsyncIterator[tuple[Rig, ClientWebSocketResponse]]:
    async with running(tmp_path / "d", given=given) as rig, listening(rig) as client, client.ws_connect("/bus") as bus:
        yield rig, bus


async def heard(bus: ClientWebSocketResponse) -> Json:
    message: Json = msgspec.json.decode(await bus.receive_str(timeout=PATIENCE_S))
    return message


async def asked(bus: ClientWebSocketResponse, method: str, params: object = None, **more: object) -> Json:
    await bus.send_json({"jsonrpc": "2.0", "id": 1, "method": method, "params": params} | more)
    return await heard(bus)


async def answered_http(client: ClientSession, name: str, params: object) -> Json:
    async with client.post(f"/genome/{name}", data=msgspec.json.encode(params)) as response:
        answer: Json = await response.json()
        return answer


def envelope(endpoint: str, payload: object, correlation: str = "corr_1") -> Json:
    return {
        "messageType": "request",
        "context": {"uuid": "u-1", "environment": "server"},
        "origin": "server/agents/ada",
        "endpoint": endpoint,
        "correlationId": correlation,
        "payload": payload,
    }


def test_every_kind_of_error_has_a_code_clear_of_the_specifications_own() -> None:
    assert set(RPC_CODES) == set(ErrorKind)
    own = [code for kind, code in RPC_CODES.items() if kind not in (ErrorKind.INVALID_REQUEST, ErrorKind.INTERNAL)]
    assert len(set(own)) == len(own)
    assert all(-32099 <= code <= -32000 for code in own)


async def test_a_command_answers_the_same_through_every_door(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client, client.ws_connect("/bus") as bus:
        await rig.captures(3)
        job_id = await rig.create_job()
        await rig.ended(job_id)
        questions: list[tuple[str, Json]] = [
            ("overview", {}),
            ("job-status", {"jobId": job_id}),
            ("job-list", {"limit": 1}),
            ("bucket-status", {}),
            ("job-status", {"jobId": "job-nowhere"}),
            ("job-list", {"limit": 0, "surprise": 1}),
            ("nothing", {}),
        ]
        for name, params in questions:
            http = await answered_http(client, name, params)
            rpc = await asked(bus, f"genome/{name}", params)
            await bus.send_json(envelope(f"server/commands/genome/{name}", params | {"sessionId": "s"}, f"c-{name}"))
            old = (await heard(bus))["payload"]
            if "result" in http:
                assert rpc["result"] == http
                assert {key: old[key] for key in http["result"]} == http["result"]
                assert old["success"] is True
            else:
                assert rpc["error"]["data"] == http["error"]
                assert (old["success"], old["details"]) == (False, http["error"])


async def test_codes_tell_what_went_wrong(tmp_path: Path) -> None:
    async with bus_of(tmp_path) as (_, bus):
        assert (await asked(bus, "genome/nothing"))["error"]["code"] == -32601
        assert (await asked(bus, "overview"))["error"]["code"] == -32601
        assert (await asked(bus, "genome/job-list", {"limit": 0}))["error"]["code"] == -32602
        assert (await asked(bus, "genome/job-list", [1]))["error"]["code"] == -32602
        assert (await asked(bus, "genome/job-status", {"jobId": "x"}))["error"]["code"] == -32040
        assert (await asked(bus, "genome/overview", jsonrpc="1.0"))["error"]["code"] == -32600
        await bus.send_str("{")
        assert (await heard(bus))["error"]["code"] == -32700


async def test_a_key_makes_two_equal_requests_one_and_two_correlations_make_two(tmp_path: Path) -> None:
    async with bus_of(tmp_path) as (rig, bus):
        first = await asked(bus, "genome/capture-interaction", SAID, idempotencyKey="k")
        again = await asked(bus, "genome/capture-interaction", SAID, idempotencyKey="k")
        assert (again["result"]["result"], again["result"]["replayed"]) == (first["result"]["result"], True)
        for correlation in ("corr_1", "corr_2", "corr_2"):
            await bus.send_json(envelope("genome/capture-interaction", SAID, correlation))
            await heard(bus)
        assert (await rig.bucket())["counts"]["usable"] == 3


async def test_a_batch_is_answered_as_one_array_without_its_notifications(tmp_path: Path) -> None:
    async with bus_of(tmp_path) as (rig, bus):
        call = {"jsonrpc": "2.0", "method": "genome/capture-interaction", "params": SAID}
        await bus.send_json([call | {"id": "a"}, call, 5, call | {"id": 2, "method": "genome/none"}])
        answers = msgspec.json.decode(await bus.receive_str(timeout=PATIENCE_S))
        assert [one["id"] for one in answers] == ["a", None, 2]
        assert ["result" in one for one in answers] == [True, False, False]
        assert (await rig.bucket())["counts"]["usable"] == 2
        for batch in ([], [call] * 101):
            await bus.send_json(batch)
            assert (await heard(bus))["error"]["code"] == -32600
        await bus.send_json([call, call])  # notifications only: no answer at all
        assert (await asked(bus, "genome/overview", id="next"))["id"] == "next"


async def test_a_subscription_is_gap_free_from_its_position_and_ends_when_told(tmp_path: Path) -> None:
    async with bus_of(tmp_path) as (rig, bus):
        await rig.captures(5)
        name = (await asked(bus, "genome/subscribe", {"after": 2}))["result"]["result"]["subscription"]
        told = [await heard(bus) for _ in range(3)]
        await rig.captures(3, start=10)
        told += [await heard(bus) for _ in range(3)]
        assert {(one["method"], one["params"]["subscription"]) for one in told} == {("genome/event", name)}
        assert [one["params"]["envelope"]["position"] for one in told] == [3, 4, 5, 6, 7, 8]
        assert (await asked(bus, "genome/unsubscribe", {"subscription": name}))["result"]["result"] == {
            "subscription": name
        }
        await rig.capture(99)
        assert (await asked(bus, "genome/overview", id="after"))["id"] == "after"
        gone = await asked(bus, "genome/unsubscribe", {"subscription": name})
        assert gone["error"]["data"]["kind"] == "not_found"


async def test_two_subscriptions_of_one_connection_choose_for_themselves(tmp_path: Path) -> None:
    async with bus_of(tmp_path) as (rig, bus):
        bucket_id = await rig.rule()
        one = await asked(bus, "genome/subscribe", {"patterns": ["interaction.*"]})
        two = await asked(bus, "genome/subscribe", {"after": 0, "stream": f"bucket/{bucket_id}"})
        assert (await heard(bus))["params"]["envelope"]["type"] == "bucket.trigger_set"
        await rig.capture(1)
        event = (await heard(bus))["params"]
        assert event["subscription"] == one["result"]["result"]["subscription"]
        assert event["envelope"]["type"] == "interaction.captured"
        assert two["result"]["result"]["after"] == 0


@pytest.mark.parametrize("params", [{"after": 99}, {"after": -1}, {"after": 10**25}, {"since": 1}, {"patterns": "x"}])
async def test_a_subscription_beyond_the_log_or_with_unknown_wishes_is_refused(tmp_path: Path, params: Json) -> None:
    async with bus_of(tmp_path) as (rig, bus):
        await rig.captures(4)
        refused = await asked(bus, "genome/subscribe", params)
        assert refused["error"]["data"]["kind"] == "invalid_request"


async def test_a_connection_has_a_bounded_number_of_subscriptions(tmp_path: Path) -> None:
    async with bus_of(tmp_path) as (_, bus):
        for _ in range(64):
            assert "result" in await asked(bus, "genome/subscribe")
        assert (await asked(bus, "genome/subscribe"))["error"]["data"]["kind"] == "conflict"


async def test_a_slow_command_does_not_hold_up_the_next(tmp_path: Path) -> None:
    slow = {"courier": {"poll_s": {"simulated": 3600}}}
    async with bus_of(tmp_path, slow) as (rig, bus):
        job = {"personaId": "ada", "traitType": "sums", "provider": "simulated", "datasetId": await rig.dataset()}
        waiting = {"jsonrpc": "2.0", "id": "slow", "method": "genome/train", "params": job | {"waitS": 3600}}
        await bus.send_json(waiting)
        assert (await asked(bus, "genome/overview", id="quick"))["id"] == "quick"


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        ("genome/job-create", "genome/job-create"),
        ("server/commands/genome/job-create", "genome/job-create"),
        ("$server/commands/genome/job-create", "genome/job-create"),
        ("browser/genome/job-create", "genome/job-create"),
        ("/remote$/commands/genome/job-create/", "genome/job-create"),
        ("commands/genome/job-create", "genome/job-create"),
        ("", ""),
    ],
)
def test_a_commands_name_is_the_same_with_and_without_its_environment(endpoint: str, name: str) -> None:
    assert command_of(endpoint) == name


async def test_the_answer_to_an_envelope_carries_the_request_and_turns_it_round(tmp_path: Path) -> None:
    async with bus_of(tmp_path) as (_, bus):
        payload = {"context": {"uuid": "u-1"}, "sessionId": "s-1"}
        request = envelope("server/commands/genome/overview", payload)
        await bus.send_json(request)
        answer = await heard(bus)
        assert (answer["messageType"], answer["correlationId"], answer["request"]) == ("response", "corr_1", request)
        assert (answer["origin"], answer["endpoint"]) == (request["endpoint"], request["origin"])
        assert (answer["payload"]["sessionId"], answer["payload"]["success"]) == ("s-1", True)
        packed = base64.b64encode(msgspec.json.encode({})).decode()
        await bus.send_json(envelope("genome/overview", packed, "corr_2"))
        assert (await heard(bus))["payload"]["success"] is True


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
DEEP = b"[" * 500 + b"]" * 500
ENVELOPES = st.fixed_dictionaries(
    {"messageType": st.sampled_from(["request", "response", "event", 5])},
    optional={
        "endpoint": st.sampled_from(["genome/overview", "server/commands/genome/help", "genome/subscribe"]) | VALUES,
        "correlationId": st.text() | VALUES,
        "payload": VALUES | st.just(base64.b64encode(b"[" * 5000).decode()) | st.binary().map(str),
        "context": VALUES,
        "origin": VALUES,
    },
)
REQUESTS = st.fixed_dictionaries(
    {"jsonrpc": st.sampled_from(["2.0", "2.0", "1.0"]) | VALUES},
    optional={
        "id": SCALARS | VALUES,
        "method": st.sampled_from(["genome/overview", "genome/subscribe", "genome/unsubscribe", "x"]) | VALUES,
        "params": VALUES,
        "idempotencyKey": SCALARS,
    },
)
FRAMES = st.one_of(
    st.binary(max_size=100),
    st.text(max_size=100).map(str.encode),
    st.one_of(VALUES, REQUESTS, ENVELOPES, st.lists(REQUESTS | ENVELOPES, max_size=3)).map(
        lambda value: json.dumps(value).encode()
    ),
    st.just(DEEP),
    st.just(b'{"jsonrpc":"2.0","id":1,"method":"genome/overview","params":' + DEEP + b"}"),
    st.just(b'{"messageType":"request","endpoint":"genome/overview","correlationId":"c","context":' + DEEP + b"}"),
    st.just(b'{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"genome/overview"}'),
)


@settings(max_examples=300)
@given(frame=st.binary(max_size=200) | FRAMES)
def test_any_bytes_can_be_read_as_calls_and_flaws(frame: bytes) -> None:
    assert read_frame(frame, most=100).items


async def test_any_frames_get_at_most_one_answer_each_and_the_connection_lives(tmp_path: Path) -> None:
    frames: list[bytes] = []

    @settings(max_examples=250, database=None)
    @given(frame=FRAMES)
    def draw(frame: bytes) -> None:
        frames.append(frame)

    draw()
    answers: list[object] = []
    async with bus_of(tmp_path) as (_, bus):
        for n, frame in enumerate(frames):
            await bus.send_bytes(frame)
            await bus.send_json({"jsonrpc": "2.0", "id": f"mark-{n}", "method": "genome/nothing"})
            while True:
                message = await bus.receive(timeout=PATIENCE_S)
                assert message.type in (WSMsgType.TEXT, WSMsgType.BINARY), (frame, message)
                answer = msgspec.json.decode(message.data)
                if isinstance(answer, dict) and answer.get("id") == f"mark-{n}":
                    break
                if not (isinstance(answer, dict) and answer.get("method") == "genome/event"):
                    answers.append(answer)
    assert len(answers) <= len(frames)


async def test_a_frame_beyond_the_limit_closes_only_its_own_connection(tmp_path: Path) -> None:
    small = {"limits": {"body_bytes": 4096}}
    async with running(tmp_path / "d", given=small) as rig, listening(rig) as client:
        async with client.ws_connect("/bus") as bus:
            await bus.send_str("x" * 5000)
            assert (await bus.receive(timeout=PATIENCE_S)).type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR)
        async with client.ws_connect("/bus") as bus:
            assert "result" in await asked(bus, "genome/overview")


async def test_clients_that_vanish_leave_nothing_running(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        for _ in range(20):
            bus = await client.ws_connect("/bus")
            await asked(bus, "genome/subscribe", {"after": 0})
            assert bus._response.connection is not None
            bus._response.close()  # the connection is cut, without a closing frame
        await rig.captures(3)
        with anyio.fail_after(PATIENCE_S):
            async with client.ws_connect("/bus") as bus:
                assert "result" in await asked(bus, "genome/overview")
