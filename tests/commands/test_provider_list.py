"""provider-list names the providers that the operator allows, and what each costs, lacks and announces."""

from pathlib import Path

import msgspec
import pytest
from tests.daemon.daemon_rig import Json, Rig, running

from genomed.adapters.simulated import Simulated
from genomed.entities.capabilities import ProviderCapabilities, Sunset


async def test_simulated_is_available_and_marked(quiet: Rig) -> None:
    by_name = {one["provider"]: one for one in (await quiet.call("provider-list"))["providers"]}
    assert {"local", "simulated"} <= set(by_name)
    assert (by_name["simulated"]["available"], by_name["simulated"]["simulated"]) == (True, True)
    assert (by_name["simulated"]["paid"], by_name["simulated"]["confirm"]) == (False, False)
    assert by_name["local"]["simulated"] is False
    assert by_name["local"]["available"] or by_name["local"]["reason"]


async def test_what_the_operator_does_not_allow_does_not_exist(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given={"allowed_providers": ["simulated"]}) as rig:
        assert [one["provider"] for one in (await rig.call("provider-list"))["providers"]] == ["simulated"]
        assert (await rig.refused("provider-capabilities", {"provider": "local"})).kind == "not_found"


@pytest.mark.parametrize(("policy", "confirm"), [({}, True), ({"confirm": False}, False)])
async def test_what_costs_money_is_confirmed_unless_the_configuration_says_otherwise(
    tmp_path: Path, policy: Json, confirm: bool
) -> None:
    given: Json = {
        "allowed_providers": ["simulated"],
        "providers": {"simulated": {"price_usd": 1.0}},
        "policies": {"simulated": policy},
    }
    async with running(tmp_path / "d", given=given, courier=False, triggers=False) as rig:
        [one] = (await rig.call("provider-list"))["providers"]
        assert (one["paid"], one["confirm"]) == (True, confirm)
        [described] = (await rig.call("provider-capabilities"))["providers"]
        assert described["confirm"] is confirm


async def test_missing_secrets_and_an_announced_end_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Simulated.capabilities
    sunset = Sunset(message="it closes", source="its page", last_new_job="2027-01-06")

    async def able(self: Simulated) -> ProviderCapabilities:
        secrets = {"env:THERE": True, "env:ABSENT": False}
        return msgspec.structs.replace(await plain(self), required_secrets=secrets, sunset=sunset)

    monkeypatch.setattr(Simulated, "capabilities", able)
    async with running(tmp_path / "d", given={"allowed_providers": ["simulated"]}, triggers=False) as rig:
        [one] = (await rig.call("provider-list"))["providers"]
        assert (one["missingSecrets"], one["sunset"]["lastNewJob"]) == (["env:ABSENT"], "2027-01-06")
        [described] = (await rig.call("provider-capabilities"))["providers"]
        assert described["missingSecrets"] == ["env:ABSENT"]
        assert described["capabilities"]["requiredSecrets"] == {"env:THERE": True, "env:ABSENT": False}


async def test_it_takes_no_params(quiet: Rig) -> None:
    error = await quiet.refused("provider-list", {"all": True})
    assert (error.field, error.remedy) == ("all", "this takes no fields")
