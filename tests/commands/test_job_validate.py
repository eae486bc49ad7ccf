"""job-validate checks all that job-create checks and shows what would be sent; it creates nothing."""

from pathlib import Path

from tests.daemon.daemon_rig import Json, Rig, running, simulated

from genomed.entities.configuration import CONFIGURATION_FIELDS
from genomed.entities.errors import ErrorBody


async def test_the_payload_is_shown_and_every_field_is_accounted_for_once(quiet: Rig) -> None:
    configuration = simulated(await quiet.dataset(), steps=7)
    before = quiet.journal.head()
    checked = await quiet.call("job-validate", {"provider": "simulated", "configuration": configuration})
    assert (checked["valid"], checked["kind"], checked["errors"], checked["simulated"]) == (True, None, [], True)
    assert checked["payload"]["simulation"]["steps"] == 7
    named = [field["field"] for field in checked["fields"]]
    assert len(named) == len(set(named))
    assert set(CONFIGURATION_FIELDS) <= set(named)
    by_field = {field["field"]: field for field in checked["fields"]}
    assert (by_field["method.type"]["disposition"], by_field["schedule.epochs"]["disposition"]) == ("sent", "defaulted")
    assert quiet.journal.head() == before


async def test_objections_are_the_result_and_name_every_field(quiet: Rig) -> None:
    configuration = simulated(await quiet.dataset(), steps=0, surprise=1) | {
        "integrations": {"wandb": {"project": "p"}},
        "method": {"type": "full", "loraConfig": {}},
    }
    checked = await quiet.call("job-validate", {"provider": "simulated", "configuration": configuration})
    assert (checked["valid"], checked["payload"], checked["kind"]) == (False, None, "invalid_request")
    assert {problem["field"] for problem in checked["errors"]} == {
        "configuration.metadata.steps",
        "configuration.metadata.surprise",
        "configuration.integrations.wandb",
        "configuration.method.loraConfig",
    }


async def test_what_validate_accepts_create_accepts_and_what_it_refuses_create_refuses(quiet: Rig) -> None:
    dataset_id = await quiet.dataset()
    for metadata in ({"steps": 3}, {"steps": -3}, {"searchable": False}, {"searchable": "no"}, {"nothing": 1}):
        configuration = simulated(dataset_id, **metadata)
        params = {"provider": "simulated", "configuration": configuration}
        valid = (await quiet.call("job-validate", params))["valid"]
        reply = await quiet.execute("job-create", params | {"personaId": "ada"})
        assert isinstance(reply.error, ErrorBody) is not valid


async def test_a_training_set_cannot_prove_itself(quiet: Rig) -> None:
    configuration = simulated(await quiet.dataset())
    configuration["datasets"]["validationFileId"] = configuration["datasets"]["trainingFileId"]
    checked = await quiet.call("job-validate", {"provider": "simulated", "configuration": configuration})
    assert [problem["field"] for problem in checked["errors"]] == ["configuration.datasets.validationFileId"]


async def test_a_provider_that_does_not_exist_is_an_error(quiet: Rig) -> None:
    params = {"provider": "nobody", "configuration": simulated(await quiet.dataset())}
    assert (await quiet.refused("job-validate", params)).field == "provider"


async def test_a_refused_configuration_still_tells_what_becomes_of_every_setting(quiet: Rig) -> None:
    configuration = simulated(await quiet.dataset()) | {
        "integrations": {"wandb": {"project": "p"}},
        "method": {"type": "full", "loraConfig": {"rank": 8}},
    }
    checked = await quiet.call("job-validate", {"provider": "simulated", "configuration": configuration})
    assert (checked["valid"], checked["estimate"], checked["payload"]) == (False, None, None)
    account = {field["field"]: field for field in checked["fields"]}
    assert set(CONFIGURATION_FIELDS) <= set(account)
    assert {name for name, field in account.items() if field["disposition"] == "refused"} == {
        "integrations.wandb",
        "method.loraConfig.rank",
    }
    assert account["integrations.wandb"]["note"] == "a simulated job reports to nobody"
    assert account["method.loraConfig.rank"]["asked"] == 8
    assert account["method.type"]["disposition"] == "sent"


async def test_where_a_provider_can_make_nothing_of_it_the_rest_is_told_beside_what_is_refused(quiet: Rig) -> None:
    configuration = simulated(await quiet.dataset(), steps=0, surprise=1)
    checked = await quiet.call("job-validate", {"provider": "simulated", "configuration": configuration})
    account = {field["field"]: (field["disposition"], field["asked"]) for field in checked["fields"]}
    refused = {name: asked for name, (disposition, asked) in account.items() if disposition == "refused"}
    assert refused == {"metadata.steps": 0, "metadata.surprise": 1}
    assert set(CONFIGURATION_FIELDS) <= set(account)


async def test_what_job_create_takes_can_be_validated_as_it_is(quiet: Rig) -> None:
    params = {"provider": "simulated", "configuration": simulated(await quiet.dataset())}
    wish = params | {"personaId": "ada", "domain": "sums"}
    assert (await quiet.call("job-validate", wish))["valid"] is True
    checked = await quiet.call("job-validate", wish | {"warmStart": True})
    assert (checked["valid"], checked["kind"]) == (False, "invalid_request")
    assert [problem["field"] for problem in checked["errors"]] == ["warmStart"]


async def test_a_job_that_the_caps_would_refuse_is_not_valid(tmp_path: Path) -> None:
    given: Json = {
        "providers": {"simulated": {"price_usd": 2.0}},
        "budget": {"overall": {"jobUsd": 5}, "personas": {"ada": {"jobUsd": 1}}},
    }
    async with running(tmp_path / "d", given=given, courier=False) as rig:
        params = {"provider": "simulated", "configuration": simulated(await rig.dataset())}
        checked = await rig.call("job-validate", params)
        assert (checked["valid"], checked["estimatedCost"]) == (True, 2.0)
        assert "price_usd" in checked["estimate"]["basis"]
        checked = await rig.call("job-validate", params | {"personaId": "ada"})
        assert (checked["valid"], checked["kind"]) == (False, "budget_exceeded")
        assert [problem["field"] for problem in checked["errors"]] == ["budget.personas.ada.jobUsd"]
        assert checked["payload"] is not None
