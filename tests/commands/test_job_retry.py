"""job-retry starts a failed or cancelled job over as a new attempt, and takes its examples back."""

from tests.daemon.daemon_rig import Rig

from genomed.entities.types import JobStatus


async def test_a_failed_job_is_retried_from_its_first_step_as_a_second_attempt(rig: Rig) -> None:
    job_id = await rig.create_job(steps=6, failAtStep=3)
    failed = await rig.ended(job_id)
    assert failed.error is not None
    assert (failed.status, failed.error.kind) == (JobStatus.FAILED, "training_failed")
    await rig.call("job-retry", {"jobId": job_id})
    job = await rig.ended(job_id)
    assert (job.status, [attempt.number for attempt in job.attempts]) == (JobStatus.SUCCEEDED, [1, 2])
    assert [rig.remote(job_id, attempt=n).accepted for n in (1, 2)] == [1, 1]
    assert rig.remote(job_id, attempt=2).first_step == 0
    series = (await rig.call("job-metrics", {"jobId": job_id}))["series"]
    assert [point["step"] for point in series["loss"]] == [1, 2, 3, 4, 5, 6]


async def test_a_cancelled_job_can_be_retried(rig: Rig) -> None:
    job_id = await rig.create_job(secondsPerStep=3600)
    await rig.job_when(job_id, lambda job: job.status is JobStatus.RUNNING)
    await rig.call("job-cancel", {"jobId": job_id})
    await rig.ended(job_id)
    answer = await rig.call("job-retry", {"jobId": job_id})
    assert (answer["job"]["status"], answer["job"]["finishedUs"]) == ("queued", None)
    await rig.job_when(job_id, lambda job: len(job.attempts) == 2 and job.status is JobStatus.RUNNING)


async def test_a_rejected_submission_is_final_until_somebody_retries(rig: Rig) -> None:
    job_id = await rig.create_job(rejectCreate=True)
    job = await rig.ended(job_id)
    assert job.error is not None
    assert (job.status, job.error.kind, job.error.retryable) == (JobStatus.FAILED, "provider_rejected", False)
    assert (rig.remote(job_id).create_calls, rig.remote(job_id).accepted) == (1, 0)


async def test_a_job_that_runs_or_succeeded_is_not_retried(rig: Rig) -> None:
    done = await rig.create_job()
    await rig.ended(done)
    assert (await rig.refused("job-retry", {"jobId": done})).kind == "conflict"
    open_job = await rig.create_job(secondsPerStep=3600)
    await rig.job_when(open_job, lambda job: job.status is JobStatus.RUNNING)
    assert (await rig.refused("job-retry", {"jobId": open_job})).kind == "conflict"
    assert (await rig.refused("job-retry", {"jobId": "job-nowhere"})).kind == "not_found"


async def test_after_twenty_attempts_a_new_job_is_the_answer(rig: Rig) -> None:
    job_id = await rig.create_job(rejectCreate=True)
    for _ in range(19):
        await rig.ended(job_id)
        await rig.call("job-retry", {"jobId": job_id})
    assert len((await rig.ended(job_id)).attempts) == 20
    error = await rig.refused("job-retry", {"jobId": job_id})
    assert (error.kind, error.remedy) == ("conflict", "create a new job")


async def test_a_retry_takes_the_examples_back_that_the_failure_had_returned(rig: Rig) -> None:
    bucket_id = await rig.rule(metadata={"failAtStep": 2}, minExamples=1000, cooldownS=3600)
    await rig.captures(12)
    job_id = (await rig.call("bucket-flush", {"bucketId": bucket_id}))["jobId"]
    await rig.ended(job_id)
    assert (await rig.bucket())["counts"]["usable"] == 12
    await rig.call("job-retry", {"jobId": job_id})
    assert (await rig.bucket())["counts"]["usable"] == 0
    assert (await rig.ended(job_id)).status is JobStatus.SUCCEEDED
    assert await rig.types(f"bucket/{bucket_id}") == [
        "bucket.trigger_set",
        "bucket.examples_reserved",
        "bucket.examples_returned",
        "bucket.examples_reserved",
        "bucket.examples_consumed",
    ]
    totals = (await rig.call("overview"))["totals"]
    assert totals["examplesByState"] == {"consumed": 12}
