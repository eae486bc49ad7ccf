"""The operator's settings of local training: what is wrong with them is told whole, where it stands in the file."""

import pytest

from genomed.adapters.local.settings import settings_from
from genomed.entities.errors import InvalidRequest


def test_every_wrong_setting_is_told_with_its_place_in_the_configuration() -> None:
    with pytest.raises(InvalidRequest) as refused:
        settings_from({"python": 7, "sandbox": "jail", "colour": "red", "memory_limit_bytes": 1})
    told = {problem.field for problem in refused.value.details}
    assert told == {f"providers.local.{name}" for name in ("python", "sandbox", "colour", "memory_limit_bytes")}


def test_a_sandbox_that_is_required_and_switched_off_is_told_with_its_place_too() -> None:
    with pytest.raises(InvalidRequest, match="which is no sandbox") as refused:
        settings_from({"sandbox": "none", "require_sandbox": True})
    assert [problem.field for problem in refused.value.details] == ["providers.local.require_sandbox"]
    assert refused.value.remedy or refused.value.details[0].remedy
