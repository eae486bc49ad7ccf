"""help lists every command with schemas made from its types, so that what it says is what is checked."""

import jsonschema
from tests.daemon.daemon_rig import Rig

from genomed import commands


async def test_every_command_is_listed_with_both_schemas(quiet: Rig) -> None:
    listed = (await quiet.call("help"))["commands"]
    assert [one["name"] for one in listed] == [module.NAME for module in commands.commands()]
    assert len(listed) >= 33
    for one in listed:
        assert one["summary"].endswith(".")
        for schema in (one["params"], one["result"]):
            jsonschema.Draft202012Validator.check_schema(schema)


async def test_the_schema_of_params_is_in_wire_names_and_closed(quiet: Rig) -> None:
    [one] = (await quiet.call("help", {"command": "job-create"}))["commands"]
    definition = one["params"]["$defs"]["Params"]
    assert {"personaId", "warmStart", "waitS"} <= set(definition["properties"])
    assert definition["additionalProperties"] is False
    assert definition["required"] == ["personaId", "provider", "configuration"]
    assert one["role"] == "capture"


async def test_what_a_command_answers_fits_the_schema_that_help_gives(rig: Rig) -> None:
    job_id = await rig.create_job()
    await rig.ended(job_id)
    await rig.captures(2)
    for name, params in (
        ("job-status", {"jobId": job_id}),
        ("job-list", {}),
        ("overview", {}),
        ("layer-list", {}),
        ("bucket-status", {}),
        ("provider-capabilities", {"provider": "simulated"}),
        ("log-verify", {}),
    ):
        [one] = (await rig.call("help", {"command": name}))["commands"]
        jsonschema.validate(await rig.call(name, params), one["result"], cls=jsonschema.Draft202012Validator)
        jsonschema.validate(params, one["params"], cls=jsonschema.Draft202012Validator)


async def test_names_alone_can_be_asked_for_and_an_unknown_command_is_not_found(quiet: Rig) -> None:
    assert (await quiet.call("help", {"schemas": False}))["commands"][0]["params"] is None
    assert (await quiet.refused("help", {"command": "job-destroy"})).kind == "not_found"
    assert (await quiet.refused("job-destroy")).kind == "not_found"
    assert (await quiet.refused("genome/context")).kind == "not_found"
    assert (await quiet.refused("genome/job_create")).kind == "not_found"
