"""The daemon stops before and after every append and every call to a provider; the next one makes the same outcome.

In one process, so that the stop falls exactly between two steps: the parts are cut off and a new daemon opens the log.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.crash.stops import lived
from tests.daemon.daemon_rig import Json, Rig, running

from genomed.entities.types import JobStatus

pytestmark = [pytest.mark.crash]

LOOK_UPS = {"job.submission_unknown", "job.submission_not_found"}
FAST: Json = {"courier": {"poll_s": {"simulated": 0.001}}}


async def outcome(data_dir: Path) -> Json:
    """What may not depend on where the daemon stopped."""
    async with running(data_dir, courier=False, triggers=False) as rig:
        [shown] = (await rig.call("job-list"))["jobs"]
        job_id = shown["jobId"]
        job = await rig.job(job_id)
        assert (await rig.call("log-verify"))["ok"] is True
        types = await rig.types(f"job/{job_id}")
        series = (await rig.call("job-metrics", {"jobId": job_id}))["series"].get("loss", [])
        return {
            "status": job.status,
            "adopted": job.adopted,
            "verdict": job.verdict,
            "judgements": job.judgements,
            "checkpoint": job.checkpoint and job.checkpoint.step,
            "steps": [point["step"] for point in series],
            "attempts": len(job.attempts),
            "accepted": [rig.remote(job_id, attempt.number).accepted for attempt in job.attempts],
            "events": sorted(set(types) - LOOK_UPS),
            "told once": [types.count(one) for one in ("job.noted", "job.checkpoint_committed", "job.submitted")],
            "endings": [types.count(one) for one in ("job.training_finished", "job.succeeded", "job.cancelled")],
            "bucket": await rig.types(f"bucket/{(await rig.bucket())['bucketId']}"),
            "examples": (await rig.call("overview"))["totals"]["examplesByState"],
            "active": len((await rig.call("layer-list", {"active": True}))["layers"]),
        }


async def ready_bucket(data_dir: Path, faults: Json) -> None:
    async with running(data_dir, courier=False, triggers=False) as rig:
        await rig.rule(minExamples=10, cooldownS=3600, metadata={"steps": 3, "forgetsKeys": True} | faults)
        for n in range(10):
            await rig.capture(n, sessionId=f"session-{n}")


async def every_stop_gives_the_same(tmp_path: Path, prepare: Callable[[Path], Awaitable[None]]) -> Json:
    await prepare(tmp_path / "undisturbed")
    steps = await lived(tmp_path / "undisturbed", given=FAST)
    expected = await outcome(tmp_path / "undisturbed")
    for die_at in range(1, len(steps) + 1):
        folder = tmp_path / str(die_at)
        await prepare(folder)
        taken = await lived(folder, given=FAST, die_at=die_at)
        await lived(folder, given=FAST)
        assert await outcome(folder) == expected, f"stopped at step {die_at}: {taken[:die_at][-1]}"
    return expected


@pytest.mark.parametrize(
    "faults",
    [{}, {"lostReply": True, "delayLookupTimes": 1}, {"lostRequest": True, "publishFailTimes": 1}],
    ids=["plain", "lost reply", "lost request"],
)
async def test_wherever_it_stops_the_job_succeeds_once_and_is_paid_once(tmp_path: Path, faults: Json) -> None:
    expected = await every_stop_gives_the_same(tmp_path, lambda folder: ready_bucket(folder, faults))
    assert (expected["status"], expected["accepted"], expected["examples"]) == (
        JobStatus.SUCCEEDED,
        [1],
        {"consumed": 10},
    )


async def test_wherever_it_stops_a_failure_returns_the_examples_once(tmp_path: Path) -> None:
    expected = await every_stop_gives_the_same(tmp_path, lambda folder: ready_bucket(folder, {"failAtStep": 1}))
    assert (expected["status"], expected["accepted"], expected["examples"]) == (JobStatus.FAILED, [1], {"pending": 10})
    assert expected["bucket"].count("bucket.examples_returned") == 1


async def test_wherever_it_stops_a_cancel_reaches_the_provider_and_the_examples_come_back_once(tmp_path: Path) -> None:
    async def running_and_unwanted(folder: Path) -> None:
        await ready_bucket(folder, {"secondsPerStep": 3600})
        async with running(folder, given=FAST) as rig:

            async def runs() -> bool:
                jobs = (await rig.call("job-list"))["jobs"]
                return bool(jobs) and jobs[0]["status"] == "running"

            await rig.until(runs, "a running job")
            job_id = await only_job(rig)
        async with running(folder, courier=False, triggers=False) as rig:
            await rig.call("job-cancel", {"jobId": job_id})

    expected = await every_stop_gives_the_same(tmp_path, running_and_unwanted)
    assert (expected["status"], expected["endings"]) == (JobStatus.CANCELLED, [0, 0, 1])
    assert expected["bucket"].count("bucket.examples_returned") == 1


async def only_job(rig: Rig) -> str:
    [job] = (await rig.call("job-list"))["jobs"]
    return str(job["jobId"])
