"""A consent that is withdrawn while a job waits keeps its rows in the house."""

from pathlib import Path

from tests.crash.cloud_worlds import world
from tests.daemon.cloud_rig import EVERY_CLOUD, settings
from tests.daemon.daemon_rig import running

from genomed.entities.events import JobFailed
from genomed.entities.types import JobStatus


@EVERY_CLOUD
async def test_a_job_whose_consent_was_withdrawn_before_it_sent_its_rows_sends_none(name: str, tmp_path: Path) -> None:
    async with world(name) as there:
        given, environment = settings(there), there.environment
        async with running(tmp_path / "d", given=given, environment=environment, courier=False) as rig:
            job_id = await there.create_job(rig)
            await rig.call("consent-withdraw", {"personaId": "ada", "provider": name})
        asked_before = len(there.emulator.calls)
        async with running(tmp_path / "d", given=given, environment=environment) as rig:
            assert (await rig.ended(job_id)).status is JobStatus.FAILED
            [failed] = await rig.events(f"job/{job_id}", JobFailed)
            assert (failed.error.kind, "withdrawn" in failed.error.message) == ("forbidden", True)
        sent = there.emulator.calls[asked_before:]
        assert not [one for one in sent if one.method in ("POST", "PUT")]
