"""job-reject cancels what an agent or a trigger asked for; the examples and the money go back in the same append."""

from pathlib import Path

from tests.commands.test_job_approve import AGENT
from tests.daemon.daemon_rig import Json, Rig, running, simulated

from genomed.entities.types import JobStatus

PAID: Json = {"allowed_providers": ["simulated"], "providers": {"simulated": {"price_usd": 2.0}}}


async def test_a_rejected_job_is_cancelled_and_what_was_reserved_is_released(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=PAID) as rig:
        params: Json = {"personaId": "ada", "provider": "simulated"}
        await rig.execute("job-create", params | {"configuration": simulated(await rig.dataset())}, caller=AGENT)
        [held] = (await rig.call("budget-status"))["open"]
        assert (held["usd"], held["attemptOf"]) == (2.0, "create")
        position = rig.journal.head().position
        answer = await rig.call("job-reject", {"jobId": held["jobId"], "reason": "too dear"})
        assert (answer["job"]["status"], answer["job"]["message"]) == (JobStatus.CANCELLED, "too dear")
        assert [event.type for event in await rig.journal.read_all(after=position)] == [
            "job.rejected",
            "spend.released",
        ]
        assert (await rig.call("budget-status"))["open"] == []
        assert not (rig.data_dir / "jobs" / "simulated-provider").exists()
        assert (await rig.refused("job-reject", {"jobId": held["jobId"]})).kind == "conflict"


async def test_the_examples_of_a_trigger_that_was_refused_wait_again(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=PAID) as rig:
        await rig.rule(minExamples=10, cooldownS=3600)
        await rig.captures(10)

        async def waits() -> bool:
            jobs = (await rig.call("job-list"))["jobs"]
            return bool(jobs) and jobs[0]["awaitingApproval"] is True

        await rig.until(waits, "a job that waits for an operator")
        [job] = (await rig.call("job-list"))["jobs"]
        assert (await rig.call("overview"))["totals"]["examplesByState"] == {"reserved": 10}
        await rig.call("job-reject", {"jobId": job["jobId"]})
        assert (await rig.call("overview"))["totals"]["examplesByState"] == {"pending": 10}
        assert (await rig.bucket())["isLearning"] is False


async def test_an_agent_may_not_reject(quiet: Rig) -> None:
    job_id = await quiet.create_job()
    assert (await quiet.refused("job-reject", {"jobId": job_id}, caller=AGENT)).kind == "forbidden"
