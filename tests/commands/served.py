"""What tests of serving share: a rig whose simulated provider serves as told, and a layer to serve."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.daemon.daemon_rig import Json, Rig, running

from genomed.entities.deployment import Deployment


@asynccontextmanager
async def serving(root: Path, *, more: Json | None = None, **knobs: object) -> AsyncIterator[Rig]:
    """knobs: of the simulation, see adapters.simulated.serving; more: further settings."""
    given: Json = {"allowed_providers": ["simulated"], "providers": {"simulated": {"serving": knobs}}}
    async with running(root / "d", given=given | (more or {}), triggers=False) as rig:
        yield rig


async def a_layer(rig: Rig) -> str:
    return str((await rig.ended(await rig.create_job())).layer_id)


async def deployment(rig: Rig, deployment_id: str) -> Deployment:
    state = (await rig.journal.load(f"deployment/{deployment_id}")).state
    assert isinstance(state, Deployment)
    return state


async def in_state(rig: Rig, deployment_id: str, wanted: str) -> Deployment:
    async def there() -> bool:
        return (await deployment(rig, deployment_id)).state == wanted

    await rig.until(there, f"{wanted} of {deployment_id}")
    return await deployment(rig, deployment_id)


async def served(rig: Rig, layer_id: str, **more: object) -> str:
    """A deployment that answers."""
    answer = await rig.call("layer-deploy", {"layerId": layer_id, "hours": 2, **more})
    deployment_id = str(answer["deployment"]["deploymentId"])
    await in_state(rig, deployment_id, "ready")
    return deployment_id
