"""activity-list shows long work to others while it runs, and nothing of it afterwards."""

from pathlib import Path

import anyio
import anyio.from_thread
import pytest
from tests.daemon.daemon_rig import Json, Rig, chat, listening, write_rows
from tests.patience import PATIENCE_S

from genomed.daemon.activities import RunningActivities
from genomed.daemon.datasets import reading as dataset_reading


async def test_nothing_runs_in_a_daemon_that_was_asked_nothing(quiet: Rig) -> None:
    assert await quiet.call("activity-list") == {"activities": []}


async def test_an_import_can_be_watched_by_another_client_while_it_runs(
    quiet: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reading is held in its middle until somebody has seen it there."""
    path = write_rows(tmp_path / "rows.jsonl", [chat(f"q{n}", "a" * 400) for n in range(6000)])
    seen = anyio.Event()
    report = dataset_reading.RowFile._report

    def held(file: dataset_reading.RowFile, done: int, total: int) -> None:
        report(file, done, total)
        if 0 < done < total:
            anyio.from_thread.run(seen.wait)

    monkeypatch.setattr(dataset_reading.RowFile, "_report", held)
    made: list[Json] = []

    async def importing() -> None:
        made.append(await quiet.call("dataset-import", {"personaId": "ada", "path": str(path)}))

    async with listening(quiet) as other, anyio.create_task_group() as tasks:
        tasks.start_soon(importing)
        with anyio.fail_after(PATIENCE_S):
            while True:
                async with other.post("/genome/activity-list", json={}) as answer:
                    activities = (await answer.json())["result"]["activities"]
                if activities and activities[0]["done"]:
                    break
                await anyio.lowlevel.checkpoint()
        [activity] = activities
        assert activity["kind"] == "genome/dataset-import"
        assert activity["about"] == "rows.jsonl"
        assert 0 < activity["done"] < activity["total"] == path.stat().st_size
        assert activity["etaS"] >= 0
        seen.set()
    assert made[0]["rows"] + made[0]["evalRows"] == 6000
    assert await quiet.call("activity-list") == {"activities": []}


async def test_an_import_that_is_refused_is_listed_no_more(quiet: Rig, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [chat("q", "")])
    await quiet.refused("dataset-import", {"personaId": "ada", "path": str(path)})
    assert await quiet.call("activity-list") == {"activities": []}


def test_the_time_that_is_left_follows_from_what_was_done() -> None:
    clock = [1_000_000]
    running = RunningActivities(now_us=lambda: clock[0], new_id=lambda prefix: f"{prefix}-1")
    with running.running("genome/dataset-import", "rows.jsonl") as progress:
        [activity] = running.listed()
        assert (activity.done, activity.total, activity.eta_s) == (0, 0, None)
        clock[0] += 10_000_000
        progress(25, 100)
        [activity] = running.listed()
        assert activity.eta_s == pytest.approx(30)
        assert activity.started_us == 1_000_000
    assert running.listed() == ()
