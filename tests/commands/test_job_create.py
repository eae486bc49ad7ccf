"""job-create writes a wish down, whole or not at all, and sends nothing by itself."""

from collections.abc import AsyncIterator

import anyio
import msgspec
import pytest
from msgspec.structs import replace
from tests.daemon.daemon_rig import Json, Rig, simulated
from tests.patience import PATIENCE_S

from genomed.commands.context import Caller
from genomed.entities.capabilities import ProviderCapabilities, Sunset
from genomed.entities.configuration import CONFIGURATION_FIELDS
from genomed.entities.errors import ErrorBody
from genomed.entities.events import JobCreated
from genomed.entities.facts import Estimate
from genomed.entities.types import JobStatus, Role


async def asked(rig: Rig, **metadata: object) -> Json:
    configuration = simulated(await rig.dataset(), **metadata)
    return {"personaId": "ada", "provider": "simulated", "domain": "sums", "configuration": configuration}


async def test_a_created_job_is_in_the_log_before_anything_is_sent(quiet: Rig) -> None:
    created = await quiet.call("job-create", await asked(quiet))
    assert (created["status"], created["providerJobId"], created["simulated"]) == ("queued", None, True)
    assert await quiet.types(f"job/{created['jobId']}") == ["job.created", "job.configuration_resolved"]
    assert not (quiet.data_dir / "jobs").exists()


async def test_the_caller_is_the_actor_of_what_it_caused(quiet: Rig) -> None:
    reply = await quiet.execute("job-create", await asked(quiet), caller=Caller(actor="uid:7", role=Role.OPERATE))
    assert reply.head is not None
    [envelope, _] = (await quiet.journal.read_all(after=reply.head.position - 2))[-2:]
    assert (envelope.type, envelope.actor) == ("job.created", "uid:7")


async def test_with_wait_s_the_answer_has_the_providers_own_id(rig: Rig) -> None:
    created = await rig.call("job-create", await asked(rig) | {"waitS": PATIENCE_S})
    assert created["providerJobId"].startswith("sim-gn")
    ended = await rig.ended(created["jobId"])
    assert (ended.status, ended.adopted) == (JobStatus.SUCCEEDED, True)


async def test_the_same_key_and_body_make_one_job_also_when_both_come_at_once(rig: Rig) -> None:
    params = await asked(rig)
    replies = []

    async def one() -> None:
        replies.append(await rig.execute("job-create", params, key="k"))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(one)
    assert len({bytes(reply.result) for reply in replies if isinstance(reply.result, msgspec.Raw)}) == 1
    assert sorted(reply.replayed for reply in replies) == [False, True, True, True, True]
    assert len((await rig.call("job-list"))["jobs"]) == 1


async def test_the_same_key_with_another_body_is_a_conflict(quiet: Rig) -> None:
    params = await asked(quiet)
    await quiet.call("job-create", params, key="k")
    before = quiet.journal.head()
    reply = await quiet.execute("job-create", params | {"domain": "other"}, key="k")
    assert isinstance(reply.error, ErrorBody)
    assert (reply.error.kind, reply.error.field) == ("conflict", "idempotencyKey")
    assert quiet.journal.head() == before


async def test_two_callers_may_use_the_same_key(quiet: Rig) -> None:
    params = await asked(quiet)
    other = Caller(actor="uid:7", role=Role.OPERATE)
    first = await quiet.execute("job-create", params, key="k")
    second = await quiet.execute("job-create", params, key="k", caller=other)
    assert not second.replayed
    assert first.result != second.result


async def test_every_problem_is_named_with_its_wire_path(quiet: Rig) -> None:
    params = await asked(quiet)
    params["surprise"] = 1
    params["personaId"] = 5
    params["waitS"] = -1
    params["configuration"] |= {
        "schedule": {"epochs": 0, "batchSize": "many"},
        "optimizer": {"scheduler": {"minLRRatio": 7}},
        "method": {"type": "magic"},
    }
    error = await quiet.refused("job-create", params)
    assert error.kind == "invalid_request"
    assert {problem.field for problem in error.details} == {
        "surprise",
        "personaId",
        "waitS",
        "configuration.schedule.epochs",
        "configuration.schedule.batchSize",
        "configuration.optimizer.scheduler.minLRRatio",
        "configuration.method.type",
    }


async def test_every_objection_of_the_provider_is_named_at_once(quiet: Rig) -> None:
    params = await asked(quiet, steps=0, surprise=True)
    params["configuration"]["method"] = {"type": "full", "loraConfig": {"rank": 4}}
    error = await quiet.refused("job-create", params)
    assert {problem.field for problem in error.details} >= {
        "configuration.metadata.steps",
        "configuration.metadata.surprise",
        "configuration.method.loraConfig",
    }


async def test_what_does_not_exist_is_not_found(quiet: Rig) -> None:
    params = await asked(quiet)
    missing = await quiet.refused("job-create", params | {"provider": "nobody"})
    assert (missing.kind, missing.field) == ("not_found", "provider")
    params["configuration"] = simulated("ds-nowhere")
    missing = await quiet.refused("job-create", params)
    assert (missing.kind, missing.field) == ("not_found", "configuration.datasets.trainingFileId")


async def test_a_reader_may_not_even_ask(quiet: Rig) -> None:
    error = await quiet.refused("job-create", await asked(quiet), caller=Caller(actor="uid:7", role=Role.READ))
    assert error.kind == "forbidden"


async def test_what_an_agent_asks_for_waits_for_an_operator_wherever_it_would_run(rig: Rig) -> None:
    reply = await rig.execute("job-create", await asked(rig), caller=Caller(actor="uid:7", role=Role.CAPTURE))
    assert isinstance(reply.result, msgspec.Raw)
    created = msgspec.json.decode(reply.result)
    assert (created["approvalNeeded"], created["status"]) == (True, "queued")
    other = await rig.create_job()
    await rig.ended(other)
    job = (await rig.call("job-status", {"jobId": created["jobId"]}))["job"]
    assert (job["phase"], job["awaitingApproval"], job["attempt"]) == ("awaiting_approval", True, 0)


async def test_what_an_operator_asks_for_does_not_wait(quiet: Rig) -> None:
    for role in (Role.OPERATE, Role.ADMIN):
        reply = await quiet.execute("job-create", await asked(quiet), caller=Caller(actor="uid:7", role=role))
        assert isinstance(reply.result, msgspec.Raw)
        assert msgspec.json.decode(reply.result)["approvalNeeded"] is False


async def test_the_answer_tells_what_becomes_of_each_setting_and_what_it_is_thought_to_cost(quiet: Rig) -> None:
    params = await asked(quiet, steps=7)
    created = await quiet.call("job-create", params)
    checked = await quiet.call("job-validate", {name: params[name] for name in ("provider", "configuration")})
    for name in ("fields", "payload", "estimate", "estimatedCost", "estimatedDuration", "warnings", "simulated"):
        assert created[name] == checked[name], name
    assert set(CONFIGURATION_FIELDS) <= {field["field"] for field in created["fields"]}
    assert (created["estimatedCost"], created["estimate"]["source"]) == (0, "free")
    [opening] = await quiet.events(f"job/{created['jobId']}", JobCreated)
    assert (opening.estimate, opening.ledger, opening.uploads, opening.approval_needed) == (
        msgspec.convert(created["estimate"], Estimate),
        None,
        (),
        False,
    )
    job = (await quiet.call("job-status", {"jobId": created["jobId"]}))["job"]
    assert job["estimate"] == created["estimate"]
    assert (job["quote"], job["costUsd"], job["uploads"]) == (None, None, {})


async def test_a_dataset_that_holds_out_nothing_warns_that_nothing_can_be_proved(quiet: Rig) -> None:
    params = await asked(quiet)
    params["configuration"]["datasets"]["trainingFileId"] = await quiet.dataset(8, eval_share=0, mark="n")
    created = await quiet.call("job-create", params)
    assert [warning["field"] for warning in created["warnings"]] == ["configuration.datasets"]


async def test_a_persona_whose_name_cannot_name_a_stream_is_refused_before_anything_is_trained(quiet: Rig) -> None:
    for name in ("p" * 512, "ada\n", "a\x00b", " ", "\u2028"):
        error = await quiet.refused("job-create", await asked(quiet) | {"personaId": name})
        assert (error.kind, error.field) == ("invalid_request", "personaId")


async def test_whole_numbers_that_nothing_can_store_are_refused(quiet: Rig) -> None:
    params = await asked(quiet)
    params["configuration"]["metadata"] = {"steps": 10**30}
    assert (await quiet.refused("job-create", params)).kind in ("invalid_request", "unsupported")


async def test_a_secret_is_named_by_reference_and_one_that_was_pasted_is_refused_without_repeating_it(
    quiet: Rig,
) -> None:
    params = await asked(quiet)
    params["configuration"]["integrations"] = {"wandb": {"project": "p", "apiKey": "hunter2-very-secret"}}
    error = await quiet.refused("job-create", params)
    assert error.field == "configuration.integrations.wandb.apiKey"
    assert b"hunter2" not in msgspec.json.encode(error)
    async for envelope in every_event(quiet):
        assert b"hunter2" not in envelope


async def every_event(rig: Rig) -> AsyncIterator[bytes]:
    for envelope in await rig.journal.read_all():
        yield msgspec.json.encode(envelope.event)


async def test_an_announced_end_warns_and_once_it_is_over_refuses(quiet: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = quiet.parts.providers.get("simulated")
    able = await provider.capabilities()
    sunset = Sunset(message="it closes", source="its page", last_new_job="2999-12-31", models={"tiny": "3000-01-31"})

    async def ending() -> ProviderCapabilities:
        return replace(able, sunset=sunset)

    monkeypatch.setattr(provider, "capabilities", ending)
    created = await quiet.call("job-create", await asked(quiet))
    assert [problem["field"] for problem in created["warnings"]] == ["provider", "configuration.model.baseModel"]
    sunset = replace(sunset, last_new_job="2020-01-01")
    error = await quiet.refused("job-create", await asked(quiet))
    assert (error.kind, error.field) == ("unsupported", "provider")
