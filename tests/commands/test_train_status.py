"""train-status is the existing system's view of the same job, by the same id."""

from tests.daemon.daemon_rig import Rig


async def test_before_during_and_after(rig: Rig) -> None:
    job_id = await rig.create_job(secondsPerStep=3600)
    await rig.job_when(job_id, lambda job: job.status == "running")
    told = await rig.call("train-status", {"sessionId": job_id})
    assert (told["success"], told["status"], told["metrics"]["finalLoss"]) == (False, "running", None)
    done = await rig.create_job(steps=3)
    job = await rig.ended(done)
    told = await rig.call("train-status", {"sessionId": done})
    assert (told["success"], told["progress"], told["layerId"], told["adopted"]) == (True, 1.0, job.layer_id, True)
    assert told["metrics"]["finalLoss"] is not None
    assert told["metrics"]["trainingTime"] is None, "a number that nobody measured is null"


async def test_a_failure_says_why(rig: Rig) -> None:
    job_id = await rig.create_job(failAtStep=2)
    await rig.ended(job_id)
    told = await rig.call("train-status", {"sessionId": job_id})
    assert (told["success"], told["error"]["kind"]) == (False, "training_failed")


async def test_an_unknown_session_is_not_found(quiet: Rig) -> None:
    assert (await quiet.refused("train-status", {"sessionId": "job-nowhere"})).kind == "not_found"
    assert (await quiet.refused("train-status", {"jobId": "x"})).field in ("sessionId", "jobId")
