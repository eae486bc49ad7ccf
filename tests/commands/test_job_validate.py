"""job-validate checks all that job-create checks and shows what would be sent; it creates nothing."""

from tests.daemon.daemon_rig import Rig, simulated

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
