"""layer-undeploy asks for the end of a deployment, once, and lets a person say what nobody can ask."""

from pathlib import Path

from tests.commands.served import a_layer, deployment, in_state, served, serving
from tests.daemon.daemon_rig import Rig


async def test_it_ends_what_runs_and_a_second_wish_changes_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path, looks_until_gone=5) as rig:
        deployment_id = await served(rig, await a_layer(rig))
        first = await rig.call("layer-undeploy", {"deploymentId": deployment_id, "reason": "enough"})
        assert (first["accepted"], first["deployment"]["ending"]) == (True, "enough")
        second = await rig.execute("layer-undeploy", {"deploymentId": deployment_id})
        assert second.result is not None
        await in_state(rig, deployment_id, "ended")
        types = await rig.types(f"deployment/{deployment_id}")
        assert types.count("deployment.undeploy_requested") == 1
        assert (await rig.refused("layer-undeploy", {"deploymentId": deployment_id})).kind == "conflict"


async def test_of_what_is_known_nobody_says_otherwise(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        deployment_id = await served(rig, await a_layer(rig))
        for word in ({"nothingThere": True}, {"providerId": "x"}):
            assert (await rig.refused("layer-undeploy", {"deploymentId": deployment_id, **word})).kind == "conflict"
        both = {"deploymentId": deployment_id, "providerId": "x", "nothingThere": True}
        assert (await rig.refused("layer-undeploy", both)).field == "nothingThere"


async def test_when_it_is_certain_that_nothing_is_there_it_ends_without_a_cost(tmp_path: Path) -> None:
    async with serving(tmp_path, lost_request=True, searchable=False, hourly_usd=2) as rig:
        answer = await rig.call("layer-deploy", {"layerId": await a_layer(rig), "hours": 1})
        deployment_id = answer["deployment"]["deploymentId"]
        await in_state(rig, deployment_id, "uncertain")
        await rig.call("layer-undeploy", {"deploymentId": deployment_id, "nothingThere": True})
        await in_state(rig, deployment_id, "ended")
        assert (await deployment(rig, deployment_id)).usd == 0
        assert (await rig.call("budget-status"))["open"] == []


async def test_a_deployment_that_does_not_exist_is_not_found(quiet: Rig) -> None:
    assert (await quiet.refused("layer-undeploy", {"deploymentId": "dep-nowhere"})).kind == "not_found"
