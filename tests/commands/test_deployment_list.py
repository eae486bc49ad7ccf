"""deployment-list says what is served where, until when, and what all of it costs an hour."""

from pathlib import Path

from tests.commands.served import a_layer, in_state, served, serving
from tests.daemon.daemon_rig import Rig


async def test_open_and_ended_ones_are_told_apart_and_the_open_ones_summed(tmp_path: Path) -> None:
    async with serving(tmp_path, hourly_usd=1.5) as rig:
        first, second = await a_layer(rig), await a_layer(rig)
        ended = await served(rig, first)
        await rig.call("layer-undeploy", {"deploymentId": ended})
        await in_state(rig, ended, "ended")
        open_ones = [await served(rig, first), await served(rig, second, accelerators=2)]
        every = await rig.call("deployment-list")
        assert [one["deploymentId"] for one in every["deployments"]] == [open_ones[1], open_ones[0], ended]
        assert every["openHourlyUsd"] == 4.5
        shown = (await rig.call("deployment-list", {"open": True, "layerId": second}))["deployments"]
        assert [(one["deploymentId"], one["state"]) for one in shown] == [(open_ones[1], "ready")]
        assert shown[0]["dueUs"] == shown[0]["meteredUs"] + 2 * 3_600_000_000
        over = (await rig.call("deployment-list", {"open": False}))["deployments"]
        assert [(one["deploymentId"], one["dueUs"]) for one in over] == [(ended, None)]
        page = await rig.call("deployment-list", {"limit": 2})
        rest = await rig.call("deployment-list", {"limit": 2, "cursor": page["nextCursor"]})
        assert [one["deploymentId"] for one in rest["deployments"]] == [ended]


async def test_without_any_the_list_is_empty_and_costs_nothing(quiet: Rig) -> None:
    answer = await quiet.call("deployment-list")
    assert (answer["deployments"], answer["openHourlyUsd"], answer["nextCursor"]) == ([], 0, None)
