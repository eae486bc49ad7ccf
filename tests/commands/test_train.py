"""train is the existing system's one call: flat names in, one job like any other out."""

from pathlib import Path

import msgspec
import pytest
from tests.daemon.daemon_rig import Json, Rig, chat, write_rows
from tests.patience import PATIENCE_S

from genomed.commands.context import Caller
from genomed.entities.types import Role

AGENT = Caller(actor="uid:7", role=Role.CAPTURE)


def rows(tmp_path: Path) -> str:
    return str(write_rows(tmp_path / "rows.jsonl", [chat(f"q{n}", f"a{n}") for n in range(40)]))


BASE: Json = {"personaId": "ada", "traitType": "sums", "provider": "simulated"}


async def test_a_file_becomes_a_dataset_and_a_job_in_one_append(quiet: Rig, tmp_path: Path) -> None:
    started = await quiet.call("train", BASE | {"datasetPath": rows(tmp_path), "rank": 16, "epochs": 2})
    assert started["sessionId"] == started["jobId"]
    job = await quiet.job(started["jobId"])
    lora = job.configuration.lora
    assert lora is not None
    assert (job.origin, job.domain, lora.rank, lora.alpha, job.configuration.schedule.epochs) == (
        "train",
        "sums",
        16,
        32,
        2,
    )
    assert [one.type for one in await quiet.journal.read_all()] == [
        "dataset.frozen",
        "job.created",
        "job.configuration_resolved",
    ]


async def test_with_wait_s_the_answer_is_the_end(rig: Rig, tmp_path: Path) -> None:
    done = await rig.call("train", BASE | {"datasetPath": rows(tmp_path), "waitS": PATIENCE_S})
    assert done["status"] == "succeeded"
    assert done["layerId"] == (await rig.job(done["jobId"])).layer_id


async def test_a_frozen_dataset_may_be_named_instead(quiet: Rig) -> None:
    dataset_id = await quiet.dataset()
    assert (await quiet.call("train", BASE | {"datasetId": dataset_id}))["datasetId"] == dataset_id


async def test_four_bits_are_the_method_qlora(quiet: Rig) -> None:
    started = await quiet.call("train", BASE | {"datasetId": await quiet.dataset(), "quantize": True})
    assert (await quiet.job(started["jobId"])).configuration.method.type == "qlora"


async def test_numbers_out_of_range_are_named_as_the_caller_named_them_and_nothing_is_imported(
    quiet: Rig, tmp_path: Path
) -> None:
    wrong = {"rank": 0, "epochs": 21, "learningRate": 2, "batchSize": 0, "sequenceLength": 1, "alpha": 0.5}
    error = await quiet.refused("train", BASE | {"datasetPath": rows(tmp_path)} | wrong)
    assert {problem.field for problem in error.details} == set(wrong)
    assert not (quiet.data_dir / "datasets").exists()


@pytest.mark.parametrize("given", [{}, {"datasetPath": "/x", "datasetId": "ds-x"}])
async def test_exactly_one_source_is_needed(quiet: Rig, given: Json) -> None:
    assert (await quiet.refused("train", BASE | given)).field == "datasetPath"


async def test_what_is_missing_is_not_found(quiet: Rig) -> None:
    assert (await quiet.refused("train", BASE | {"datasetPath": "/no/such/file"})).kind == "not_found"
    missing = await quiet.refused("train", BASE | {"datasetId": "ds-nowhere"})
    assert missing.kind == "not_found"


async def test_what_an_agent_asks_for_waits_and_it_may_name_no_file_of_this_machine(quiet: Rig, tmp_path: Path) -> None:
    error = await quiet.refused("train", BASE | {"datasetPath": rows(tmp_path)}, caller=AGENT)
    assert (error.kind, error.field) == ("forbidden", "datasetPath")
    reply = await quiet.execute("train", BASE | {"datasetId": await quiet.dataset()}, caller=AGENT)
    assert isinstance(reply.result, msgspec.Raw)
    started = msgspec.json.decode(reply.result)
    assert started["approvalNeeded"] is True
    assert (await quiet.job(started["jobId"])).awaiting_approval
