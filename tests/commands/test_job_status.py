"""job-status tells what the log knows; with refresh it really asks the provider."""

from pathlib import Path

from tests.daemon.daemon_rig import Rig, running

from genomed.entities.types import JobStatus


async def test_an_ended_job_has_its_metrics_events_and_progress_of_one(rig: Rig) -> None:
    job_id = await rig.create_job(steps=6)
    await rig.ended(job_id)
    told = await rig.call("job-status", {"jobId": job_id})
    assert (told["status"], told["progress"], told["refreshed"]) == ("succeeded", 1.0, False)
    assert [point["step"] for point in told["metrics"]["loss"]] == [1, 2, 3, 4, 5, 6]
    assert told["metrics"]["accuracy"] == []
    assert told["events"][-1]["type"] == "job.succeeded"
    assert told["job"]["verdict"]["adopt"] is True
    assert told["job"]["judgements"]["candidate"]["exactMatch"] == 0.75


async def test_a_job_that_measured_nothing_yet_has_nulls_and_no_made_up_numbers(quiet: Rig) -> None:
    job_id = await quiet.create_job()
    told = await quiet.call("job-status", {"jobId": job_id})
    assert (told["progress"], told["estimatedTimeRemaining"], told["job"]["progress"]) == (None, None, None)
    assert told["metrics"] == {"loss": [], "accuracy": [], "valLoss": [], "valAccuracy": []}


async def test_refresh_asks_the_provider_and_does_not_only_say_so(tmp_path: Path) -> None:
    slow = {"courier": {"poll_s": {"simulated": 3600}}}
    async with running(tmp_path / "d", given=slow) as rig:
        job_id = await rig.create_job(steps=10)
        await rig.job_when(job_id, lambda job: job.progress is not None)
        polls = rig.remote(job_id).polls
        for n in (1, 2):
            told = await rig.call("job-status", {"jobId": job_id, "refresh": True})
            assert told["refreshed"] is True
            assert told["job"]["progress"]["step"] > n
            assert rig.remote(job_id).polls >= polls + n


async def test_refresh_answers_at_once_where_there_is_nobody_to_ask(rig: Rig) -> None:
    job_id = await rig.create_job(lostReply=True, searchable=False)
    await rig.job_when(job_id, lambda job: job.phase == "submission_uncertain")
    assert (await rig.call("job-status", {"jobId": job_id, "refresh": True}))["refreshed"] is False


async def test_refresh_of_an_ended_job_changes_nothing(rig: Rig) -> None:
    job_id = await rig.create_job(flipAfterEnd=True)
    await rig.ended(job_id)
    version = len(await rig.types(f"job/{job_id}"))
    told = await rig.call("job-status", {"jobId": job_id, "refresh": True})
    assert (told["status"], told["refreshed"]) == (JobStatus.SUCCEEDED, False)
    assert len(await rig.types(f"job/{job_id}")) == version


async def test_an_unknown_job_is_not_found_and_bad_params_are_named(quiet: Rig) -> None:
    assert (await quiet.refused("job-status", {"jobId": "job-nowhere"})).kind == "not_found"
    error = await quiet.refused("job-status", {"job": 1, "maxPoints": 0})
    assert {problem.field for problem in error.details} == {"job", "jobId", "maxPoints"}
