"""Every part that works with a section that can be reloaded works with the new one, without a restart."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest
from tests.crash.cloud_worlds import world
from tests.daemon.cloud_rig import held_job, is_stalled, settings
from tests.daemon.daemon_rig import Json, Rig, running

from genomed.entities.types import JobPhase, JobStatus

FAST: Json = {"poll_s": {"simulated": 0.01}}
LEARNING: Json = {"base_model": "tiny", "trigger": {"provider": "simulated"}}


@pytest.fixture(autouse=True)
def log_level() -> Iterator[None]:
    before = logging.getLogger().level
    yield
    logging.getLogger().setLevel(before)


@pytest.fixture
async def quiet(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path / "d", courier=False, triggers=False) as rig:
        yield rig


async def test_a_job_that_waits_for_a_slot_goes_when_there_are_more(tmp_path: Path) -> None:
    given: Json = {"courier": FAST | {"slots": {"simulated": 1}}}
    async with running(tmp_path / "d", given=given, triggers=False) as rig:
        first = await rig.create_job(steps=100_000)
        await rig.job_when(first, lambda job: job.status == "running")
        second = await rig.create_job(steps=4)
        await rig.job_when(second, lambda job: job.phase is JobPhase.WAITING_CAPACITY)
        await rig.reconfigure({"courier": FAST | {"slots": {"simulated": 2}}})
        assert (await rig.ended(second)).status == "succeeded"
        assert (await rig.job(first)).status == "running"
        await rig.call("job-cancel", {"jobId": first})
        await rig.ended(first)


async def test_a_bucket_whose_rule_is_the_configurations_learns_by_the_new_one(tmp_path: Path) -> None:
    rule = {"provider": "simulated", "minExamples": 50, "highQualityExamples": 50, "cooldownS": 0}
    async with running(tmp_path / "d", given={"learning": {"base_model": "tiny", "trigger": rule}}) as rig:
        await rig.captures(12)
        assert (await rig.call("job-list"))["jobs"] == []
        await rig.reconfigure({"learning": {"base_model": "tiny", "trigger": rule | {"minExamples": 10}}})

        async def started() -> bool:
            return bool((await rig.call("job-list"))["jobs"])

        await rig.until(started, "a job by the new rule")


async def test_providers_come_and_go(quiet: Rig) -> None:
    await quiet.reconfigure({"allowed_providers": ["simulated"]})
    assert [one["provider"] for one in (await quiet.call("provider-list"))["providers"]] == ["simulated"]
    assert (await quiet.refused("provider-capabilities", {"provider": "local"})).kind == "not_found"
    await quiet.reconfigure({})
    assert {"local", "simulated"} <= set(quiet.parts.providers.names())


async def test_presets_prompts_and_trace_sources_are_the_new_ones(quiet: Rig) -> None:
    preset = {"provider": "simulated", "summary": "ours", "configuration": {"method": {"type": "lora"}}}
    source = {"kind": "chat_log", "path": "/nowhere", "domain": "sums"}
    await quiet.reconfigure({"presets": {"ours": preset}, "traces": {"talks": source}})
    assert (await quiet.call("preset-show", {"name": "ours"}))["name"] == "ours"
    assert [one["name"] for one in (await quiet.call("trace-source-list"))["sources"]] == ["talks"]
    await quiet.reconfigure({})
    assert (await quiet.refused("preset-show", {"name": "ours"})).kind == "not_found"


async def test_a_model_with_other_settings_is_another_model(quiet: Rig) -> None:
    one: Json = {"base_url": "http://127.0.0.1:1/v1", "model": "m"}
    await quiet.reconfigure({"models": {"writer": one}})
    models = quiet.parts.models
    before = models.get("writer")
    assert models.get("writer") is before
    await quiet.reconfigure({"models": {"writer": one | {"concurrency": 2}, "judge": one}})
    assert models.get("writer") is not before
    assert (models.get("writer").settings.concurrency, models.names()) == (2, ("judge", "writer"))


async def test_policies_and_caps_hold_from_the_next_command_on(quiet: Rig) -> None:
    given: Json = {"policies": {"simulated": {"confirm": True}}, "budget": {"overall": {"dayUsd": 3.0}}}
    given["allowed_providers"] = ["simulated"]
    await quiet.reconfigure(given)
    providers = {one["provider"]: one for one in (await quiet.call("provider-list"))["providers"]}
    assert providers["simulated"]["confirm"] is True
    assert "3" in str((await quiet.call("budget-status"))["budget"])


async def test_learning_tasks_are_opened_once_somebody_wants_them(quiet: Rig) -> None:
    await quiet.reconfigure({"self_tasks": {"enabled": False}})
    await quiet.captures(12)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(quiet.parts.self_tasks.run)
        await anyio.wait_all_tasks_blocked()
        await quiet.reconfigure({"self_tasks": {"enabled": True, "sweep_s": 0.02}})

        async def opened() -> bool:
            return bool((await quiet.call("task-list", {"personaId": "ada"}))["tasks"])

        await quiet.until(opened, "a task")
        tasks.cancel_scope.cancel()


async def test_a_job_that_stalled_over_a_key_goes_on_once_a_reload_says_that_it_is_mended(tmp_path: Path) -> None:
    async with world("together") as there:
        given, environment = settings(there), there.environment
        async with running(tmp_path / "d", given=given, environment=environment) as rig:
            job_id = await held_job(rig, there)
            environment[there.cloud.secret] = "a-key-that-was-revoked"
            await rig.job_when(job_id, is_stalled)
            environment[there.cloud.secret] = there.emulator.api_key
            there.emulator.release()
            await rig.reconfigure(given | {"log_level": "error"})
            assert (await rig.ended(job_id)).status is JobStatus.SUCCEEDED
