"""Rows leave the house only for a persona and a provider that an operator said yes to, by name or with a job."""

from pathlib import Path

import msgspec
from tests.commands.at_a_cloud import AGENT, BOUND, MODEL, PROVIDER, at_a_cloud, consents, wished
from tests.daemon.daemon_rig import Rig, running, simulated

from genomed.commands.context import Caller
from genomed.entities.events import JobCreated

GIVEN = {"personaId": "ada", "provider": PROVIDER}


async def asked(rig: Rig, dataset_id: str, caller: Caller) -> str:
    reply = await rig.execute("job-create", wished(dataset_id), caller=caller)
    assert isinstance(reply.result, msgspec.Raw), reply.error
    return str(msgspec.json.decode(reply.result)["jobId"])


async def test_an_operators_own_wish_for_a_job_says_yes_and_is_written_down(tmp_path: Path) -> None:
    async with at_a_cloud(tmp_path) as rig:
        made = await rig.call("job-create", wished(await rig.dataset()))
        assert made["approvalNeeded"] is False
        assert await consents(rig) == [("ada", PROVIDER, "given", made["jobId"])]


async def test_an_agents_wish_waits_and_the_approval_is_the_consent(tmp_path: Path) -> None:
    async with at_a_cloud(tmp_path) as rig:
        job_id = await asked(rig, await rig.dataset(), AGENT)
        assert await consents(rig) == []
        await rig.call("job-approve", {"jobId": job_id, "reason": "fine"})
        assert await consents(rig) == [("ada", PROVIDER, "given", job_id)]


async def test_a_trigger_waits_for_the_first_consent_and_then_no_more(tmp_path: Path) -> None:
    async with at_a_cloud(tmp_path, triggers=True) as rig:
        await rig.captures(10, baseModel=MODEL)

        async def waits() -> bool:
            return bool((await rig.call("job-list"))["jobs"])

        await rig.until(waits, "the trigger's job")
        [job] = (await rig.call("job-list"))["jobs"]
        assert (job["phase"], job["awaitingApproval"]) == ("awaiting_approval", True)
        await rig.call("consent-give", GIVEN)
        await rig.captures(10, start=50, baseModel=MODEL, domain="other")

        async def both() -> bool:
            return len((await rig.call("job-list"))["jobs"]) == 2

        await rig.until(both, "the second job")
        waiting = [one["awaitingApproval"] for one in (await rig.call("job-list"))["jobs"]]
        assert waiting == [False, True]


async def test_a_consent_is_for_one_persona_and_giving_it_twice_changes_nothing(tmp_path: Path) -> None:
    async with at_a_cloud(tmp_path) as rig:
        assert (await rig.call("consent-give", GIVEN))["changed"] is True
        before = rig.journal.head()
        assert (await rig.call("consent-give", GIVEN))["changed"] is False
        assert rig.journal.head() == before
        assert await consents(rig) == [("ada", PROVIDER, "given", None)]


async def test_nobody_who_speaks_for_a_persona_says_yes_for_it(tmp_path: Path) -> None:
    async with at_a_cloud(tmp_path) as rig:
        for caller in (AGENT, BOUND):
            assert (await rig.refused("consent-give", GIVEN, caller=caller)).kind == "forbidden"
        job_id = await asked(rig, await rig.dataset(), BOUND)
        assert (await rig.job(job_id)).awaiting_approval is True
        assert await consents(rig) == []
        assert (await rig.refused("job-approve", {"jobId": job_id}, caller=BOUND)).kind == "forbidden"


async def test_what_stays_in_the_house_needs_none(tmp_path: Path) -> None:
    async with at_a_cloud(tmp_path) as rig:
        await rig.create_job()
        assert simulated("x")["model"] == {"baseModel": "tiny"}
        assert await consents(rig) == []


async def test_a_house_that_asks_for_none_writes_none_down(tmp_path: Path) -> None:
    async with at_a_cloud(tmp_path, guards={"consent": False}) as rig:
        await rig.call("job-create", wished(await rig.dataset()))
        assert await consents(rig) == []
        assert (await rig.call("consent-list"))["required"] is False


async def test_a_yes_for_a_provider_that_gets_no_rows_is_said_to_be_asked_for_by_nobody(tmp_path: Path) -> None:
    async with at_a_cloud(tmp_path) as rig:
        needed = {
            provider: (await rig.call("consent-give", {"personaId": "ada", "provider": provider}))["needed"]
            for provider in ("local", "simulated", PROVIDER)
        }
    assert needed == {"local": False, "simulated": False, PROVIDER: True}


async def test_of_a_provider_with_wrong_settings_nobody_knows_that_no_row_leaves(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given={"providers": {"openai": {"colour": "red"}}}) as rig:
        assert (await rig.call("consent-give", {"personaId": "ada", "provider": "openai"}))["needed"] is True


async def test_an_unknown_provider_is_no_place_to_send_rows_to(quiet: Rig) -> None:
    refused = await quiet.refused("consent-give", {"personaId": "ada", "provider": "nowhere"})
    assert refused.kind == "not_found"


async def test_the_answer_and_the_log_say_that_a_job_waits_for_consent(tmp_path: Path) -> None:
    async with at_a_cloud(tmp_path) as rig:
        job_id = await asked(rig, await rig.dataset(), AGENT)
        [created] = await rig.events(f"job/{job_id}", JobCreated)
        assert created.consent_missing is True
        await rig.call("consent-give", GIVEN)
        again = await rig.call("job-create", wished(await rig.dataset(mark="x")))
        assert (again["approvalNeeded"], again["consentMissing"]) == (False, False)
