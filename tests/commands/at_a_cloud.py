"""An emulated cloud that takes rows: what tests of consent share. Jobs get no further than the log."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.crash.cloud_worlds import CLOUDS, world
from tests.daemon.daemon_rig import Json, Rig, running

from genomed.commands.context import Caller
from genomed.entities.types import Role

PROVIDER = "mistral"
MODEL = CLOUDS[PROVIDER].base_model
AGENT = Caller(actor="uid:1001", role=Role.CAPTURE)
BOUND = Caller(actor="token:tok-1", role=Role.OPERATE, personas=frozenset({"ada"}))


@asynccontextmanager
async def at_a_cloud(root: Path, *, guards: Json | None = None, triggers: bool = False) -> AsyncIterator[Rig]:
    async with world(PROVIDER) as there:
        given: Json = there.given | {
            "policies": {PROVIDER: {"confirm": False}},
            "guards": guards or {},
            "learning": {"base_model": MODEL, "trigger": {"provider": PROVIDER, "minExamples": 10, "cooldownS": 0}},
        }
        opened = running(root / "d", given=given, courier=False, triggers=triggers, environment=there.environment)
        async with opened as rig:
            yield rig


def wished(dataset_id: str, *, provider: str = PROVIDER) -> Json:
    configuration: Json = {
        "model": {"baseModel": MODEL},
        "datasets": {"trainingFileId": dataset_id},
        "method": {"type": "lora"},
    }
    return {"personaId": "ada", "provider": provider, "domain": "sums", "configuration": configuration}


async def consents(rig: Rig) -> list[tuple[str, str, str, str | None]]:
    found = (await rig.call("consent-list"))["consents"]
    return [(one["personaId"], one["provider"], one["state"], one["jobId"]) for one in found]
