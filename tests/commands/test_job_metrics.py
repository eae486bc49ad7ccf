"""job-metrics gives the measured series, thinned to what was asked for, with the first and the last point standing."""

from tests.daemon.daemon_rig import Rig


async def test_a_thinned_series_keeps_its_ends_and_says_how_many_there_were(rig: Rig) -> None:
    job_id = await rig.create_job(steps=40)
    await rig.ended(job_id)
    full = await rig.call("job-metrics", {"jobId": job_id})
    thin = await rig.call("job-metrics", {"jobId": job_id, "maxPoints": 7})
    assert (full["total"], thin["total"]) == ({"loss": 40}, {"loss": 40})
    assert len(thin["series"]["loss"]) == 7
    assert thin["series"]["loss"][0] == full["series"]["loss"][0]
    assert thin["series"]["loss"][-1] == full["series"]["loss"][-1]
    one = await rig.call("job-metrics", {"jobId": job_id, "maxPoints": 1})
    assert one["series"]["loss"] == full["series"]["loss"][-1:]
    assert full["simulated"] is True


async def test_names_and_after_step_narrow_the_series(rig: Rig) -> None:
    job_id = await rig.create_job(steps=10)
    await rig.ended(job_id)
    later = await rig.call("job-metrics", {"jobId": job_id, "afterStep": 7, "names": ["loss"]})
    assert [point["step"] for point in later["series"]["loss"]] == [8, 9, 10]
    assert (await rig.call("job-metrics", {"jobId": job_id, "names": ["accuracy"]}))["series"] == {}


async def test_two_jobs_have_separate_series(rig: Rig) -> None:
    dataset_id = await rig.dataset()
    short, long = await rig.create_job(dataset_id=dataset_id, steps=2), await rig.create_job(steps=9)
    for one in (short, long):
        await rig.ended(one)
    totals = [(await rig.call("job-metrics", {"jobId": one}))["total"] for one in (short, long)]
    assert totals == [{"loss": 2}, {"loss": 9}]


async def test_a_job_without_measurements_has_no_series_and_an_unknown_job_is_not_found(quiet: Rig) -> None:
    assert (await quiet.call("job-metrics", {"jobId": await quiet.create_job()}))["series"] == {}
    assert (await quiet.refused("job-metrics", {"jobId": "job-nowhere"})).kind == "not_found"
    error = await quiet.refused("job-metrics", {"jobId": "x", "maxPoints": 0, "afterStep": 10**30})
    assert {problem.field for problem in error.details} == {"maxPoints", "afterStep"}
