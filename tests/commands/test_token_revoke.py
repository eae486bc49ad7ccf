"""genome/token-revoke: it holds at once, for open connections too."""

from pathlib import Path

from tests.commands.test_token_create import SAID, post
from tests.daemon.daemon_rig import listening, running
from tests.patience import PATIENCE_S

from genomed.entities.errors import ErrorKind


async def test_a_revoked_token_is_refused_from_the_answer_on(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        made = await rig.call("token-create", {"personaIds": ["ada"]})
        assert (await post(client, "capture-interaction", SAID, made["token"]))[0] == 200
        params = {"tokenId": made["tokenId"], "reason": "lost"}
        assert (await rig.call("token-revoke", params))["changed"] is True
        status, answer = await post(client, "capture-interaction", SAID, made["token"])
        assert (status, "revoked" in answer["error"]["message"]) == (403, True)
        [refusal] = (await rig.call("access-list"))["refusals"]
        assert (refusal["actor"], refusal["reason"]) == (f"token:{made['tokenId']}", "token")
        assert (await rig.call("token-revoke", params))["changed"] is False
        assert (await rig.refused("token-revoke", {"tokenId": made["tokenId"]})).kind is ErrorKind.CONFLICT
        assert (await rig.refused("token-revoke", {"tokenId": "tok-none"})).kind is ErrorKind.NOT_FOUND


async def test_an_open_stream_ends_and_an_open_bus_answers_nothing_more(tmp_path: Path) -> None:
    async with running(tmp_path / "d", triggers=False) as rig, listening(rig) as client:
        made = await rig.call("token-create", {"personaIds": ["ada"]})
        headers = {"Authorization": f"Bearer {made['token']}"}
        call = {"jsonrpc": "2.0", "id": 1, "method": "genome/capture-interaction", "params": SAID}
        async with (
            client.get("/events?after=0", headers=headers) as stream,
            client.ws_connect("/bus", headers=headers) as bus,
        ):
            await bus.send_json(call)
            assert "result" in await bus.receive_json(timeout=PATIENCE_S)
            await stream.content.readuntil(b"event: interaction.captured")
            await rig.call("token-revoke", {"tokenId": made["tokenId"]})
            await bus.send_json(call | {"id": 2})
            assert (await bus.receive_json(timeout=PATIENCE_S))["error"]["data"]["kind"] == "forbidden"
            await rig.call("capture-interaction", SAID | {"input": "said afterwards"})
            body = await stream.read()
    assert b"event: interaction.captured" not in body


async def test_an_open_bus_subscription_ends_with_its_connection(tmp_path: Path) -> None:
    async with running(tmp_path / "d", triggers=False) as rig, listening(rig) as client:
        made = await rig.call("token-create", {"personaIds": ["ada"]})
        async with client.ws_connect("/bus", headers={"Authorization": f"Bearer {made['token']}"}) as bus:
            await bus.send_json({"jsonrpc": "2.0", "id": 1, "method": "genome/subscribe", "params": {}})
            await bus.receive_json(timeout=PATIENCE_S)
            await rig.call("token-revoke", {"tokenId": made["tokenId"]})
            assert (await bus.receive(timeout=PATIENCE_S)).type.name in ("CLOSE", "CLOSED", "CLOSING")
