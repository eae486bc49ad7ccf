"""The daemon stops before and after every append and call of a deployment: it is made once, and it ends."""

from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from tests.crash.stops import Fate, Mortal, MortalJournal
from tests.daemon.daemon_rig import Json, Rig, running

from genomed.adapters.simulated.serving import Served
from genomed.daemon.journal.journal import Journal
from genomed.entities.deployment import Deployment, deployment_key

pytestmark = [pytest.mark.crash]

SERVING_CALLS = ("deploy", "find", "state", "undeploy")
LOOK_UPS = {"deployment.unknown", "deployment.not_found"}


class MortalProvider:
    """A provider whose serving is made of steps."""

    def __init__(self, real: Any, fate: Fate) -> None:
        self._real = real
        self.serving = Mortal(real.serving, fate, SERVING_CALLS)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def given(faults: Json) -> Json:
    return {
        "allowed_providers": ["simulated"],
        "courier": {"poll_s": {"simulated": 0.001}},
        "providers": {"simulated": {"serving": {"hourly_usd": 2, **faults}}},
    }


async def asked_for(data_dir: Path) -> str:
    """A layer, and the wish to have it served; nothing was sent yet."""
    async with running(data_dir, given=given({}), triggers=False) as rig:
        layer_id = (await rig.ended(await rig.create_job())).layer_id
    async with running(data_dir, given=given({}), courier=False, triggers=False) as rig:
        answer = await rig.call("layer-deploy", {"layerId": layer_id, "hours": 5})
        return str(answer["deployment"]["deploymentId"])


async def deployment_of(rig: Rig, deployment_id: str) -> Deployment:
    state = (await rig.journal.load(f"deployment/{deployment_id}")).state
    assert isinstance(state, Deployment)
    return state


async def lived(data_dir: Path, deployment_id: str, faults: Json, *, die_at: int | None = None) -> list[str]:
    """A daemon's life until the deployment has ended or its fate has come; a person ends it once it is ready."""
    fate = Fate(die_at)

    def mortal(journal: Journal) -> Any:
        return MortalJournal(journal, fate)

    async with running(
        data_dir, given=given(faults), courier=False, triggers=False, journal_seen_by_parts=mortal
    ) as rig:
        loop = rig.parts.deployments
        provider_of = loop._provider_of
        served: Any = lambda name: MortalProvider(provider_of(name), fate)  # noqa: E731 -- stands in for a method
        loop._provider_of = served
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(loop.run)
            asked = False

            async def over() -> bool:
                nonlocal asked
                state = await deployment_of(rig, deployment_id)
                if state.state == "ready" and state.ending is None and not asked and not fate.died.is_set():
                    asked = True
                    tasks.start_soon(rig.execute, "layer-undeploy", {"deploymentId": deployment_id})
                return fate.died.is_set() or state.terminal

            await rig.until(over, "the end")
            tasks.cancel_scope.cancel()
    return fate.steps


async def outcome(data_dir: Path, deployment_id: str) -> Json:
    async with running(data_dir, given=given({}), courier=False, triggers=False) as rig:
        path = anyio.Path(data_dir) / "jobs" / "simulated-serving" / f"{deployment_key(deployment_id)}.json"
        there = msgspec.json.decode(await path.read_bytes(), type=Served)
        state = await deployment_of(rig, deployment_id)
        status = await rig.call("budget-status")
        types = await rig.types(f"deployment/{deployment_id}")
        assert (await rig.call("log-verify"))["ok"] is True
        return {
            "state": state.state,
            "accepted": there.accepted,
            "word": there.word,
            "told once": [types.count(one) for one in ("deployment.accepted", "deployment.ready", "deployment.ended")],
            "events": sorted(set(types) - LOOK_UPS),
            "reserved": status["open"],
            "settled": [(await rig.types("spend/" + status["month"])).count("spend.settled")],
        }


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param({"lost_reply": True}, id="lost reply"),
        pytest.param({}, id="plain", marks=pytest.mark.long),
        pytest.param({"lost_request": True}, id="lost request", marks=pytest.mark.long),
        pytest.param({"looks_until_ready": 3, "looks_until_gone": 2}, id="slow", marks=pytest.mark.long),
    ],
)
async def test_wherever_it_stops_it_is_made_once_and_it_ends(tmp_path: Path, faults: Json) -> None:
    whole = tmp_path / "undisturbed"
    deployment_id = await asked_for(whole)
    steps = await lived(whole, deployment_id, faults)
    expected = await outcome(whole, deployment_id)
    assert (expected["state"], expected["accepted"], expected["word"]) == ("ended", 1, "GONE")
    assert (expected["reserved"], expected["settled"]) == ([], [1])
    for die_at in range(1, len(steps) + 1):
        folder = tmp_path / str(die_at)
        again = await asked_for(folder)
        taken = await lived(folder, again, faults, die_at=die_at)
        await lived(folder, again, faults)
        assert await outcome(folder, again) == expected, f"stopped at step {die_at}: {taken[:die_at][-1]}"
