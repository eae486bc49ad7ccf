"""A model server that is away says nothing about rows: runs and regenerations wait for it and go on."""

from pathlib import Path

import anyio
from tests.daemon.daemon_rig import Json, write_rows
from tests.daemon.recipe_rig import RecipeRig, doubles, recipe_rig
from tests.daemon.test_recipe_again import again, item, settled
from tests.emulators.llm_server import llm_server


async def test_a_server_that_is_away_is_waited_for_and_costs_neither_items_nor_budget(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        await there.server.stop()
        run_id = await there.start(wanted=6, budget={"requests": 6})
        run = await _waiting(there, run_id)
        assert run["waiting"].startswith("small does not answer: ")
        await anyio.sleep(0.5)  # many of our own waits
        run = await there.status(run_id)
        assert (run["state"], run["itemsFailed"], run["requests"]) == ("running", 0, 0)
        await there.server.start()
        run = await there.ended(run_id)
        assert (run["state"], run["rows"], run["itemsFailed"], run["requests"]) == ("completed", 6, 0, 6)
        assert run["waiting"] is None


async def test_a_run_that_waits_for_a_server_can_be_cancelled(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path, retry_s=60) as there:
        await there.server.stop()
        run_id = await there.start()
        await _waiting(there, run_id)
        await there.rig.call("recipe-cancel", {"runId": run_id})
        run = await there.ended(run_id)
        assert (run["state"], run["requests"], run["waiting"]) == ("cancelled", 0, None)


async def test_a_run_that_fails_does_not_wait_for_a_server_that_is_away(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [{"n": n} for n in (5, *range(10, 20))])
    async with llm_server(doubles) as judge:
        await judge.stop()
        far: Json = {"far": {"base_url": judge.base_url, "model": "fake-2", "retry_s": 60}}
        async with recipe_rig(tmp_path / "d", more_models=far, concurrency=2) as there:
            there.server.trouble("status", code=422, times=10, only="Double 1")
            run = await there.made(judge="far", inputs={"path": str(source)})
            assert (run["state"], run["itemsFailed"], run["waiting"]) == ("failed", 10, None)
            assert "10 work items failed one after another" in run["reason"]


async def _waiting(there: RecipeRig, run_id: str) -> Json:
    async def waits() -> bool:
        return (await there.status(run_id))["waiting"] is not None

    await there.rig.until(waits, f"{run_id} to wait")
    return await there.status(run_id)


async def test_a_server_that_goes_away_in_the_middle_of_a_run_costs_at_most_what_was_under_way(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path, concurrency=2) as there:
        there.server.hold()
        run_id = await there.start(wanted=10)

        async def asked() -> bool:
            return len(there.server.asked) == 2

        await there.rig.until(asked, "two questions")
        await there.server.stop()
        await _waiting(there, run_id)
        await there.server.start()
        run = await there.ended(run_id)
        assert (run["state"], run["rows"], run["itemsFailed"]) == ("completed", 10, 0)
        assert run["requests"] == len(there.server.asked) <= 12


async def test_a_row_that_is_made_again_waits_for_its_server_too(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        run = await there.made(wanted=1)
        [(parent_id, _)] = await there.items(run["runId"])
        await there.server.stop()
        await there.rig.call("review-decide", again(parent_id))
        await anyio.sleep(0.3)  # many of our own waits
        assert (await item(there, parent_id)).state.value == "regenerating"
        await there.server.start()
        assert (await settled(there, parent_id)).state.value == "regenerated"
        assert (await there.status(run["runId"]))["requests"] == 2
