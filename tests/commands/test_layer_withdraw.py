"""layer-withdraw has a result deleted at its provider, once nothing uses it; then nothing can use it any more."""

from pathlib import Path

import pytest
from tests.commands.served import a_layer, served, serving
from tests.daemon.daemon_rig import Json, Rig

from genomed.adapters.simulated.simulated_provider import Simulated
from genomed.entities.layer import Layer


async def unused(rig: Rig) -> str:
    """A layer that was not adopted."""
    return str((await rig.ended(await rig.create_job(candidateExactMatch=0.1))).layer_id)


async def withdrawn(rig: Rig, layer_id: str) -> Json:
    async def gone() -> bool:
        state = (await rig.journal.load(f"layer/{layer_id}")).state
        assert isinstance(state, Layer)
        return state.withdrawal is not None and state.withdrawal.withdrawn_us is not None

    await rig.until(gone, f"the withdrawal of {layer_id}")
    view: Json = (await rig.call("layer-show", {"layerId": layer_id}))["layer"]
    return view


async def test_it_is_asked_for_then_done_and_shown(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        layer_id = await unused(rig)
        answer = await rig.call("layer-withdraw", {"layerId": layer_id, "reason": "enough"})
        assert (answer["layer"]["withdrawn"]["reason"], answer["layer"]["withdrawn"]["withdrawnUs"]) == ("enough", None)
        view = await withdrawn(rig, layer_id)
        assert view["withdrawn"]["model"] == view["artifact"]["location"]
        [listed] = (await rig.call("layer-list"))["layers"]
        assert listed["withdrawn"] == view["withdrawn"]
        assert (await rig.types(f"layer/{layer_id}"))[-2:] == ["layer.withdrawal_requested", "layer.withdrawn"]


async def test_what_is_withdrawn_can_be_used_by_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        layer_id = await unused(rig)
        await rig.call("layer-withdraw", {"layerId": layer_id})
        await withdrawn(rig, layer_id)
        for name, more in (
            ("layer-withdraw", {}),
            ("layer-activate", {"force": True}),
            ("layer-deploy", {"hours": 1}),
            ("layer-compare", {"prompts": ["hello"]}),
        ):
            error = await rig.refused(name, {"layerId": layer_id, **more})
            assert (error.kind, "withdrawn" in error.message) == ("conflict", True), name


async def test_a_layer_in_use_stays_until_it_is_rolled_back(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        layer_id = await a_layer(rig)
        error = await rig.refused("layer-withdraw", {"layerId": layer_id})
        assert (error.kind, "layer-rollback" in (error.remedy or "")) == ("conflict", True)
        await rig.call("layer-rollback", {"personaId": "ada", "domain": "sums"})
        await rig.call("layer-withdraw", {"layerId": layer_id})
        await withdrawn(rig, layer_id)


async def test_a_rollback_passes_over_a_layer_that_was_withdrawn(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        first, second, third = [await a_layer(rig) for _ in range(3)]
        await rig.call("layer-withdraw", {"layerId": second})
        answer = await rig.call("layer-rollback", {"personaId": "ada", "domain": "sums"})
        assert (answer["layerId"], answer["restoredLayerId"]) == (third, first)


async def test_a_deployed_layer_stays_until_it_is_undeployed(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        layer_id = await unused(rig)
        await served(rig, layer_id)
        error = await rig.refused("layer-withdraw", {"layerId": layer_id})
        assert (error.kind, "layer-undeploy" in (error.remedy or "")) == ("conflict", True)


async def test_a_layer_that_a_job_goes_on_from_stays_and_no_job_goes_on_from_it_after(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        layer_id = await a_layer(rig)
        job_id = await rig.create_job(warmStart=True, secondsPerStep=60)
        await rig.call("layer-rollback", {"personaId": "ada", "domain": "sums"})
        error = await rig.refused("layer-withdraw", {"layerId": layer_id})
        assert (error.kind, "job-cancel" in (error.remedy or "")) == ("conflict", True)
        await rig.call("job-cancel", {"jobId": job_id})
        await rig.ended(job_id)
        await rig.call("layer-withdraw", {"layerId": layer_id})
        error = await rig.refused("job-retry", {"jobId": job_id})
        assert (error.kind, "withdrawn" in error.message) == ("conflict", True)


async def test_where_nothing_can_be_deleted_it_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(tmp_path) as rig:
        layer_id = await unused(rig)
        provider = rig.parts.providers.get("simulated")
        assert isinstance(provider, Simulated)
        monkeypatch.setattr(provider, "serving", None)
        error = await rig.refused("layer-withdraw", {"layerId": layer_id})
        assert (error.kind, error.field, "files of yours" in error.message) == ("unsupported", "layerId", True)


async def test_a_layer_that_does_not_exist_is_not_found(quiet: Rig) -> None:
    assert (await quiet.refused("layer-withdraw", {"layerId": "ly-nowhere"})).kind == "not_found"
