"""job-suggest gives numbers with their sources, keeps what was chosen, and what it gives makes a job as it stands."""

import json
from pathlib import Path

import pytest
from tests.daemon.daemon_rig import Json, Rig


async def suggested(rig: Rig, **more: object) -> Json:
    return await rig.call("job-suggest", {"provider": "simulated", "baseModel": "acme/tiny-0.5b"} | more)


async def test_what_is_suggested_makes_a_job_as_it_stands_and_each_number_says_where_from(quiet: Rig) -> None:
    told = await suggested(quiet, datasetId=await quiet.dataset())
    assert (told["valid"], told["errors"], told["leftOpen"]) == (True, [], [])
    assert (told["parameters"], told["parametersFrom"]) == (500_000_000, "name")
    values = {one["field"]: one["value"] for one in told["suggestions"]}
    assert values["optimizer.learningRate"] == told["configuration"]["optimizer"]["learningRate"] == 2e-4
    assert all(one["source"] for one in told["suggestions"])
    created = await quiet.call(
        "job-create", {"personaId": "ada", "provider": "simulated", "configuration": told["configuration"]}
    )
    account = {one["field"]: one for one in created["fields"]}
    assert all(account[field]["disposition"] == "sent" for field in values)


async def test_what_a_caller_chose_stands_and_is_not_suggested(quiet: Rig) -> None:
    own = {"optimizer": {"learningRate": 0.003}, "method": {"type": "full"}}
    told = await suggested(quiet, rowKind="chat", rows=100, configuration=own)
    assert told["configuration"]["optimizer"]["learningRate"] == 0.003
    assert told["configuration"]["method"] == {"type": "full"}
    assert [(one["field"], one["reason"]) for one in told["leftOut"]] == [
        ("optimizer.learningRate", "you set it yourself")
    ]
    assert told["configuration"]["optimizer"]["weightDecay"] == 0.01


async def test_without_a_dataset_the_configuration_is_open_and_its_steps_are_told(quiet: Rig) -> None:
    told = await suggested(quiet, rowKind="preference", rows=160)
    assert (told["leftOpen"], told["rows"]) == (["datasets.trainingFileId"], 160)
    [accumulation] = [one for one in told["suggestions"] if one["field"] == "schedule.gradientAccumulation"]
    assert accumulation["note"] == "an effective batch of 16 rows; 160 rows make 20 optimizer steps in all"
    assert (await suggested(quiet, rowKind="preference"))["valid"] is None, "of no rows nobody can say"


async def test_a_size_that_nobody_tells_is_asked_for(quiet: Rig) -> None:
    error = await quiet.refused("job-suggest", {"provider": "simulated", "baseModel": "acme/tiny", "rowKind": "chat"})
    assert (error.kind, error.field) == ("invalid_request", "parameters")
    told = await suggested(quiet, baseModel="acme/tiny", rowKind="chat", parameters=7_000_000_000)
    assert told["parametersFrom"] == "given"
    assert told["configuration"]["schedule"]["epochs"] == 2
    embedding = await suggested(quiet, baseModel="acme/tiny", rowKind="triplet")
    assert (embedding["parameters"], embedding["parametersFrom"]) == (None, None)


async def test_rows_that_a_provider_does_not_train_on_are_told_beside_the_numbers(quiet: Rig) -> None:
    told = await suggested(quiet, rowKind="raft", rows=50)
    assert told["valid"] is False
    assert any("raft rows" in one["message"] for one in told["errors"])
    assert told["configuration"]["method"]["loraConfig"]["rank"] == 16


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({}, "datasetId"),
        ({"datasetId": "ds-1", "rowKind": "chat"}, "datasetId"),
        ({"datasetId": "ds-1", "rows": 3}, "rows"),
        ({"rowKind": "record"}, "rowKind"),
        ({"rowKind": "chat", "configuration": {"schedule": {"epochs": 99}}}, "configuration.schedule.epochs"),
        ({"rowKind": "chat", "configuration": {"method": 3}}, "configuration.method"),
        ({"rowKind": "chat", "configuration": {"model": {"baseModel": "b"}}}, "configuration.model.baseModel"),
        (
            {"rowKind": "chat", "method": "lora", "configuration": {"method": {"type": "full"}}},
            "configuration.method.type",
        ),
    ],
)
async def test_what_does_not_fit_is_refused_with_its_path(quiet: Rig, more: Json, field: str) -> None:
    params = {"provider": "simulated", "baseModel": "acme/tiny-0.5b"} | more
    error = await quiet.refused("job-suggest", params)
    assert (error.kind, error.field) == ("invalid_request", field)


async def test_labelled_rows_are_suggested_for_and_an_unknown_dataset_is_not_found(quiet: Rig, tmp_path: Path) -> None:
    file = tmp_path / "thumbs.jsonl"
    rows = [{"prompt": f"{n}?", "completion": f"It is {n}.", "label": n % 2 == 0} for n in range(20)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    made = await quiet.call("dataset-import", {"path": str(file), "name": "thumbs", "personaId": "ada"})
    told = await suggested(quiet, datasetId=made["datasetId"])
    assert (told["rowKind"], told["configuration"]["optimizer"]["learningRate"]) == ("labelled", 1e-5)
    params = {"provider": "simulated", "baseModel": "b-1b", "datasetId": "ds-nowhere"}
    assert (await quiet.refused("job-suggest", params)).kind == "not_found"
