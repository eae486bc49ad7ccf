"""overview is one snapshot of everything, as of a position from which the events go on."""

from tests.daemon.daemon_rig import Rig


async def test_an_empty_daemon_has_an_empty_overview(quiet: Rig) -> None:
    seen = await quiet.call("overview")
    assert (seen["asOf"], seen["jobs"], seen["buckets"], seen["activeLayers"]) == (0, [], [], [])
    assert seen["totals"]["events"] == 0


async def test_jobs_buckets_layers_and_totals_are_in_it(rig: Rig) -> None:
    done = await rig.ended(await rig.create_job(steps=200))
    failed = await rig.ended(await rig.create_job(failAtStep=1))
    await rig.captures(3)
    seen = await rig.call("overview", {"maxPoints": 10})
    assert [job["status"] for job in seen["jobs"]] == [failed.status, done.status]
    assert {len(points) for points in seen["loss"].values()} == {1, 10}
    assert [layer["layerId"] for layer in seen["activeLayers"]] == [done.layer_id]
    assert seen["asOf"] == seen["totals"]["events"] == rig.journal.head().position
    totals = seen["totals"]
    assert totals["jobsByStatus"] == {"succeeded": 1, "failed": 1}
    assert (totals["interactions"], totals["layers"], totals["datasets"], totals["personas"]) == (3, 1, 1, 1)


async def test_one_persona_may_be_asked_for_and_no_jobs_may_be_wanted(rig: Rig) -> None:
    await rig.ended(await rig.create_job())
    assert (await rig.call("overview", {"personaId": "bob"}))["jobs"] == []
    assert (await rig.call("overview", {"recentJobs": 0}))["jobs"] == []
    error = await rig.refused("overview", {"recentJobs": 101, "maxPoints": 0})
    assert {problem.field for problem in error.details} == {"recentJobs", "maxPoints"}
