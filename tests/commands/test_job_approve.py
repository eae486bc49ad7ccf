"""job-approve lets go what an agent asked for, once; nothing of it is sent before."""

from pathlib import Path

import pytest
from tests.daemon.daemon_rig import Rig, running, simulated

from genomed.commands.context import Caller
from genomed.entities.provision_events import ApprovalGranted
from genomed.entities.types import JobPhase, JobStatus, Role

AGENT = Caller(actor="uid:7", role=Role.CAPTURE)


async def asked_by_an_agent(rig: Rig) -> str:
    configuration = simulated(await rig.dataset())
    params = {"personaId": "ada", "provider": "simulated", "domain": "sums", "configuration": configuration}
    reply = await rig.execute("job-create", params, caller=AGENT)
    assert reply.error is not None
    [job] = (await rig.call("job-list"))["jobs"]
    assert (job["phase"], job["awaitingApproval"]) == (JobPhase.AWAITING_APPROVAL, True)
    return str(job["jobId"])


async def test_what_an_agent_asked_for_waits_and_begins_once_it_is_approved(rig: Rig) -> None:
    job_id = await asked_by_an_agent(rig)
    answer = await rig.call("job-approve", {"jobId": job_id, "reason": "fine"})
    assert (answer["accepted"], answer["job"]["awaitingApproval"]) == (True, False)
    assert (await rig.ended(job_id)).status is JobStatus.SUCCEEDED
    [granted] = await rig.events(f"job/{job_id}", ApprovalGranted)
    assert granted.reason == "fine"
    types = await rig.types(f"job/{job_id}")
    assert types.index("job.approved") < types.index("job.submission_intended")


async def test_nothing_is_sent_before_it_is_approved(quiet: Rig) -> None:
    await asked_by_an_agent(quiet)
    assert not (quiet.data_dir / "jobs" / "simulated-provider").exists()


async def test_an_agent_may_not_approve_and_nobody_approves_twice(quiet: Rig) -> None:
    job_id = await asked_by_an_agent(quiet)
    assert (await quiet.refused("job-approve", {"jobId": job_id}, caller=AGENT)).kind == "forbidden"
    await quiet.call("job-approve", {"jobId": job_id})
    assert (await quiet.refused("job-approve", {"jobId": job_id})).kind == "conflict"


@pytest.mark.parametrize("name", ["job-approve", "job-reject"])
async def test_a_job_that_waits_for_nobody_is_left_alone(quiet: Rig, name: str) -> None:
    job_id = await quiet.create_job()
    assert (await quiet.refused(name, {"jobId": job_id})).kind == "conflict"
    assert (await quiet.refused(name, {"jobId": "job-nowhere"})).kind == "not_found"


async def test_it_still_waits_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        job_id = await asked_by_an_agent(rig)
    async with running(tmp_path / "d") as rig:
        assert (await rig.job(job_id)).awaiting_approval is True
        await rig.call("job-approve", {"jobId": job_id})
        assert (await rig.ended(job_id)).status is JobStatus.SUCCEEDED
