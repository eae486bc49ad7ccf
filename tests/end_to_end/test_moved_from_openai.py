"""A job of a provider that closes: asked where it is hosted, then moved with its dataset, which is shown first."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.daemon.daemon_rig import Json, Rig, running
from tests.emulators.emulator import serving
from tests.emulators.fireworks_emulator import ACCOUNT, SMALL, FireworksEmulator
from tests.emulators.openai_emulator import BASE_MODEL, OpenAIEmulator

from genomed.entities.types import JobStatus


@asynccontextmanager
async def both(root: Path) -> AsyncIterator[Rig]:
    async with serving(OpenAIEmulator()) as closing, serving(FireworksEmulator()) as staying:
        given: Json = {
            "allowed_providers": ["openai", "fireworks"],
            "courier": {"poll_s": {"openai": 0.01, "fireworks": 0.01}},
            "providers": {
                "openai": {
                    "base_url": closing.base_url,
                    "lookup_lag_s": 0,
                    "base_learning_rates": {BASE_MODEL: 2e-5},
                    "prices": {BASE_MODEL: 25.0},
                },
                "fireworks": {
                    "base_url": staying.base_url,
                    "account_id": ACCOUNT,
                    "settle_pause_s": 0,
                    "prices": {SMALL: 0.5},
                },
            },
        }
        environment = {"OPENAI_API_KEY": closing.api_key, "FIREWORKS_API_KEY": staying.api_key}
        async with running(root / "d", given=given, triggers=False, environment=environment) as rig:
            yield rig


async def at_openai(rig: Rig) -> str:
    configuration: Json = {
        "model": {"baseModel": BASE_MODEL},
        "datasets": {"trainingFileId": await rig.dataset()},
        "method": {"type": "lora"},
        "schedule": {"epochs": 2},
        "optimizer": {"learningRate": 4e-5},
        "metadata": {"seed": 7},
    }
    params: Json = {"personaId": "ada", "domain": "sums", "provider": "openai", "configuration": configuration}
    return str((await rig.call("job-create", params))["jobId"])


async def test_it_is_asked_where_it_is_hosted_and_moves_after_its_differences_were_shown(tmp_path: Path) -> None:
    async with both(tmp_path) as rig:
        job_id = await at_openai(rig)
        job = await rig.ended(job_id)
        assert (job.status, job.error) == (JobStatus.SUCCEEDED, None)
        error = await rig.refused("layer-deploy", {"layerId": job.layer_id, "hours": 1})
        assert (error.kind, "without a deployment" in error.message) == ("unsupported", True)
        told = await rig.call("layer-compare", {"layerId": job.layer_id, "prompts": ["1+1?", "2+2?"]})
        assert (told["tuned"]["answered"], told["base"]["answered"], told["base"]["model"]) == (2, 2, BASE_MODEL)

        move: Json = {"jobId": job_id, "provider": "fireworks", "baseModel": SMALL}
        shown = await rig.call("job-migrate", move)
        assert (shown["valid"], shown["droppable"]) == (False, ["metadata.seed"])
        features = {one["feature"]: (one["before"], one["after"]) for one in shown["features"]}
        assert features["serving"] == (False, True)
        moved = await rig.call("job-migrate", move | {"drop": ["metadata.seed"], "apply": True})
        changes = {one["field"]: one for one in moved["changes"]}
        assert (changes["metadata.seed"]["change"], changes["schedule.epochs"]["change"]) == ("dropped", "same")
        assert changes["optimizer.learningRate"]["sentAfter"] == 4e-5
        assert moved["before"]["estimate"]["usd"] > moved["after"]["estimate"]["usd"] > 0
        there = await rig.ended(moved["jobId"])
        assert (there.status, there.dataset_id) == (JobStatus.SUCCEEDED, job.dataset_id)
        assert (await rig.job(job_id)).layer_id == job.layer_id
