"""recipe-cancel asks once, and refuses what has ended."""

from pathlib import Path

from tests.daemon.daemon_rig import Rig
from tests.daemon.recipe_rig import recipe_rig

from genomed.entities.errors import ErrorKind


async def test_asking_twice_is_harmless_and_an_ended_run_cannot_be_cancelled(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        there.server.hold()
        run_id = await there.start()
        first = await there.rig.call("recipe-cancel", {"runId": run_id, "reason": "too dear"})
        assert first["run"]["reason"] == "too dear"
        ended = await there.ended(run_id)
        assert ended["state"] == "cancelled"
        assert (await there.rig.types(f"recipe/{run_id}")).count("recipe.cancel_requested") == 1
        assert (await there.rig.refused("recipe-cancel", {"runId": run_id})).kind is ErrorKind.CONFLICT


async def test_rows_that_are_there_stay_when_a_run_is_cancelled(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path, concurrency=1) as there:
        run_id = await there.start(wanted=500)

        async def some() -> bool:
            return int((await there.status(run_id))["rows"]) >= 3

        await there.rig.until(some, "three rows")
        await there.rig.call("recipe-cancel", {"runId": run_id})
        run = await there.ended(run_id)
        assert run["state"] == "cancelled"
        assert 3 <= run["rows"] == len(await there.items(run_id)) < 500


async def test_a_run_that_does_not_exist_is_not_found(quiet: Rig) -> None:
    assert (await quiet.refused("recipe-cancel", {"runId": "run-none"})).kind is ErrorKind.NOT_FOUND
