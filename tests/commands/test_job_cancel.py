"""job-cancel stops a job wherever it is, at its provider too; one that has ended says so and stays as it was."""

from pathlib import Path

from tests.daemon.daemon_rig import OFTEN, SELDOM, Rig, running

from genomed.entities.events import JobNoted
from genomed.entities.types import JobStatus


async def test_a_job_that_was_never_sent_is_cancelled_without_a_call(tmp_path: Path) -> None:
    one_slot = {"courier": {"slots": {"simulated": 1}, "poll_s": {"simulated": 0.01}}}
    async with running(tmp_path / "d", given=one_slot) as rig:
        first = await rig.create_job(secondsPerStep=3600)
        await rig.job_when(first, lambda job: job.status is JobStatus.RUNNING)
        waiting = await rig.create_job()
        await rig.job_when(waiting, lambda job: job.phase == "waiting_capacity")
        answer = await rig.call("job-cancel", {"jobId": waiting, "reason": "changed my mind"})
        assert (answer["accepted"], answer["job"]["phase"]) == (True, "cancelling")
        job = await rig.ended(waiting)
        assert (job.status, job.attempts) == (JobStatus.CANCELLED, ())
        assert job.finished_us is not None


async def test_a_running_job_is_stopped_at_its_provider(rig: Rig) -> None:
    job_id = await rig.create_job(secondsPerStep=3600)
    await rig.job_when(job_id, lambda job: job.status is JobStatus.RUNNING)
    await rig.call("job-cancel", {"jobId": job_id})
    job = await rig.ended(job_id)
    assert job.status is JobStatus.CANCELLED
    assert (rig.remote(job_id).want, rig.remote(job_id).word) == ("cancel", "STOPPED")


async def test_asking_twice_is_harmless_and_said(rig: Rig) -> None:
    job_id = await rig.create_job(secondsPerStep=3600, ignoreCancel=True)
    await rig.job_when(job_id, lambda job: job.status is JobStatus.RUNNING)
    assert (await rig.call("job-cancel", {"jobId": job_id}))["accepted"] is True
    again = await rig.call("job-cancel", {"jobId": job_id})
    assert (again["accepted"], "already" in again["message"]) == (False, True)
    assert (await rig.types(f"job/{job_id}")).count("job.cancel_requested") == 1


async def test_a_cancel_that_comes_too_late_leaves_the_success_and_notes_it(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=SELDOM) as rig:
        job_id = await rig.create_job(ignoreCancel=True)
        await rig.job_when(job_id, lambda job: job.status is JobStatus.RUNNING)
        await rig.call("job-cancel", {"jobId": job_id})
        await rig.reconfigure(OFTEN)
        job = await rig.ended(job_id)
        assert job.status is JobStatus.SUCCEEDED
        assert "cancel_too_late" in [note.code for note in await rig.events(f"job/{job_id}", JobNoted)]


async def test_cancelling_an_ended_job_reports_how_it_ended_and_writes_nothing(rig: Rig) -> None:
    job_id = await rig.create_job()
    await rig.ended(job_id)
    before = rig.journal.head()
    answer = await rig.call("job-cancel", {"jobId": job_id})
    assert (answer["accepted"], answer["job"]["status"]) == (False, "succeeded")
    assert "succeeded" in answer["message"]
    assert rig.journal.head() == before


async def test_an_unknown_job_is_not_found(quiet: Rig) -> None:
    assert (await quiet.refused("job-cancel", {"jobId": "job-nowhere"})).kind == "not_found"
    assert (await quiet.refused("job-cancel", {"jobId": ""})).details[0].field == "jobId"
