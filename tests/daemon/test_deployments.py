"""Deployments: one is made however often replies are lost and daemons restarted, and it ends, which is what costs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from tests.daemon.daemon_rig import Json, Rig, running

from genomed.adapters.simulated.serving import Served
from genomed.entities.deployment import Deployment, deployment_key


@asynccontextmanager
async def serving(root: Path, *, courier: bool = True, **knobs: object) -> AsyncIterator[Rig]:
    given: Json = {
        "allowed_providers": ["simulated"],
        "providers": {"simulated": {"serving": {"hourly_usd": 1.5, **knobs}}},
    }
    async with running(root / "d", given=given, triggers=False, courier=courier) as rig:
        yield rig


async def layer(rig: Rig) -> str:
    return str((await rig.ended(await rig.create_job())).layer_id)


async def deployed(rig: Rig, **more: object) -> str:
    answer = await rig.call("layer-deploy", {"layerId": await layer(rig), "hours": 2, **more})
    return str(answer["deployment"]["deploymentId"])


async def state(rig: Rig, deployment_id: str) -> Deployment:
    loaded = (await rig.journal.load(f"deployment/{deployment_id}")).state
    assert isinstance(loaded, Deployment)
    return loaded


async def reached(rig: Rig, deployment_id: str, *states: str) -> Deployment:
    async def there() -> bool:
        return (await state(rig, deployment_id)).state in states

    await rig.until(there, f"{states} of {deployment_id}")
    return await state(rig, deployment_id)


def remote(rig: Rig, deployment_id: str) -> Served:
    path = rig.data_dir / "jobs" / "simulated-serving" / f"{deployment_key(deployment_id)}.json"
    return msgspec.json.decode(path.read_bytes(), type=Served)


async def test_it_is_intended_before_it_is_asked_for_and_then_gets_ready(tmp_path: Path) -> None:
    async with serving(tmp_path, looks_until_ready=3) as rig:
        deployment_id = await deployed(rig)
        ready = await reached(rig, deployment_id, "ready")
        assert await rig.types(f"deployment/{deployment_id}") == [
            "deployment.requested",
            "deployment.intended",
            "deployment.accepted",
            "deployment.ready",
        ]
        assert ready.model is not None
        assert (remote(rig, deployment_id).calls, remote(rig, deployment_id).accepted) == (1, 1)


@pytest.mark.parametrize(
    ("knobs", "calls"),
    [({"lost_reply": True}, 1), ({"lost_request": True}, 2), ({"busy_times": 2}, 3), ({"broken_looks": 3}, 1)],
)
async def test_it_is_made_once_whatever_is_lost_on_the_way(tmp_path: Path, knobs: Json, calls: int) -> None:
    async with serving(tmp_path, **knobs) as rig:
        deployment_id = await deployed(rig)
        await reached(rig, deployment_id, "ready")
        assert (remote(rig, deployment_id).calls, remote(rig, deployment_id).accepted) == (calls, 1)


async def test_a_daemon_that_ended_between_the_intention_and_the_answer_finds_what_it_made(tmp_path: Path) -> None:
    async with serving(tmp_path, lost_reply=True, courier=True) as rig:
        layer_id = await layer(rig)
    async with serving(tmp_path, courier=False) as rig:
        answer = await rig.call("layer-deploy", {"layerId": layer_id, "hours": 2})
        deployment_id = answer["deployment"]["deploymentId"]
    async with serving(tmp_path, lost_reply=True) as rig:
        deployment = await reached(rig, deployment_id, "ready")
        assert deployment.provider_id is not None
        assert "deployment.unknown" in await rig.types(f"deployment/{deployment_id}")
        assert remote(rig, deployment_id).accepted == 1
    async with serving(tmp_path) as rig:
        await rig.call("layer-undeploy", {"deploymentId": deployment_id})
        await reached(rig, deployment_id, "ended")
        assert remote(rig, deployment_id).word == "GONE"


async def test_it_ends_by_itself_when_its_hours_are_over(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        deployment_id = await deployed(rig)
        await reached(rig, deployment_id, "ready")
        rig.clock.ahead_us = 2 * 3_600_000_000
        over = await reached(rig, deployment_id, "ended")
        assert over.ending == "its 2 h are over"
        assert over.usd is not None
        assert over.usd >= 3.0
        assert remote(rig, deployment_id).word == "GONE"


async def test_it_has_ended_only_when_the_provider_has_nothing_of_it_any_more(tmp_path: Path) -> None:
    async with serving(tmp_path, looks_until_gone=4) as rig:
        deployment_id = await deployed(rig)
        await reached(rig, deployment_id, "ready")
        await rig.call("layer-undeploy", {"deploymentId": deployment_id, "reason": "enough"})
        over = await reached(rig, deployment_id, "ended")
        assert (over.ending, over.message) == ("enough", "enough")
        assert remote(rig, deployment_id).undeploys == 5


async def test_what_fails_there_is_taken_down_there(tmp_path: Path) -> None:
    async with serving(tmp_path, fails=True) as rig:
        deployment_id = await deployed(rig)
        over = await reached(rig, deployment_id, "failed")
        assert over.error is not None
        assert remote(rig, deployment_id).word == "GONE"


async def test_what_is_refused_has_failed_and_what_was_reserved_is_released(tmp_path: Path) -> None:
    async with serving(tmp_path, rejects=True) as rig:
        deployment_id = await deployed(rig)
        await reached(rig, deployment_id, "failed")
        status = await rig.call("budget-status")
        assert status["open"] == []
        assert all(scope["month"]["settledUsd"] == 0 for scope in status["scopes"])


async def test_a_provider_that_refuses_to_be_asked_is_noted_once_and_asked_again(tmp_path: Path) -> None:
    async with serving(tmp_path, forbidden_looks=3) as rig:
        deployment_id = await deployed(rig)
        await reached(rig, deployment_id, "ready")
        types = await rig.types(f"deployment/{deployment_id}")
        assert types.count("deployment.troubled") == 1
        assert (await state(rig, deployment_id)).troubled is False


async def test_where_nobody_can_be_asked_a_person_says_what_is_there(tmp_path: Path) -> None:
    async with serving(tmp_path, lost_reply=True, searchable=False) as rig:
        deployment_id = await deployed(rig)
        await reached(rig, deployment_id, "uncertain")
        assert remote(rig, deployment_id).calls == 1
        error = await rig.refused("layer-undeploy", {"deploymentId": deployment_id})
        assert (error.kind, error.field) == ("conflict", "providerId")
        theirs = f"served-{deployment_key(deployment_id)}"
        await rig.call("layer-undeploy", {"deploymentId": deployment_id, "providerId": theirs})
        await reached(rig, deployment_id, "ended")
        assert remote(rig, deployment_id).word == "GONE"


async def test_the_ledger_holds_all_its_hours_and_in_the_end_those_it_ran(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        deployment_id = await deployed(rig)
        [held] = (await rig.call("budget-status"))["open"]
        assert (held["jobId"], held["usd"], held["attemptOf"]) == (deployment_id, 3.0, "deploy")
        await reached(rig, deployment_id, "ready")
        rig.clock.ahead_us = 3_600_000_000
        await rig.call("layer-undeploy", {"deploymentId": deployment_id})
        over = await reached(rig, deployment_id, "ended")
        status = await rig.call("budget-status")
        assert status["open"] == []
        [overall] = [scope for scope in status["scopes"] if scope["kind"] == "overall"]
        assert overall["month"]["settledUsd"] == pytest.approx(over.usd)
