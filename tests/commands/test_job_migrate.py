"""job-migrate shows what changes before anything does; then the same dataset and settings are a new job elsewhere."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from tests.daemon.daemon_rig import Json, Rig, running

from genomed.adapters.simulated import Simulated
from genomed.commands.context import Caller
from genomed.entities.capabilities import Features, ProviderCapabilities, Sunset
from genomed.entities.configuration import JobConfiguration
from genomed.entities.events import JobCreated
from genomed.entities.facts import DatasetFacts, Estimate
from genomed.entities.limits import Range
from genomed.entities.types import JobStatus, Role, TrainingMethod


class Elsewhere(Simulated):
    """The simulation under another name, stricter, paid, and about to close."""

    async def capabilities(self) -> ProviderCapabilities:
        able = await super().capabilities()
        known = {name: one for name, one in able.custom_parameters.items() if name != "secondsPerStep"}
        return msgspec.structs.replace(
            able,
            provider="local",
            paid=True,
            supported_methods=(TrainingMethod.LORA,),
            parameter_ranges={"schedule": {"epochs": Range(min=1, max=4, default=3)}},
            custom_parameters=known,
            features=Features(pause=False, download=False),
            sunset=Sunset(message="it closes", source="its page", last_new_job="2999-01-01"),
        )

    async def estimate(self, configuration: JobConfiguration, dataset: DatasetFacts) -> Estimate:
        return Estimate(usd=3.0, basis="a table", source="price_table")


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    given: Json = {"allowed_providers": ["simulated", "local"], "budget": {"overall": {"monthUsd": 5}}}
    async with running(tmp_path / "d", given=given, triggers=False) as rig:
        simulated = rig.parts.providers.get("simulated")
        assert isinstance(simulated, Simulated)
        elsewhere = Elsewhere.__new__(Elsewhere)
        elsewhere.__dict__.update(simulated.__dict__)
        rig.parts.providers._made["local"] = elsewhere
        yield rig


async def migrated(rig: Rig, job_id: str, **more: object) -> Json:
    return await rig.call("job-migrate", {"jobId": job_id, "provider": "local", **more})


async def test_without_apply_the_differences_are_shown_and_nothing_changes(rig: Rig) -> None:
    job_id = await rig.create_job(steps=3)
    await rig.ended(job_id)
    before = rig.journal.head()
    shown = await migrated(rig, job_id)
    assert rig.journal.head() == before
    assert (shown["applied"], shown["valid"], shown["jobId"]) == (False, True, None)
    fields = {one["field"]: one for one in shown["changes"]}
    assert (fields["metadata.steps"]["change"], fields["metadata.steps"]["sentAfter"]) == ("same", 3)
    features = {one["feature"]: (one["before"], one["after"]) for one in shown["features"]}
    assert (features["pause"], features["download"]) == ((True, False), (True, False))
    assert (shown["before"]["estimate"]["usd"], shown["after"]["estimate"]["usd"]) == (0.0, 3.0)
    assert shown["after"]["sunset"]["message"] == "it closes"
    assert any("2999-01-01" in warning["message"] for warning in shown["warnings"])


async def test_with_apply_a_new_job_has_the_same_dataset_and_settings_and_the_old_one_goes_on(rig: Rig) -> None:
    job_id = await rig.create_job(steps=100_000)
    shown = await migrated(rig, job_id, apply=True)
    assert shown["applied"] is True
    assert f"job {job_id} on simulated goes on" in shown["message"]
    assert "job-cancel" in shown["message"]
    [created] = await rig.events(f"job/{shown['jobId']}", JobCreated)
    old = await rig.job(job_id)
    assert (created.migrated_from, created.origin, created.provider) == (job_id, "migrate", "local")
    assert (created.configuration, created.dataset_id, created.asked) == (old.configuration, old.dataset_id, old.asked)
    assert not old.terminal
    assert not old.pending_cancel
    [held] = (await rig.call("budget-status"))["open"]
    assert (held["jobId"], held["usd"]) == (shown["jobId"], 3.0)
    error = await rig.execute("job-migrate", {"jobId": job_id, "provider": "local", "apply": True})
    assert "budget_exceeded" in str(error.error)
    await rig.call("job-cancel", {"jobId": job_id})


async def test_what_is_refused_there_is_named_and_dropped_only_when_that_is_said(rig: Rig) -> None:
    job_id = await rig.create_job(secondsPerStep=0, steps=3)
    await rig.ended(job_id)
    shown = await migrated(rig, job_id)
    assert (shown["valid"], shown["kind"], shown["droppable"]) == (False, "unsupported", ["metadata.secondsPerStep"])
    first = shown["changes"][0]
    assert (first["field"], first["change"], first["before"]) == ("metadata.secondsPerStep", "refused", "sent")
    assert "no such parameter" in first["note"]
    error = await rig.refused("job-migrate", {"jobId": job_id, "provider": "local", "apply": True})
    assert (error.kind, error.field) == ("unsupported", "configuration.metadata.secondsPerStep")
    applied = await migrated(rig, job_id, apply=True, drop=["metadata.secondsPerStep"])
    dropped = [one["field"] for one in applied["changes"] if one["change"] == "dropped"]
    assert dropped == ["metadata.secondsPerStep"]
    [created] = await rig.events(f"job/{applied['jobId']}", JobCreated)
    assert dict(created.configuration.metadata) == {"steps": 3}
    assert "metadata.secondsPerStep" not in created.asked


async def test_a_base_model_and_parameters_of_the_other_provider_take_the_old_ones_place(rig: Rig) -> None:
    job_id = await rig.create_job(steps=3)
    await rig.ended(job_id)
    shown = await migrated(rig, job_id, baseModel="their-name", metadata={"steps": 7}, apply=True)
    [created] = await rig.events(f"job/{shown['jobId']}", JobCreated)
    assert created.configuration.model.base_model == "their-name"
    assert dict(created.configuration.metadata) == {"steps": 7}
    changed = {one["field"] for one in shown["changes"] if one["change"] == "changed"}
    assert changed >= {"model.baseModel", "metadata.steps"}
    assert (shown["before"]["baseModel"], shown["after"]["baseModel"]) == ("tiny", "their-name")


async def test_dropping_what_is_not_there_or_cannot_be_missed_is_refused(rig: Rig) -> None:
    job_id = await rig.create_job(steps=3)
    params = {"jobId": job_id, "provider": "local"}
    await rig.ended(job_id)
    assert (await rig.refused("job-migrate", params | {"drop": ["hardware.gpuType"]})).field == "drop"
    error = await rig.refused("job-migrate", params | {"drop": ["model.baseModel"]})
    assert (error.kind, error.field) == ("invalid_request", "configuration.model.baseModel")


async def test_to_where_it_is_already_or_to_nowhere_a_job_does_not_move(rig: Rig) -> None:
    job_id = await rig.create_job(steps=3)
    await rig.ended(job_id)
    error = await rig.refused("job-migrate", {"jobId": job_id, "provider": "simulated"})
    assert (error.field, "job-retry" in (error.remedy or "")) == ("provider", True)
    assert (await rig.refused("job-migrate", {"jobId": job_id, "provider": "nowhere"})).kind == "not_found"
    assert (await rig.refused("job-migrate", {"jobId": "job-nowhere", "provider": "local"})).kind == "not_found"
    agent = Caller(actor="uid:7", role=Role.CAPTURE)
    assert (await rig.refused("job-migrate", {"jobId": job_id, "provider": "local"}, caller=agent)).kind == "forbidden"


async def test_a_job_of_a_provider_that_is_not_allowed_any_more_can_still_move(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given={"allowed_providers": ["simulated"]}) as rig:
        job_id = await rig.create_job(steps=3)
        assert (await rig.ended(job_id)).status is JobStatus.SUCCEEDED
    async with running(tmp_path / "d", given={"allowed_providers": ["local"]}, courier=False, triggers=False) as rig:
        shown = await migrated(rig, job_id)
        assert all(one["before"] is None for one in shown["features"])


async def test_an_archived_dataset_goes_nowhere_else(rig: Rig) -> None:
    dataset_id = await rig.dataset()
    job_id = await rig.create_job(dataset_id=dataset_id)
    await rig.ended(job_id)
    await rig.call("dataset-archive", {"datasetId": dataset_id, "reason": "bad labels"})
    error = await rig.refused("job-migrate", {"jobId": job_id, "provider": "local"})
    assert (error.kind, error.field) == ("conflict", "configuration.datasets.trainingFileId")
