"""job-resume goes on from the last checkpoint as a new attempt; nothing measured is lost or doubled."""

from pathlib import Path

from tests.daemon.daemon_rig import OFTEN, SELDOM, Rig, running

from genomed.entities.types import JobStatus


async def steps_of(rig: Rig, job_id: str) -> list[int]:
    series = (await rig.call("job-metrics", {"jobId": job_id, "names": ["loss"], "maxPoints": 5000}))["series"]
    return [point["step"] for point in series["loss"]]


async def test_a_paused_job_goes_on_where_it_was_without_a_gap_in_its_metrics(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=SELDOM) as rig:
        job_id = await rig.create_job(steps=10)
        await rig.job_when(job_id, lambda job: job.progress is not None)
        while (await rig.job(job_id)).checkpoint is None:
            await rig.call("job-status", {"jobId": job_id, "refresh": True})
        await rig.call("job-pause", {"jobId": job_id})
        paused = await rig.job_when(job_id, lambda job: job.status is JobStatus.PAUSED or job.terminal)
        assert paused.status is JobStatus.PAUSED
        answer = await rig.call("job-resume", {"jobId": job_id})
        assert (answer["accepted"], answer["job"]["status"]) == (True, "queued")
        await rig.reconfigure(OFTEN)
        job = await rig.ended(job_id)
        assert (job.status, len(job.attempts), job.attempts[1].resume) == (JobStatus.SUCCEEDED, 2, True)
        assert await steps_of(rig, job_id) == list(range(1, 11))
        assert rig.remote(job_id, attempt=2).first_step > 0


async def test_a_failed_job_goes_on_from_its_checkpoint(rig: Rig) -> None:
    job_id = await rig.create_job(steps=10, failAtStep=7)
    assert (await rig.ended(job_id)).status is JobStatus.FAILED
    answer = await rig.call("job-resume", {"jobId": job_id})
    assert "goes on from step 5" in answer["message"]
    job = await rig.ended(job_id)
    assert (job.status, job.error) == (JobStatus.SUCCEEDED, None)
    assert await steps_of(rig, job_id) == list(range(1, 11))


async def test_a_job_that_left_no_checkpoint_cannot_be_resumed_and_the_remedy_is_retry(rig: Rig) -> None:
    job_id = await rig.create_job(steps=10, failAtStep=1)
    await rig.ended(job_id)
    error = await rig.refused("job-resume", {"jobId": job_id})
    assert (error.kind, error.remedy) == ("conflict", "start over with genome/job-retry")


async def test_a_running_or_succeeded_job_cannot_be_resumed(rig: Rig) -> None:
    job_id = await rig.create_job(secondsPerStep=3600)
    await rig.job_when(job_id, lambda job: job.status is JobStatus.RUNNING)
    assert (await rig.refused("job-resume", {"jobId": job_id})).kind == "conflict"
    done = await rig.create_job()
    await rig.ended(done)
    assert (await rig.refused("job-resume", {"jobId": done})).kind == "conflict"
    assert (await rig.refused("job-resume", {"jobId": "job-nowhere"})).kind == "not_found"
