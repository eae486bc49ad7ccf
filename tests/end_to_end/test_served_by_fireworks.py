"""A layer trained at Fireworks is deployed at a shown price, compared with its base, and undeployed, by commands."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.commands.served import deployment, in_state
from tests.daemon.daemon_rig import Json, Rig, running
from tests.emulators.emulator import serving
from tests.emulators.fireworks_emulator import ACCOUNT, SMALL, FireworksEmulator

PRESET = "fireworks-slm-sft"


@asynccontextmanager
async def fireworks(root: Path) -> AsyncIterator[tuple[Rig, FireworksEmulator]]:
    async with serving(FireworksEmulator()) as emulator:
        given: Json = {
            "allowed_providers": ["fireworks"],
            "courier": {"poll_s": {"fireworks": 0.01}},
            "policies": {"fireworks": {"confirm": True}},
            "providers": {
                "fireworks": {
                    "base_url": emulator.base_url,
                    "account_id": ACCOUNT,
                    "settle_pause_s": 0,
                    "hourly_prices": {"NVIDIA_H200_141GB": 6.0},
                }
            },
        }
        environment = {"FIREWORKS_API_KEY": emulator.api_key}
        async with running(root / "d", given=given, triggers=False, environment=environment) as rig:
            yield rig, emulator


async def trained(rig: Rig) -> str:
    """By the preset that ships, on the base model that the emulator has."""
    wanted = {"name": PRESET, "trainingFileId": await rig.dataset(), "baseModel": SMALL}
    preset = await rig.call("preset-show", wanted)
    assert (preset["leftOpen"], preset["valid"], preset["errors"]) == ([], True, [])
    params: Json = {"personaId": "ada", "domain": "relations", "provider": preset["provider"]}
    created = await rig.call("job-create", params | {"configuration": preset["configuration"]})
    job = await rig.ended(created["jobId"])
    assert job.error is None
    return str(job.layer_id)


async def test_what_was_trained_is_served_compared_and_taken_down(tmp_path: Path) -> None:
    async with fireworks(tmp_path) as (rig, emulator):
        layer_id = await trained(rig)
        error = await rig.refused("layer-deploy", {"layerId": layer_id, "hours": 2})
        assert error.field == "acceptUnknownPrice"
        params: Json = {"layerId": layer_id, "hours": 2, "accelerator": "NVIDIA_H200_141GB"}
        answer = await rig.call("layer-deploy", params)
        assert (answer["hourly"]["usd"], answer["mostUsd"]) == (6.0, 12.0)
        deployment_id = answer["deployment"]["deploymentId"]
        await in_state(rig, deployment_id, "ready")
        told = await rig.call("layer-compare", {"layerId": layer_id, "prompts": "ucotron-five"})
        assert (told["tuned"]["answered"], told["base"]["answered"]) == (5, 5)
        first = told["comparisons"][0]
        assert (first["tuned"]["text"], first["base"]["text"]) == ("the tuned answer", "the base model's answer")
        assert first["prompt"] == "Alice works at Google"
        await rig.call("layer-undeploy", {"deploymentId": deployment_id})
        await in_state(rig, deployment_id, "ended")
        assert (await deployment(rig, deployment_id)).usd is not None
        assert list(emulator.deployed.values()) == [1]
        assert (await rig.call("budget-status"))["open"] == []
