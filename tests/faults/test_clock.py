"""The wall clock jumps, in either direction, in the middle of the work: order, waits and money stay right."""

from pathlib import Path

import pytest
from tests.daemon.daemon_rig import Rig, running
from tests.fault_record import record_fault

pytestmark = [pytest.mark.fault]

HOUR_US = 3_600 * 1_000_000
TEN_YEARS_US = 10 * 365 * 24 * HOUR_US

RULE = {
    "provider": "simulated",
    "minExamples": 10,
    "cooldownS": 60,
    "template": {"method": {"type": "lora"}, "metadata": {"steps": 2}},
}


async def learned(rig: Rig, first: int) -> str:
    """Ten more examples and the job that they start; its id."""
    known = {job["jobId"] for job in (await rig.call("job-list"))["jobs"]}
    for n in range(first, first + 10):
        await rig.capture(n)

    async def started() -> bool:
        return bool({job["jobId"] for job in (await rig.call("job-list"))["jobs"]} - known)

    await rig.until(started, "a job of the trigger")
    [job_id] = {job["jobId"] for job in (await rig.call("job-list"))["jobs"]} - known
    await rig.ended(job_id)
    return str(job_id)


async def with_rule(rig: Rig) -> None:
    where = {"personaId": "ada", "domain": "sums", "baseModel": "tiny"}
    await rig.call("trigger-set", where | {"rule": RULE})


@pytest.mark.parametrize(
    ("jump_us", "what"),
    [
        (-HOUR_US, "the clock goes back an hour"),
        (TEN_YEARS_US, "the clock goes forward ten years"),
        (0, "the clock stands"),
    ],
)
async def test_after_a_jump_the_log_stays_in_order_and_jobs_end(tmp_path: Path, jump_us: int, what: str) -> None:
    async with running(tmp_path / "d") as rig:
        job_id = await rig.create_job(steps=6, secondsPerStep=0.02)
        rig.clock.ahead_us += jump_us
        assert (await rig.ended(job_id)).status == "succeeded"
        await rig.captures(3)
        told = await rig.journal.read_all(after=0)
        assert [one.position for one in told] == list(range(1, len(told) + 1))
        assert (await rig.call("log-verify"))["ok"] is True
    async with running(tmp_path / "d") as rig:  # and a daemon that starts with the jumped clock's times in its log
        assert (await rig.call("log-verify"))["ok"] is True
        assert (await rig.ended(await rig.create_job(steps=2))).status == "succeeded"
    record_fault("clock", what, "order by position; jobs end")


async def test_a_clock_that_was_ten_years_ahead_for_a_while_does_not_stop_learning_for_ten_years(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "d") as rig:
        await with_rule(rig)
        rig.clock.ahead_us = TEN_YEARS_US
        first = await learned(rig, 0)
        rig.clock.ahead_us = 0
        second = await learned(rig, 10)
        assert first != second
        record_fault("clock", "ten years ahead, then right again", "the next job starts; no wait of years")


async def test_a_clock_set_back_by_an_hour_cools_down_for_two_cooldowns_at_most(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        await with_rule(rig)
        await learned(rig, 0)
        rig.clock.ahead_us = -HOUR_US
        await learned(rig, 10)
