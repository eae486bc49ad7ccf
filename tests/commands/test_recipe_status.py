"""recipe-status shows runs newest first, with what is measured and null for what is not."""

from pathlib import Path

from tests.daemon.daemon_rig import Rig
from tests.daemon.recipe_rig import recipe_rig

from genomed.entities.errors import ErrorKind


async def test_runs_are_listed_newest_first_page_by_page_and_by_draft(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        runs = [await there.made(wanted=2, seed=seed) for seed in range(3)]
        ids = [run["runId"] for run in runs]
        page = await there.rig.call("recipe-status", {"limit": 2})
        assert [run["runId"] for run in page["runs"]] == ids[:0:-1]
        rest = await there.rig.call("recipe-status", {"limit": 2, "cursor": page["nextCursor"]})
        assert ([run["runId"] for run in rest["runs"]], rest["nextCursor"]) == (ids[:1], None)
        one = await there.rig.call("recipe-status", {"draftId": runs[1]["draftId"]})
        assert [run["runId"] for run in one["runs"]] == [ids[1]]
        assert (await there.rig.call("recipe-status", {"open": True}))["runs"] == []


async def test_a_run_that_has_just_begun_promises_no_time(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        there.server.hold()
        run_id = await there.start()
        run = await there.status(run_id)
        assert (run["state"], run["etaS"], run["rows"], run["endedUs"]) == ("running", None, 0, None)
        there.server.release()
        await there.ended(run_id)


async def test_a_run_that_does_not_exist_is_not_found(quiet: Rig) -> None:
    assert (await quiet.refused("recipe-status", {"runId": "run-none"})).kind is ErrorKind.NOT_FOUND


async def test_the_tables_are_the_same_after_a_rebuild_from_the_log(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        run = await there.made(wanted=5, params={"broken": "sum-1"})
        await there.rig.journal.rebuild()
        assert await there.status(run["runId"]) == run
