"""doctor names what is wrong, with a remedy for each; what is well is not an error."""

from pathlib import Path

import msgspec
import pytest
from tests.commands.local_layers import local_layer, working
from tests.commands.served import a_layer, in_state, serving
from tests.commands.test_job_approve import asked_by_an_agent
from tests.daemon.daemon_process import daemon_process
from tests.daemon.daemon_rig import Json, Rig, running

from genomed.adapters.simulated import Simulated
from genomed.entities.capabilities import ProviderCapabilities, Sunset
from genomed.entities.facts import Artifact

ONLY: Json = {"allowed_providers": ["simulated"]}


def about(result: Json, subject: str) -> list[Json]:
    return [one for one in result["findings"] if one["about"].startswith(subject)]


def changed(monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    """The simulated provider says these of itself from now on."""
    plain = Simulated.capabilities

    async def able(self: Simulated) -> ProviderCapabilities:
        return msgspec.structs.replace(await plain(self), **changes)

    monkeypatch.setattr(Simulated, "capabilities", able)


async def test_every_finding_has_a_remedy_and_the_head_is_told(quiet: Rig) -> None:
    result = await quiet.call("doctor")
    head = quiet.journal.head()
    assert result["head"] == {"position": head.position, "hash": head.hash}
    assert result["anchor"] == "current"
    assert result["findings"]
    assert all(one["remedy"] and one["message"] for one in result["findings"])
    deepseek = about(result, "provider deepseek")
    assert not deepseek or (deepseek[0]["level"], "not available" in deepseek[0]["message"]) == ("info", True)


async def test_jobs_that_wait_for_a_person_are_named_with_what_to_do(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=ONLY) as rig:
        waiting = await asked_by_an_agent(rig)
        uncertain = await rig.create_job(searchable=False, lostReply=True)
        await rig.job_when(uncertain, lambda job: job.phase == "submission_uncertain")
        result = await rig.call("doctor")
        assert result["ok"] is False
        [approve] = about(result, f"job {waiting}")
        [resolve] = about(result, f"job {uncertain}")
        assert ("job-approve" in approve["remedy"], "job-resolve" in resolve["remedy"]) == (True, True)


async def test_missing_secrets_and_announced_ends_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path / "d", given=ONLY, courier=False, triggers=False) as rig:
        sunset = Sunset(message="it closes", source="its page", last_new_job="2999-01-01")
        changed(monkeypatch, required_secrets={"env:KEY": False, "env:OTHER": True}, sunset=sunset)
        found = about(await rig.call("doctor"), "provider simulated")
        assert [(one["level"], "env:KEY" in one["message"]) for one in found] == [("warning", True), ("info", False)]
        changed(monkeypatch, sunset=msgspec.structs.replace(sunset, last_new_job="2001-01-01"))
        [_, late] = about(await rig.call("doctor"), "provider simulated")
        assert (late["level"], "job-migrate" in late["remedy"]) == ("warning", True)


RULES_FOR_STRANGERS = """
allowed_providers = ["simulated", "similated"]
[policies.mystral]
confirm = true
[policies.simulated]
confirm = false
[budget.providers]
fireflies = {dayUsd = 1, jobUsd = 1}
simulated = {dayUsd = 1}
[learning.trigger]
provider = "locla"
minExamples = 10
"""


def test_rules_for_providers_that_are_not_here_are_warnings() -> None:
    with daemon_process(configuration=RULES_FOR_STRANGERS) as daemon:
        found = about(daemon.call("doctor"), "configuration")
    assert {one["level"] for one in found} == {"warning"}
    told = sorted(one["message"].partition(", or")[0] for one in found)
    assert told == [
        "allowed_providers: there is no provider 'similated'",
        "budget.providers.fireflies: there is no provider 'fireflies'",
        "learning.trigger.provider: there is no provider 'locla'",
        "policies.mystral: there is no provider 'mystral'",
    ]


async def test_a_rule_that_nobody_wrote_is_no_finding(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=ONLY, courier=False, triggers=False) as rig:
        assert about(await rig.call("doctor"), "configuration") == []


async def test_a_provider_with_wrong_settings_is_an_error_and_hides_no_other(tmp_path: Path) -> None:
    given: Json = {"providers": {"openai": {"colour": "red"}}, "allowed_providers": ["openai", "simulated"]}
    async with running(tmp_path / "d", given=given) as rig:
        result = await rig.call("doctor")
        [wrong] = about(result, "provider openai")
        assert (result["ok"], wrong["level"]) == (False, "error")
        assert "providers.openai.colour" in wrong["message"]
        listed = {one["provider"]: one["available"] for one in (await rig.call("provider-list"))["providers"]}
        assert listed == {"openai": False, "simulated": True}


async def test_a_hosted_layer_in_use_whose_model_ends_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path / "d", given=ONLY) as rig:
        hosted = Artifact(format="hosted", location="their-model")
        publish = Simulated.publish

        async def as_hosted(self: Simulated, *args: object, **kwargs: object) -> object:
            return msgspec.structs.replace(await publish(self, *args, **kwargs), artifact=hosted)  # type: ignore[arg-type]  # passed on as they came

        monkeypatch.setattr(Simulated, "publish", as_hosted)
        job = await rig.ended(await rig.create_job())
        assert job.adopted is True
        changed(monkeypatch, sunset=Sunset(message="m", source="its page", models={"ti": "2001-01-01"}))
        [finding] = about(await rig.call("doctor"), f"layer {job.layer_id}")
        assert (finding["level"], "2001-01-01" in finding["message"]) == ("warning", True)


@pytest.mark.parametrize(
    ("given", "level", "word"),
    [
        ({"providers": {"simulated": {"price_usd": 1.0}}}, "info", "nothing caps"),
        (
            {"providers": {"simulated": {"price_usd": "unknown"}}, "budget": {"overall": {"dayUsd": 1}}},
            "warning",
            "price table",
        ),
    ],
)
async def test_money_that_nothing_caps_and_caps_without_a_price_are_named(
    tmp_path: Path, given: Json, level: str, word: str
) -> None:
    async with running(tmp_path / "d", given=ONLY | given, courier=False, triggers=False) as rig:
        [finding] = about(await rig.call("doctor"), "budget")
        assert (finding["level"], word in f"{finding['message']} {finding['remedy']}") == (level, True)


async def test_with_prices_for_its_caps_nothing_is_said_of_money(tmp_path: Path) -> None:
    given = {"providers": {"simulated": {"price_usd": 1.0}}, "budget": {"overall": {"dayUsd": 1}}}
    async with running(tmp_path / "d", given=ONLY | given, courier=False, triggers=False) as rig:
        assert about(await rig.call("doctor"), "budget") == []


async def test_what_is_served_is_told_and_what_cannot_be_ended_is_an_error(tmp_path: Path) -> None:
    async with serving(tmp_path, hourly_usd=2, forbidden_looks=1000) as rig:
        answer = await rig.call("layer-deploy", {"layerId": await a_layer(rig), "hours": 1})
        deployment_id = answer["deployment"]["deploymentId"]

        async def troubled() -> bool:
            return "deployment.troubled" in await rig.types(f"deployment/{deployment_id}")

        await rig.until(troubled, "trouble")
        [finding] = about(await rig.call("doctor"), f"deployment {deployment_id}")
        assert (finding["level"], "$2.00" in finding["message"]) == ("error", True)
    async with serving(tmp_path) as rig:
        await in_state(rig, deployment_id, "ready")
        [finding] = about(await rig.call("doctor"), f"deployment {deployment_id}")
        assert (finding["level"], "layer-undeploy" in finding["remedy"]) == ("info", True)


async def test_a_log_without_its_anchor_is_an_error(quiet: Rig) -> None:
    anchor = quiet.data_dir / "head.anchor"
    anchor.write_bytes(b"\0" * anchor.stat().st_size)
    result = await quiet.call("doctor")
    assert (result["ok"], result["anchor"], result["findings"][0]["about"]) == (False, "absent", "log")


async def test_work_on_a_layer_that_cannot_go_on_is_told_with_what_it_waits_for(tmp_path: Path) -> None:
    async with working(tmp_path, memory_reserve_bytes=1 << 60) as rig:
        layer_id = await local_layer(rig, tmp_path)
        errand_id = (await rig.call("layer-export", {"layerId": layer_id}))["errand"]["errandId"]

        async def told() -> bool:
            return any(one["about"] == f"errand {errand_id}" for one in (await rig.call("doctor"))["findings"])

        await rig.until(told, "the doctor to tell of the errand")
