"""Clients that stall, crowd or vanish: each costs a bounded piece of memory, and nobody else notices."""

import asyncio
from base64 import b64encode
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from aiohttp import ClientWebSocketResponse, WSCloseCode, WSMessage, WSMsgType
from aiohttp.web import WebSocketResponse
from tests.daemon.daemon_process import DaemonProcess, Json, daemon_process
from tests.daemon.daemon_rig import Rig, client_of, running
from tests.fault_record import record_fault
from tests.faults.crowd import House, Patience, all_it_says, ask, caller, received, without_chunks
from tests.patience import PATIENCE_S

from genomed.daemon.doors.event_feed import PORTION_BYTES
from genomed.entities.envelope import ANY_VERSION, Cause, Write
from genomed.entities.experience_events import TriggerHeldBack
from genomed.entities.facts import BucketKey
from genomed.entities.wire import OVERFLOW, Frames

pytestmark = [pytest.mark.fault]

STALL = {"limits": {"stall_s": 0.3, "subscriber_buffer_bytes": 4096, "idle_heartbeat_s": 5.0}}
OVERFLOWS_A_BUFFER = 60
LONG = "x" * 15_000


def frame_ids(said: bytes) -> list[int]:
    return [int(frame.id or 0) for frame in Frames().feed(said)]


async def flood(rig: Rig, events: int = OVERFLOWS_A_BUFFER) -> None:
    """Long events, so that few of them fill what the kernel keeps for a connection, and then ours."""
    held = TriggerHeldBack(
        bucket=BucketKey(persona_id="ada", domain="sums", base_model="tiny"), message=LONG, through_position=0
    )
    for _ in range(events):
        await rig.journal.append(
            [Write(stream="bucket/long", expected=ANY_VERSION, events=(held,))], cause=Cause(actor="trigger")
        )


async def gone(house: House, *, left: int) -> None:
    with anyio.fail_after(PATIENCE_S):
        while house.reception.open > left:  # noqa: ASYNC110 - a connection's end has no event to await
            await anyio.sleep(0.02)


async def stuck(house: House) -> None:
    """Until the kernel takes no more for somebody who does not read."""
    with anyio.fail_after(PATIENCE_S):
        while not house.buffered_bytes():  # noqa: ASYNC110 - a full buffer has no event to await
            await anyio.sleep(0.02)


async def resumed(path: Path, after: int) -> list[int]:
    async with client_of(path) as client, client.get(f"/events?follow=false&after={after}") as answer:
        return frame_ids(await answer.read())


async def test_a_subscriber_that_stalls_is_sent_away_with_a_hint_and_misses_nothing_when_it_comes_back(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "d", given=STALL) as rig, received(rig) as house:
        with caller(house.path, ask("/events?after=0")) as stalled:
            await flood(rig)
            await gone(house, left=0)
            heard = without_chunks((await all_it_says(stalled)).partition(b"\r\n\r\n")[2])
        head = rig.journal.head().position
        ids = frame_ids(heard)
        assert ids == list(range(1, len(ids) + 1))
        assert len(ids) < head
        if OVERFLOW in heard:  # it read in time to be told; otherwise the last id is the hint
            farewell = heard[heard.index(b"event: " + OVERFLOW) :]
            assert msgspec.json.decode(farewell.split(b"data: ")[1])["after"] == ids[-1]
        assert await resumed(house.path, ids[-1]) == list(range(ids[-1] + 1, head + 1))
        record_fault("socket", "an event subscriber stalls", "cut, resumes behind its last event", times=1)


async def test_who_reads_again_in_time_finds_the_farewell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patience = Patience(monkeypatch)
    async with running(tmp_path / "d", given=STALL) as rig, received(rig) as house:
        with caller(house.path, ask("/events?after=0")) as late:
            await flood(rig)
            await stuck(house)
            await patience.runs_out(readers=1)  # the first; the second lasts
            heard = without_chunks((await all_it_says(late)).partition(b"\r\n\r\n")[2])
        assert b"event: " + OVERFLOW in heard
        hint = msgspec.json.decode(heard.rpartition(b"data: ")[2])
        assert hint == {"reason": "too slow", "after": frame_ids(heard)[-1]}


async def test_many_stalled_subscribers_cost_bounded_memory_and_the_others_hear_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_crowd(tmp_path, Patience(monkeypatch), stalled=15, reading=60)


@pytest.mark.long
async def test_of_a_thousand_subscribers_a_hundred_stall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await a_crowd(tmp_path, Patience(monkeypatch), stalled=100, reading=900)


async def a_crowd(tmp_path: Path, patience: Patience, *, stalled: int, reading: int) -> None:
    heard: dict[int, bytearray] = {n: bytearray() for n in range(reading)}
    most, head = 0, 0
    async with running(tmp_path / "d", given=STALL) as rig, received(rig) as house, anyio.create_task_group() as tasks:
        with ExitStack() as stack:
            for _ in range(stalled):
                stack.enter_context(caller(house.path, ask("/events?after=0")))
            for n in range(reading):
                line = stack.enter_context(caller(house.path, ask("/events?after=0")))
                tasks.start_soon(listen_on, line, heard[n])
            for _ in range(20):
                await flood(rig, OVERFLOWS_A_BUFFER // 20)
                most = max(most, house.buffered_bytes())
            head = rig.journal.head().position
            for said in heard.values():
                await until_heard(said, b"\nid: %d\n" % head)
            for _ in ("for the log", "for the last word"):
                await patience.runs_out(readers=stalled)
            await gone(house, left=reading)
            tasks.cancel_scope.cancel()
    assert most <= (stalled + reading) * (4096 + 3 * PORTION_BYTES)
    for said in heard.values():
        whole = without_chunks(bytes(said).partition(b"\r\n\r\n")[2])
        assert frame_ids(whole) == list(range(1, head + 1))
    record_fault("socket", "subscribers stall in a crowd", "cut; the others hear all", times=stalled)


async def until_heard(said: bytearray, wanted: bytes) -> None:
    with anyio.fail_after(PATIENCE_S):
        while wanted not in said:  # noqa: ASYNC110 - filled by another task
            await anyio.sleep(0.02)


async def listen_on(line: Any, heard: bytearray) -> None:
    loop = asyncio.get_running_loop()
    while portion := await loop.sock_recv(line, 1 << 16):
        heard += portion


async def test_a_bus_client_that_does_not_read_is_cut_off_and_others_are_served(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=STALL) as rig, received(rig) as house:
        with caller(house.path, upgrade()) as deaf:
            await the_answer(deaf)
            subscribe = msgspec.json.encode(
                {"jsonrpc": "2.0", "id": 1, "method": "genome/subscribe", "params": {"after": 0}}
            )
            await asyncio.get_running_loop().sock_sendall(deaf, text_frame(subscribe))
            await flood(rig)
            await gone(house, left=0)
        assert len(await resumed(house.path, 0)) == rig.journal.head().position


async def test_a_half_open_bus_connection_is_closed_when_it_answers_no_ping(tmp_path: Path) -> None:
    given = {"limits": {"bus_heartbeat_s": 0.2}}
    async with running(tmp_path / "d", given=given) as rig, received(rig) as house:
        with caller(house.path, upgrade()) as silent:
            await the_answer(silent)
            await gone(house, left=0)


async def test_a_bus_client_that_answers_pings_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next ping comes to whoever answered the last. How soon it must be, that of a half-open connection shows."""
    monkeypatch.setattr(WebSocketResponse, "_pong_not_received", lambda _: None)
    given = {"limits": {"bus_heartbeat_s": 0.1, "idle_s": 0.1}}
    async with running(tmp_path / "d", given=given) as rig, received(rig) as house, client_of(house.path) as client:
        bus = await client.ws_connect("/bus", autoping=False)
        for _ in range(3):
            await answer_ping(bus, await bus.receive())
        await bus.send_json({"jsonrpc": "2.0", "id": 1, "method": "genome/overview"})
        while (said := await bus.receive()).type is not WSMsgType.TEXT:
            await answer_ping(bus, said)
        await bus.close(code=WSCloseCode.OK)


async def answer_ping(bus: "ClientWebSocketResponse[bool]", said: WSMessage) -> None:
    assert said.type is WSMsgType.PING
    await bus.pong(said.data)


async def test_silent_connections_make_room_for_whoever_asks(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, received(rig, most=8) as house, client_of(house.path) as client:
        with ExitStack() as stack:
            for _ in range(50):
                stack.enter_context(caller(house.path))
            async with client.get("/healthz") as answer:
                assert answer.status == 200
            assert house.reception.open <= 8


async def test_a_full_house_says_so_and_those_inside_stay(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, received(rig, most=3) as house:
        with ExitStack() as stack:
            inside = [stack.enter_context(caller(house.path, ask("/events?after=0"))) for _ in range(3)]
            for line in inside:
                await the_answer(line)
            refused = stack.enter_context(caller(house.path))
            said = await all_it_says(refused)
            head, _, body = said.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503")
            assert msgspec.json.decode(body)["error"]["kind"] == "capacity"
            assert house.reception.open == 3
            await rig.capture(1)
            loop = asyncio.get_running_loop()
            assert [bool(await loop.sock_recv(line, 1 << 16)) for line in inside] == [True] * 3


async def test_a_connection_that_says_nothing_is_closed_and_one_between_requests_later(tmp_path: Path) -> None:
    given = {"limits": {"silent_s": 0.2, "idle_s": 0.6}}
    async with running(tmp_path / "d", given=given) as rig, received(rig) as house:
        with caller(house.path) as silent, caller(house.path, ask("/healthz")) as polite:
            assert await all_it_says(silent) == b""
            assert (await all_it_says(polite)).startswith(b"HTTP/1.1 200")


@pytest.mark.long
def test_ten_thousand_connections_without_a_request_leave_the_daemon_answering() -> None:
    with daemon_process() as daemon, ExitStack() as stack:
        for _ in range(10_000):
            stack.enter_context(caller(daemon.socket))
        assert captured(daemon)["examplesByState"] == {"pending": 1}
        record_fault("socket", "10,000 connections without a request", "the oldest make room", times=1)


def test_with_few_files_to_open_the_daemon_keeps_its_share(tmp_path: Path) -> None:
    """As under `ulimit -n 300`: connections are bounded below it, so that the log can still be written and read."""
    with daemon_process(files=300) as daemon, ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(caller(daemon.socket))
        assert captured(daemon)["examplesByState"] == {"pending": 1}
        assert daemon.call("log-verify")["ok"] is True
        record_fault("socket", "file descriptors exhausted by clients", "the oldest make room", times=1)


def captured(daemon: DaemonProcess) -> Json:
    said = {"personaId": "ada", "domain": "sums", "baseModel": "tiny", "input": "1+1", "output": "2"}
    daemon.call("capture-interaction", said)
    totals: Json = daemon.call("overview")["totals"]
    return totals


def upgrade() -> bytes:
    key = b64encode(b"0123456789abcdef").decode()
    return ask(
        "/bus", Upgrade="websocket", Connection="Upgrade", **{"Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13"}
    )


def text_frame(text: bytes) -> bytes:
    """A masked text frame of at most 125 bytes (RFC 6455, 5.2); the mask is zero."""
    assert len(text) <= 125
    return b"\x81" + bytes([0x80 | len(text)]) + b"\0\0\0\0" + text


async def the_answer(line: Any) -> bytes:
    heard = b""
    while b"\r\n\r\n" not in heard:
        heard += await asyncio.get_running_loop().sock_recv(line, 1 << 12)
    return heard
