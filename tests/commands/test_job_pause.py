"""job-pause holds a job, for a time or until it is resumed; an ended job cannot be held."""

from pathlib import Path

from tests.daemon.daemon_rig import Rig, running

from genomed.entities.events import ResumeRequested
from genomed.entities.types import JobStatus


async def held(rig: Rig, **given: object) -> str:
    job_id = await rig.create_job(steps=100_000)
    await rig.job_when(job_id, lambda job: job.progress is not None)
    answer = await rig.call("job-pause", {"jobId": job_id, **given})
    assert (answer["accepted"], answer["job"]["phase"]) == (True, "pausing")
    return job_id


async def test_a_running_job_is_paused_at_its_provider(rig: Rig) -> None:
    job_id = await held(rig)
    job = await rig.job_when(job_id, lambda job: job.status is JobStatus.PAUSED)
    assert (job.phase, rig.remote(job_id).word) == ("paused", "HELD")
    again = await rig.call("job-pause", {"jobId": job_id})
    assert again["accepted"] is False


async def test_a_pause_with_a_time_ends_by_itself(rig: Rig) -> None:
    job_id = await held(rig, ttlS=0.2)
    await rig.job_when(job_id, lambda job: len(job.attempts) == 2 and job.status is JobStatus.RUNNING)
    assert "job.paused" in await rig.types(f"job/{job_id}")
    assert [one.reason for one in await rig.events(f"job/{job_id}", ResumeRequested)] == ["the pause's time is over"]


async def test_a_pause_longer_than_a_week_is_refused_not_shortened(rig: Rig) -> None:
    job_id = await rig.create_job(secondsPerStep=3600)
    await rig.job_when(job_id, lambda job: job.status is JobStatus.RUNNING)
    error = await rig.refused("job-pause", {"jobId": job_id, "ttlS": 7 * 86_400 + 1})
    assert error.field == "ttlS"


async def test_a_job_that_waits_for_a_slot_is_paused_unsent_and_gives_its_place_up(tmp_path: Path) -> None:
    one_slot = {"courier": {"slots": {"simulated": 1}, "poll_s": {"simulated": 0.01}}}
    async with running(tmp_path / "d", given=one_slot) as rig:
        first, second, third = [await rig.create_job(secondsPerStep=3600) for _ in range(3)]
        await rig.job_when(third, lambda job: job.phase == "waiting_capacity")
        await rig.call("job-pause", {"jobId": second})
        assert (await rig.job_when(second, lambda job: job.status is JobStatus.PAUSED)).attempts == ()
        await rig.call("job-cancel", {"jobId": first})
        await rig.job_when(third, lambda job: job.status is JobStatus.RUNNING)
        assert (await rig.job(second)).status is JobStatus.PAUSED


async def test_an_ended_job_cannot_be_paused(rig: Rig) -> None:
    job_id = await rig.create_job()
    await rig.ended(job_id)
    assert (await rig.refused("job-pause", {"jobId": job_id})).kind == "conflict"
    assert (await rig.refused("job-pause", {"jobId": "job-nowhere"})).kind == "not_found"
