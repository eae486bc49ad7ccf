"""provider-list names the providers that the operator allows, and marks the simulated one."""

from pathlib import Path

from tests.daemon.daemon_rig import Rig, running


async def test_simulated_is_available_and_marked(quiet: Rig) -> None:
    by_name = {one["provider"]: one for one in (await quiet.call("provider-list"))["providers"]}
    assert {"local", "simulated"} <= set(by_name)
    assert (by_name["simulated"]["available"], by_name["simulated"]["simulated"]) == (True, True)
    assert by_name["local"]["simulated"] is False
    assert by_name["local"]["available"] or by_name["local"]["reason"]


async def test_what_the_operator_does_not_allow_does_not_exist(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given={"allowed_providers": ["simulated"]}) as rig:
        assert [one["provider"] for one in (await rig.call("provider-list"))["providers"]] == ["simulated"]
        assert (await rig.refused("provider-capabilities", {"provider": "local"})).kind == "not_found"


async def test_it_takes_no_params(quiet: Rig) -> None:
    error = await quiet.refused("provider-list", {"all": True})
    assert (error.field, error.remedy) == ("all", "this takes no fields")
