"""job-resolve settles what no look-up can: a person says what is at the provider, and only then the job goes on."""

from tests.daemon.daemon_rig import Rig

from genomed.entities.types import JobStatus


async def uncertain(rig: Rig, **faults: bool | float) -> str:
    job_id = await rig.create_job(searchable=False, **faults)
    job = await rig.job_when(job_id, lambda job: job.phase == "submission_uncertain")
    assert (job.status, job.terminal) == (JobStatus.QUEUED, False)
    assert rig.remote(job_id).create_calls == 1
    return job_id


async def test_what_was_found_is_adopted_and_never_sent_again(rig: Rig) -> None:
    job_id = await uncertain(rig, lostReply=True)
    theirs = f"sim-{rig.remote(job_id).order.key}"
    await rig.call("job-resolve", {"jobId": job_id, "providerJobId": theirs})
    assert (await rig.ended(job_id)).status is JobStatus.SUCCEEDED
    assert (rig.remote(job_id).create_calls, rig.remote(job_id).accepted) == (1, 1)


async def test_when_nothing_is_there_it_is_sent_again_under_the_same_attempt(rig: Rig) -> None:
    job_id = await uncertain(rig, lostRequest=True)
    await rig.call("job-resolve", {"jobId": job_id})
    job = await rig.ended(job_id)
    assert (job.status, len(job.attempts)) == (JobStatus.SUCCEEDED, 1)
    assert (rig.remote(job_id).create_calls, rig.remote(job_id).accepted) == (2, 1)


async def test_a_key_resolves_once(rig: Rig) -> None:
    job_id = await uncertain(rig, lostRequest=True)
    first = await rig.call("job-resolve", {"jobId": job_id}, key="r")
    await rig.ended(job_id)
    assert await rig.call("job-resolve", {"jobId": job_id}, key="r") == first


async def test_a_job_about_which_nothing_is_uncertain_is_left_alone(rig: Rig) -> None:
    job_id = await rig.create_job()
    await rig.ended(job_id)
    assert (await rig.refused("job-resolve", {"jobId": job_id})).kind == "conflict"
    assert (await rig.refused("job-resolve", {"jobId": "job-nowhere"})).kind == "not_found"


async def test_an_uncertain_job_can_be_cancelled_once_it_is_resolved(rig: Rig) -> None:
    job_id = await uncertain(rig, lostReply=True, secondsPerStep=3600)
    await rig.call("job-cancel", {"jobId": job_id})
    await rig.call("job-resolve", {"jobId": job_id, "providerJobId": f"sim-{rig.remote(job_id).order.key}"})
    assert (await rig.ended(job_id)).status is JobStatus.CANCELLED
    assert rig.remote(job_id).want == "cancel"
