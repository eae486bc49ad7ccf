"""genome/token-list: the newest first, with what they grant and whether they hold; never their text."""

from pathlib import Path

from tests.daemon.daemon_rig import Json, Rig, running

from genomed.commands.context import Caller
from genomed.entities.errors import ErrorKind
from genomed.entities.types import Role


async def three(rig: Rig) -> list[Json]:
    wanted: list[Json] = [
        {"personaIds": ["ada"]},
        {"personaIds": ["bob"], "role": "read", "note": "a monitor"},
        {"personaIds": ["cy"], "expiresS": 1},
    ]
    made = [await rig.call("token-create", one) for one in wanted]
    await rig.call("token-revoke", {"tokenId": made[0]["tokenId"], "reason": "lost"})
    rig.clock.ahead_us += 2_000_000
    return made


async def test_they_are_listed_with_what_they_grant_and_whether_they_hold(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        made = await three(rig)
        listed = (await rig.call("token-list"))["tokens"]
        assert [one["tokenId"] for one in listed] == [one["tokenId"] for one in reversed(made)]
        assert [one["standing"] for one in listed] == ["expired", "active", "revoked"]
        assert (listed[1]["personaIds"], listed[1]["role"], listed[1]["note"]) == (["bob"], "read", "a monitor")
        assert listed[2]["revoked"] == "lost"
        assert not any(one["token"] in str(listed) for one in made)
        assert [one["tokenId"] for one in (await rig.call("token-list", {"active": True}))["tokens"]] == [
            made[1]["tokenId"]
        ]


async def test_pages_follow_one_another_without_a_gap(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        made = await three(rig)
        seen, cursor = [], None
        while True:
            page = await rig.call("token-list", {"limit": 2} | ({"cursor": cursor} if cursor else {}))
            seen += [one["tokenId"] for one in page["tokens"]]
            cursor = page["nextCursor"]
            if cursor is None:
                break
        assert seen == [one["tokenId"] for one in reversed(made)]


async def test_only_an_administrator_may(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        error = await rig.refused("token-list", {}, caller=Caller(actor="uid:7", role=Role.OPERATE))
        assert error.kind is ErrorKind.FORBIDDEN
