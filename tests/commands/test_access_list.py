"""genome/access-list: every refusal with its actor, and a flood as a few events that say how many there were."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.daemon.daemon_rig import Json, Rig, listening, running

from genomed.commands.context import Caller
from genomed.daemon.access import refusals as access_refusals
from genomed.daemon.access.refusals import APART_US, MOST_IN_THAT_TIME, Reason, RefusalBook, Refused
from genomed.entities.access_events import AccessRefused
from genomed.entities.errors import ErrorKind
from genomed.entities.types import Role

READER = Caller(actor="uid:7", role=Role.READ)


async def listed(rig: Rig, **params: object) -> list[Json]:
    return list((await rig.call("access-list", params))["refusals"])


async def test_a_refusal_says_who_wanted_what_and_why_not(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        assert (await rig.refused("budget-set", {"budget": None}, caller=READER)).kind is ErrorKind.FORBIDDEN
        bound = Caller(actor="token:tok-1", role=Role.READ, personas=frozenset({"ada"}))
        await rig.refused("job-list", {"personaId": "bob"}, caller=bound)
        async with client.get("/events", headers={"Authorization": "Bearer gnt_none"}) as response:
            assert response.status == 403
        found = await listed(rig)
        assert [(one["actor"], one["command"], one["reason"]) for one in found] == [
            (found[0]["actor"], "events", "token"),
            ("token:tok-1", "genome/job-list", "persona"),
            ("uid:7", "genome/budget-set", "role"),
        ]
        assert found[0]["actor"].startswith("uid:")
        assert [one["actor"] for one in await listed(rig, actor="uid:7")] == ["uid:7"]
        assert [one["position"] for one in await listed(rig, limit=1)] == [found[0]["position"]]


async def test_what_is_no_refusal_is_not_written_down(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        before = rig.journal.head()
        await rig.execute("job-status", {"jobId": "none"}, caller=READER)
        await rig.execute("job-status", {"surprise": 1}, caller=READER)
        await rig.execute("no-such-command", {}, caller=READER)
        assert rig.journal.head() == before


async def test_the_same_refusal_is_written_once_in_a_minute_and_the_next_one_counts_the_rest(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        for _ in range(50):
            await rig.execute("budget-set", {"budget": None}, caller=READER)
        assert len(await listed(rig)) == 1
        rig.clock.ahead_us += APART_US + 1
        await rig.execute("budget-set", {"budget": None}, caller=READER)
        assert [one["leftOut"] for one in await listed(rig)] == [49, 0]


async def test_a_flood_of_actors_writes_a_bounded_number_and_loses_no_count(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        asked = 3 * MOST_IN_THAT_TIME
        for n in range(asked):
            caller = Caller(actor=f"uid:{n}", role=Role.READ)
            await rig.execute("budget-set", {"budget": None}, caller=caller)
        assert len(await listed(rig, limit=200)) <= 2 * MOST_IN_THAT_TIME
        rig.clock.ahead_us += APART_US + 1
        await rig.execute("budget-set", {"budget": None}, caller=READER)
        found = await listed(rig, limit=200)
        assert len(found) + sum(one["leftOut"] for one in found) == asked + 1


async def test_the_stream_of_an_actor_is_rolled_by_day_and_ends_growing(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        await rig.execute("budget-set", {"budget": None}, caller=READER)
        [first] = {one.stream for one in await rig.journal.read_all()}
        rig.clock.ahead_us += 86_400_000_000
        await rig.execute("budget-set", {"budget": None}, caller=READER)
        streams = {one.stream for one in await rig.journal.read_all()}
        assert len(streams) == 2
        assert all(stream.startswith("access/uid:7/20") for stream in streams)
        assert first in streams


async def test_an_actor_who_fills_its_day_is_counted_and_not_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_refusals, "MOST_A_DAY", 3)
    async with running(tmp_path / "d") as rig:
        for _ in range(6):
            rig.clock.ahead_us += APART_US + 1
            await rig.execute("budget-set", {"budget": None}, caller=READER)
        assert len(await listed(rig)) <= 4  # one more where midnight comes in between
        rig.clock.ahead_us += 86_400_000_000
        await rig.execute("budget-set", {"budget": None}, caller=READER)
        found = await listed(rig)
        assert len(found) + sum(one["leftOut"] for one in found) == 7


async def test_no_refusal_is_neither_written_nor_counted(tmp_path: Path) -> None:
    """Hypothesis draws actors, commands and pauses; one book answers."""
    drawn: list[tuple[int, int, int]] = []

    @given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, APART_US)), max_size=30))
    def draw(steps: list[tuple[int, int, int]]) -> None:
        drawn.extend(steps)

    draw()
    drawn = drawn[:600]
    async with running(tmp_path / "d", courier=False, triggers=False, forgetter=False) as rig:
        book = RefusalBook(rig.journal, now_us=rig.clock)
        for actor, command, pause_us in drawn:
            rig.clock.ahead_us += pause_us
            await book.note(Refused(Reason.ROLE, "no"), actor=f"uid:{actor}", command=f"genome/c{command}")
        rig.clock.ahead_us += APART_US + 1
        for actor in range(6):
            for command in range(4):
                await book.note(Refused(Reason.ROLE, "no"), actor=f"uid:{actor}", command=f"genome/c{command}")
        told = [(one.command, one.left_out) for stream in await streams(rig) for one in stream]
        assert len(told) + sum(left_out for _, left_out in told) == len(drawn) + 24


async def streams(rig: Rig) -> list[list[AccessRefused]]:
    names = {one.stream for one in await rig.journal.read_all(limit=10_000)}
    return [await rig.events(name, AccessRefused) for name in sorted(names)]
