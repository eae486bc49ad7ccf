"""provider-capabilities says what a provider takes, as words and as a schema narrowed to it."""

import jsonschema
import pytest
from tests.daemon.daemon_rig import Rig, simulated

from genomed.entities.limits import RANGED_FIELDS


async def test_the_narrowed_schema_takes_what_create_takes_and_refuses_a_wrong_method(quiet: Rig) -> None:
    [one] = (await quiet.call("provider-capabilities", {"provider": "simulated"}))["providers"]
    assert one["capabilities"]["simulated"] is True
    assert "steps" in one["capabilities"]["customParameters"]
    jsonschema.validate(simulated("ds-any", steps=3), one["schema"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(simulated("ds-any") | {"method": {"type": "magic"}}, one["schema"])


async def test_the_range_of_every_number_is_told_as_it_applies_there(quiet: Rig) -> None:
    for one in (await quiet.call("provider-capabilities"))["providers"]:
        assert set(one["ranges"]) == set(RANGED_FIELDS)
        assert all(limits["min"] <= limits["max"] for limits in one["ranges"].values())
        jsonschema.Draft202012Validator.check_schema(one["schema"])


async def test_without_a_name_all_are_described_and_an_unknown_one_is_not_found(quiet: Rig) -> None:
    names = {one["capabilities"]["provider"] for one in (await quiet.call("provider-capabilities"))["providers"]}
    assert {"local", "simulated"} <= names
    assert (await quiet.refused("provider-capabilities", {"provider": "nobody"})).kind == "not_found"
