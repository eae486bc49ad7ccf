"""preset-show gives a whole configuration: what it says, with what was given, checked by its provider."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.commands.test_preset_list import OWN
from tests.daemon.daemon_rig import Rig, running


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    given = OWN | {"allowed_providers": ["simulated"]}
    async with running(tmp_path / "d", given=given, courier=False, triggers=False) as rig:
        yield rig


async def test_what_is_shown_makes_a_job_as_it_stands(rig: Rig) -> None:
    dataset_id = await rig.dataset()
    shown = await rig.call("preset-show", {"name": "quick", "trainingFileId": dataset_id, "baseModel": "tiny"})
    assert (shown["leftOpen"], shown["valid"], shown["errors"]) == ([], True, [])
    created = await rig.call(
        "job-create", {"personaId": "ada", "provider": shown["provider"], "configuration": shown["configuration"]}
    )
    account = {one["field"]: one for one in created["fields"]}
    assert (account["schedule.epochs"]["disposition"], account["schedule.epochs"]["sent"]) == ("sent", 2)
    assert account["schedule.batchSize"]["disposition"] == "defaulted"


async def test_what_is_left_open_is_named_and_nothing_is_claimed_of_it(rig: Rig) -> None:
    shown = await rig.call("preset-show", {"name": "quick", "baseModel": "tiny"})
    assert (shown["leftOpen"], shown["valid"]) == (["datasets.trainingFileId"], None)
    assert shown["configuration"]["model"] == {"baseModel": "tiny"}


async def test_what_the_provider_objects_to_is_told_and_is_no_error(rig: Rig) -> None:
    dataset_id = await rig.dataset()
    both = {"trainingFileId": dataset_id, "validationFileId": dataset_id}
    shown = await rig.call("preset-show", {"name": "quick", "baseModel": "tiny", **both})
    assert shown["valid"] is False
    assert [problem["field"] for problem in shown["errors"]] == ["configuration.datasets.validationFileId"]


async def test_what_does_not_exist_is_not_found(rig: Rig) -> None:
    error = await rig.refused("preset-show", {"name": "nowhere"})
    assert (error.kind, error.field, "quick" in error.message) == ("not_found", "name", True)
    params = {"name": "quick", "baseModel": "tiny", "trainingFileId": "ds-nowhere"}
    assert (await rig.refused("preset-show", params)).kind == "not_found"
