"""genome/token-create: a token that is shown once, and kept nowhere."""

import re
from pathlib import Path

import msgspec
from aiohttp import ClientSession
from tests.daemon.daemon_rig import Json, Rig, listening, running

from genomed.commands.context import Caller
from genomed.entities.access_events import TokenCreated
from genomed.entities.access_token import token_digest
from genomed.entities.errors import ErrorKind
from genomed.entities.types import Role

FORM = re.compile(r"^gnt_[A-Za-z0-9_-]{43}$")
SAID: Json = {"personaId": "ada", "domain": "sums", "input": "1+1", "output": "2"}


async def post(client: ClientSession, name: str, params: Json, token: str | None) -> tuple[int, Json]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with client.post(f"/genome/{name}", data=msgspec.json.encode(params), headers=headers) as response:
        answer: Json = msgspec.json.decode(await response.read())
        return response.status, answer


async def test_the_token_is_in_the_answer_and_nowhere_in_the_data_folder(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        made = await rig.call("token-create", {"personaIds": ["bob", "ada", "ada"], "note": "desk"}, key="once")
        text = made["token"]
        assert FORM.match(text)
        assert (made["personaIds"], made["role"], made["expiresUs"]) == (["ada", "bob"], "capture", None)
        [event] = await rig.events(f"token/{made['tokenId']}", TokenCreated)
        assert event.sha256 == token_digest(text)
    for file in (tmp_path / "d").rglob("*"):
        assert not file.is_file() or text.encode() not in file.read_bytes(), file


async def test_a_repeated_request_gets_the_same_id_without_the_token(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        first = await rig.call("token-create", {"personaIds": ["ada"]}, key="once")
        again = await rig.execute("token-create", {"personaIds": ["ada"]}, key="once")
        assert again.replayed
        assert isinstance(again.result, msgspec.Raw)
        assert msgspec.json.decode(again.result) == first | {"token": None}


async def test_its_holder_is_the_token_and_may_what_it_says_and_no_more(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        made = await rig.call("token-create", {"personaIds": ["ada"]})
        token = str(made["token"])
        assert (await post(client, "capture-interaction", SAID, token))[0] == 200
        newest = (await rig.journal.read_all())[-1]
        assert (newest.type, newest.actor) == ("interaction.captured", f"token:{made['tokenId']}")
        assert (await post(client, "capture-interaction", SAID | {"personaId": "bob"}, token))[0] == 403
        assert (await post(client, "forget", {"personaId": "ada", "personId": "x"}, token))[0] == 403


async def test_a_bad_token_is_refused_also_where_the_peer_alone_would_be_let_in(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        made = await rig.call("token-create", {"personaIds": ["ada"], "role": "admin"})
        token = str(made["token"])
        assert (await post(client, "overview", {}, None))[0] == 200
        for bad in (token[:-1], token + "x", "gnt_", "x", token.swapcase(), "\u00e9"):
            status, answer = await post(client, "capture-interaction", SAID, bad)
            assert (status, answer["error"]["kind"]) == (403, "forbidden")
            assert token not in str(answer)
        async with client.post("/genome/overview", headers={"Authorization": "Basic Og=="}) as response:
            assert response.status == 403


async def test_a_token_lasts_as_long_as_it_says(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        made = await rig.call("token-create", {"personaIds": ["ada"], "expiresS": 60})
        assert (await post(client, "capture-interaction", SAID, made["token"]))[0] == 200
        rig.clock.ahead_us += 61_000_000
        status, answer = await post(client, "capture-interaction", SAID, made["token"])
        assert (status, "expired" in answer["error"]["message"]) == (403, True)


async def test_only_an_administrator_makes_them_and_one_who_is_bound_only_for_its_own(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        operator = Caller(actor="uid:7", role=Role.OPERATE)
        assert (await rig.refused("token-create", {"personaIds": ["ada"]}, caller=operator)).kind is ErrorKind.FORBIDDEN
        bound = Caller(actor="uid:8", role=Role.ADMIN, personas=frozenset({"ada"}))
        for personas in (["bob"], ["ada", "bob"]):
            error = await rig.refused("token-create", {"personaIds": personas}, caller=bound)
            assert error.kind is ErrorKind.FORBIDDEN
        assert isinstance(
            (await rig.execute("token-create", {"personaIds": ["ada"]}, caller=bound)).result, msgspec.Raw
        )
        assert (await rig.refused("token-create", {"personaIds": []})).kind is ErrorKind.INVALID_REQUEST


async def test_a_star_is_no_persona_and_a_token_for_everybody_is_not_to_be_had_by_mistake(quiet: Rig) -> None:
    before = quiet.journal.head()
    refused = await quiet.refused("token-create", {"personaIds": ["ada", "*"]})
    assert (refused.kind, refused.field) == (ErrorKind.INVALID_REQUEST, "personaIds[1]")
    assert refused.remedy
    assert "[access.roles]" in refused.remedy
    assert quiet.journal.head() == before


async def test_no_token_makes_another_which_would_outlive_it(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        made = await rig.call("token-create", {"personaIds": ["ada"], "role": "admin", "expiresS": 60})
        status, answer = await post(client, "token-create", {"personaIds": ["ada"], "role": "admin"}, made["token"])
    assert (status, answer["error"]["kind"]) == (403, "forbidden")


async def test_a_token_that_is_said_in_a_text_is_taken_out_of_events_and_of_what_is_logged(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        token = str((await rig.call("token-create", {"personaIds": ["ada"]}))["token"])
        await spoken(rig, token)
        told = [str(envelope.event) for envelope in await rig.journal.read_all()]
        assert not any(token in text for text in told)
        assert any("[token]" in text for text in told)


async def spoken(rig: Rig, token: str) -> None:
    """Put where people write sentences."""
    await rig.call("budget-set", {"budget": {"overall": {"dayUsd": 1}}, "reason": f"see {token}"})
