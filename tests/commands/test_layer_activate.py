"""layer-activate puts a layer into use; one that is not proved better only by force."""

import anyio
from tests.daemon.daemon_rig import Rig

from genomed.entities.events import LayerActivated


async def worse_layer(rig: Rig) -> str:
    job = await rig.ended(await rig.create_job(candidateExactMatch=0.1))
    assert (job.adopted, job.layer_id is not None) == (False, True)
    return str(job.layer_id)


async def test_a_proved_layer_can_be_put_back_into_use(rig: Rig) -> None:
    first, second = [str((await rig.ended(await rig.create_job())).layer_id) for _ in range(2)]
    answer = await rig.call("layer-activate", {"layerId": first})
    assert (answer["previousLayerId"], answer["generation"]) == (second, 3)
    assert (await rig.call("layer-show", {"layerId": first}))["layer"]["active"] is True
    assert (await rig.call("layer-show", {"layerId": second}))["layer"]["active"] is False


async def test_an_unproved_layer_needs_force_and_the_log_says_that_it_was_forced(rig: Rig) -> None:
    layer_id = await worse_layer(rig)
    error = await rig.refused("layer-activate", {"layerId": layer_id})
    assert (error.kind, "force" in (error.remedy or "")) == ("conflict", True)
    await rig.call("layer-activate", {"layerId": layer_id, "force": True})
    [event] = await rig.events("genome/ada", LayerActivated)
    assert event.forced is True


async def test_the_active_layer_is_not_activated_again(rig: Rig) -> None:
    layer_id = (await rig.ended(await rig.create_job())).layer_id
    assert (await rig.refused("layer-activate", {"layerId": layer_id})).kind == "conflict"


async def test_an_expected_generation_that_has_passed_is_a_conflict(rig: Rig) -> None:
    layer_id = await worse_layer(rig)
    error = await rig.refused("layer-activate", {"layerId": layer_id, "force": True, "expectedGeneration": 4})
    assert error.field == "expectedGeneration"
    await rig.call("layer-activate", {"layerId": layer_id, "force": True, "expectedGeneration": 0})


async def test_of_many_that_activate_at_once_each_sees_the_one_before(rig: Rig) -> None:
    layers = [await worse_layer(rig) for _ in range(4)]

    async def one(layer_id: str) -> None:
        await rig.call("layer-activate", {"layerId": layer_id, "force": True})

    async with anyio.create_task_group() as tasks:
        for layer_id in layers:
            tasks.start_soon(one, layer_id)
    events = await rig.events("genome/ada", LayerActivated)
    assert [event.previous_layer_id for event in events] == [None, *[event.layer_id for event in events[:-1]]]


async def test_an_unknown_layer_is_not_found(quiet: Rig) -> None:
    assert (await quiet.refused("layer-activate", {"layerId": "ly-nowhere"})).kind == "not_found"
