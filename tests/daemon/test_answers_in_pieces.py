"""Answers that come in pieces, through every door: what comes first, what comes last, and callers who go away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec
from aiohttp import ClientSession
from tests.commands.answering import answering
from tests.daemon.daemon_rig import Json, Rig, listening
from tests.daemon.test_bus_door import envelope, heard
from tests.patience import PATIENCE_S


@asynccontextmanager
async def house(root: Path) -> AsyncIterator[tuple[Rig, ClientSession, Json]]:
    """The rig, a client, and the params that name whom to ask."""
    async with answering(root) as rig, listening(rig) as client:
        yield rig, client, {"baseModel": str(root / "model"), "stream": True}


async def appears(path: Path) -> None:
    with anyio.fail_after(PATIENCE_S):
        while not await anyio.Path(path).exists():  # noqa: ASYNC110 - it is another process that makes it
            await anyio.sleep(0.005)


async def frames(client: ClientSession, params: Json) -> list[tuple[str, Json]]:
    async with client.post("/genome/infer", json=params) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        return [frame(one) for one in (await response.text()).split("\n\n") if one and not one.startswith(":")]


def frame(text: str) -> tuple[str, Json]:
    name, data = text.split("\n")
    return name.removeprefix("event: "), msgspec.json.decode(data.removeprefix("data: "))


async def test_over_http_pieces_are_events_and_the_last_one_is_the_reply(tmp_path: Path) -> None:
    async with house(tmp_path) as (_, client, whom):
        *pieces, (name, reply) = await frames(client, whom | {"prompt": "one two"})
        assert pieces == [("piece", {"text": "one"}), ("piece", {"text": "two"})]
        assert (name, reply["result"]["text"], "head" in reply) == ("result", "one two", True)
        async with client.post("/genome/infer", json=whom | {"prompt": "one", "stream": False}) as response:
            assert response.content_type == "application/json"
            assert (await response.json())["result"]["text"] == "one"


async def test_what_is_refused_before_the_first_piece_is_refused_as_ever(tmp_path: Path) -> None:
    async with house(tmp_path) as (_, client, whom):
        for prompt, status in (("wrong", 400), ("", 400)):
            async with client.post("/genome/infer", json=whom | {"prompt": prompt}) as response:
                assert (response.status, response.content_type) == (status, "application/json")
                assert (await response.json())["error"]["kind"] == "invalid_request"


async def test_what_goes_wrong_after_a_piece_is_the_last_event(tmp_path: Path) -> None:
    async with house(tmp_path) as (_, client, whom):
        first, (name, reply) = await frames(client, whom | {"prompt": "one die"})
        assert first == ("piece", {"text": "one"})
        assert (name, reply["error"]["kind"], reply["error"]["retryable"]) == ("error", "transient", True)


async def test_a_caller_who_goes_away_ends_the_work(tmp_path: Path) -> None:
    async with house(tmp_path) as (rig, client, whom):
        async with client.post("/genome/infer", json=whom | {"prompt": "one slow two"}) as response:
            assert (await response.content.readuntil(b"\n\n")).startswith(b"event: piece")
            await appears(tmp_path / "model" / "slow")
            response.close()
        await appears(tmp_path / "model" / "taken-back")
        assert (await rig.call("infer", whom | {"prompt": "three", "stream": False}))["text"] == "three"


async def test_a_caller_who_goes_away_before_a_whole_answer_ends_the_work_too(tmp_path: Path) -> None:
    async with house(tmp_path) as (rig, client, whom):
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                async with client.post("/genome/infer", json=whom | {"prompt": "slow", "stream": False}):
                    pass

            tasks.start_soon(ask)
            await appears(tmp_path / "model" / "slow")
            tasks.cancel_scope.cancel()
        await appears(tmp_path / "model" / "taken-back")
        assert (await rig.call("infer", whom | {"prompt": "three", "stream": False}))["text"] == "three"


async def test_on_the_bus_pieces_are_notifications_with_the_id_of_the_call(tmp_path: Path) -> None:
    async with house(tmp_path) as (_, client, whom), client.ws_connect("/bus") as bus:
        call = {"jsonrpc": "2.0", "id": 7, "method": "genome/infer", "params": whom | {"prompt": "one two"}}
        await bus.send_json(call)
        told = [await heard(bus) for _ in range(3)]
        for message, text in zip(told, ("one", "two"), strict=False):
            params = {"id": 7, "text": text}
            assert message == {"jsonrpc": "2.0", "method": "genome/infer.piece", "params": params}
        assert (told[2]["id"], told[2]["result"]["result"]["text"]) == (7, "one two")
        await bus.send_json(call | {"params": whom | {"prompt": "one two", "stream": False}})
        assert (await heard(bus))["id"] == 7


async def test_in_the_older_envelope_pieces_are_events_of_the_same_correlation(tmp_path: Path) -> None:
    async with house(tmp_path) as (_, client, whom), client.ws_connect("/bus") as bus:
        await bus.send_json(envelope("server/commands/genome/infer", whom | {"prompt": "one two"}, "corr-9"))
        told = [await heard(bus) for _ in range(3)]
        assert [message["messageType"] for message in told] == ["event", "event", "response"]
        assert {message["correlationId"] for message in told} == {"corr-9"}
        assert [message["payload"]["text"] for message in told] == ["one", "two", "one two"]


async def test_a_connection_that_closes_takes_its_questions_back(tmp_path: Path) -> None:
    async with house(tmp_path) as (_, client, whom):
        async with client.ws_connect("/bus") as bus:
            params = whom | {"prompt": "one slow two"}
            await bus.send_json({"jsonrpc": "2.0", "id": 1, "method": "genome/infer", "params": params})
            assert (await heard(bus))["params"]["text"] == "one"
            await appears(tmp_path / "model" / "slow")
        await appears(tmp_path / "model" / "taken-back")
