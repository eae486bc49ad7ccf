"""A consent that is withdrawn holds against everybody until an operator gives it again."""

from pathlib import Path

import pytest
from tests.commands.at_a_cloud import AGENT, BOUND, PROVIDER, at_a_cloud, consents, wished

from genomed.commands.context import Caller

GIVEN = {"personaId": "ada", "provider": PROVIDER}


async def test_what_runs_is_named_and_nothing_new_goes_there(tmp_path: Path) -> None:
    async with at_a_cloud(tmp_path) as rig:
        dataset_id = await rig.dataset()
        made = await rig.call("job-create", wished(dataset_id))
        withdrawn = await rig.call("consent-withdraw", GIVEN | {"reason": "she asked"})
        assert (withdrawn["changed"], withdrawn["openJobs"]) == (True, [made["jobId"]])
        refused = await rig.refused("job-create", wished(dataset_id))
        assert (refused.kind, refused.field) == ("forbidden", "provider")
        assert refused.remedy is not None
        assert "consent-give" in refused.remedy
        await rig.call("consent-give", GIVEN)
        await rig.call("job-create", wished(dataset_id))


async def test_a_job_that_waited_is_not_let_go_any_more(tmp_path: Path) -> None:
    async with at_a_cloud(tmp_path) as rig:
        await rig.execute("job-create", wished(await rig.dataset()), caller=AGENT)
        [job] = (await rig.call("job-list"))["jobs"]
        await rig.call("consent-withdraw", GIVEN)
        assert (await rig.refused("job-approve", {"jobId": job["jobId"]})).kind == "forbidden"


async def test_a_no_needs_no_yes_before_it_and_says_so_once(tmp_path: Path) -> None:
    async with at_a_cloud(tmp_path) as rig:
        assert (await rig.call("consent-withdraw", GIVEN))["changed"] is True
        assert (await rig.call("consent-withdraw", GIVEN))["changed"] is False
        assert await consents(rig) == [("ada", PROVIDER, "withdrawn", None)]


@pytest.mark.parametrize("caller", [AGENT, BOUND], ids=["capture", "bound"])
async def test_it_is_an_operators_word(tmp_path: Path, caller: Caller) -> None:
    async with at_a_cloud(tmp_path) as rig:
        assert (await rig.refused("consent-withdraw", GIVEN, caller=caller)).kind == "forbidden"
