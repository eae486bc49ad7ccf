"""The event door: server-sent events without a gap and without a double, from any position, across restarts."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
import pytest
from aiohttp import ClientResponse, ClientSession
from tests.daemon.daemon_process import daemon_process
from tests.daemon.daemon_rig import Json, Rig, client_of, listening, running

from genomed.entities.wire import Frames


async def frames(response: ClientResponse) -> AsyncIterator[tuple[int, Json]]:
    cut = Frames()
    async for portion in response.content.iter_any():
        for frame in cut.feed(portion):
            assert frame.id is not None
            yield int(frame.id), msgspec.json.decode(frame.data)


async def all_of(client: ClientSession, query: str, **headers: str) -> list[tuple[int, Json]]:
    async with client.get(f"/events?follow=false&{query}", headers=headers) as response:
        assert response.content_type == "text/event-stream"
        return [frame async for frame in frames(response)]


async def positions(client: ClientSession, query: str, **headers: str) -> list[int]:
    return [position for position, _ in await all_of(client, query, **headers)]


async def with_a_finished_job(rig: Rig) -> str:
    job_id = await rig.create_job()
    await rig.ended(job_id)
    await rig.captures(2)
    return job_id


async def test_from_a_position_on_every_event_comes_once_in_order_with_its_sentence(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        await with_a_finished_job(rig)
        head = rig.journal.head().position
        told = await all_of(client, "after=0")
        assert [position for position, _ in told] == list(range(1, head + 1))
        for position, event in told:
            assert event["position"] == position
            assert event["event"]["type"] == event["type"]
            assert event["text"]
        assert await positions(client, "after=5") == list(range(6, head + 1))


async def test_last_event_id_wins_over_after(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        await rig.captures(6)
        assert await positions(client, "after=1", **{"Last-Event-ID": "4"}) == [5, 6]


async def test_without_a_position_it_starts_at_the_live_edge(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        await rig.captures(3)
        assert await positions(client, "") == []
        async with client.get("/events") as response:
            await rig.capture(4)
            async for position, _ in frames(response):
                assert position == 4
                break


async def test_patterns_and_a_stream_choose(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        job_id = await with_a_finished_job(rig)
        jobs = {event["type"] for _, event in await all_of(client, "after=0&pattern=job.*")}
        assert jobs
        assert all(one.startswith("job.") for one in jobs)
        two = {event["type"] for _, event in await all_of(client, "after=0&pattern=dataset.*&pattern=interaction.*")}
        assert two == {"dataset.frozen", "interaction.captured"}
        of_job = await all_of(client, f"after=0&stream=job/{job_id}")
        assert [event["version"] for _, event in of_job] == list(range(1, len(of_job) + 1))
        assert await all_of(client, "after=0&pattern=nothing.*") == []


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "after=99", "after=" + "9" * 5000, "after=%C2%B2", "after=1.5", "after=%D9%A3"]
)
async def test_a_position_that_is_none_or_lies_beyond_the_log_is_refused(tmp_path: Path, query: str) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        await rig.captures(4)
        async with client.get(f"/events?{query}") as response:
            assert response.status == 400
            assert (await response.json())["error"]["field"] == "after"


async def test_a_quiet_stream_beats_and_its_beat_carries_the_position(tmp_path: Path) -> None:
    quick = {"limits": {"idle_heartbeat_s": 0.05}}
    async with running(tmp_path / "d", given=quick) as rig, listening(rig) as client:
        await rig.captures(3)
        async with client.get("/events?after=0&pattern=job.*") as response:
            seen = b""
            while seen.count(b": heartbeat") < 3:
                seen += await response.content.readany()
        assert seen.startswith(b"retry: 1000\n\n")
        assert b"id: 3\n" in seen
        assert b"data:" not in seen


async def test_many_followers_see_the_same_while_events_come(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig, listening(rig) as client:
        seen: list[list[int]] = []

        async def follow() -> None:
            mine: list[int] = []
            async with client.get("/events?after=0") as response:
                async for position, _ in frames(response):
                    mine.append(position)
                    if position == 60:
                        break
            seen.append(mine)

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(follow)
            await rig.captures(60)
        assert seen == [list(range(1, 61))] * 8


async def test_a_reader_that_falls_behind_reads_on_from_the_log_and_misses_nothing(tmp_path: Path) -> None:
    """More than every buffer between us holds is written before the reader reads its first byte."""
    async with running(tmp_path / "d", courier=False) as rig, listening(rig) as client:
        async with client.get("/events?after=0") as response:
            dataset_id = await rig.dataset()
            for _ in range(400):
                await rig.create_job(dataset_id=dataset_id)
            head = rig.journal.head().position
            seen = []
            async for position, _ in frames(response):
                seen.append(position)
                if position == head:
                    break
        assert seen == list(range(1, head + 1))


@pytest.mark.crash
async def test_across_kills_of_the_daemon_a_follower_sees_every_event_exactly_once() -> None:
    with daemon_process() as daemon:
        seen: list[int] = []

        async def follow(until: int) -> None:
            headers = {"Last-Event-ID": str(seen[-1])} if seen else {}
            async with client_of(daemon.socket) as client, client.get("/events?after=0", headers=headers) as response:
                async for position, _ in frames(response):
                    seen.append(position)
                    if position >= until:
                        return

        for turn in range(3):
            for n in range(20):
                said = {"personaId": "ada", "domain": "sums", "input": f"{turn}/{n}", "output": "yes"}
                await anyio.to_thread.run_sync(daemon.call, "capture-interaction", said)
            head = await anyio.to_thread.run_sync(daemon.position)
            await follow(until=head - 7)  # stops in the middle, as a connection does that breaks
            await anyio.to_thread.run_sync(daemon.kill)
            await anyio.to_thread.run_sync(daemon.start)
        await follow(until=await anyio.to_thread.run_sync(daemon.position))
        assert seen == list(range(1, len(seen) + 1))
        assert len(seen) == daemon.position()
