"""layer-rollback goes back to the layer before, and at the end to the base model."""

from tests.daemon.daemon_rig import Rig

WHERE = {"personaId": "ada", "domain": "sums"}


async def test_step_by_step_back_to_the_base_model(rig: Rig) -> None:
    first, second = [(await rig.ended(await rig.create_job())).layer_id for _ in range(2)]
    back = await rig.call("layer-rollback", WHERE | {"reason": "it lies"})
    assert (back["layerId"], back["restoredLayerId"], back["generation"]) == (second, first, 3)
    back = await rig.call("layer-rollback", WHERE)
    assert (back["layerId"], back["restoredLayerId"]) == (first, None)
    assert (await rig.call("layer-list", {"active": True}))["layers"] == []
    assert (await rig.refused("layer-rollback", WHERE)).kind == "conflict"


async def test_two_base_models_need_the_base_model_named(rig: Rig) -> None:
    await rig.ended(await rig.create_job())
    configuration = {"model": {"baseModel": "other"}, "datasets": {"trainingFileId": await rig.dataset()},
                     "method": {"type": "lora"}}  # fmt: skip
    params = WHERE | {"provider": "simulated", "configuration": configuration}
    await rig.ended((await rig.call("job-create", params))["jobId"])
    error = await rig.refused("layer-rollback", WHERE)
    assert (error.field, error.remedy) == ("baseModel", "name the baseModel")
    assert (await rig.call("layer-rollback", WHERE | {"baseModel": "other"}))["restoredLayerId"] is None


async def test_a_genome_that_moved_on_is_a_conflict(rig: Rig) -> None:
    await rig.ended(await rig.create_job())
    assert (await rig.refused("layer-rollback", WHERE | {"expectedGeneration": 9})).field == "expectedGeneration"
    assert (await rig.refused("layer-rollback", {"personaId": "bob", "domain": "sums"})).kind == "conflict"
    error = await rig.refused("layer-rollback", {"personaId": "ada", "domian": "sums"})
    assert {problem.field for problem in error.details} == {"domain", "domian"}
