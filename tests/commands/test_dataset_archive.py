"""dataset-archive puts datasets and drafts away: nothing new learns from them, everything stays readable."""

from tests.commands.drafting import add, filled, frozen
from tests.daemon.daemon_rig import Rig, simulated

from genomed.entities.forget_events import DatasetArchived


async def test_no_new_job_trains_on_an_archived_dataset_and_it_stays_readable(quiet: Rig) -> None:
    dataset_id = await quiet.dataset()
    told = await quiet.call("dataset-archive", {"datasetId": dataset_id, "reason": "bad labels"})
    assert (told["archived"], told["existed"]) == ("bad labels", False)
    params = {"personaId": "ada", "provider": "simulated", "configuration": simulated(dataset_id)}
    error = await quiet.refused("job-create", params)
    assert (error.kind, error.field) == ("conflict", "configuration.datasets.trainingFileId")
    assert "bad labels" in error.message
    assert error.remedy
    assert (await quiet.call("dataset-show", {"datasetId": dataset_id}))["preview"]


async def test_neither_train_nor_a_retry_nor_a_validation_file_gets_round_it(rig: Rig) -> None:
    dataset_id, other = await rig.dataset(), await rig.dataset(mark="other-")
    job_id = await rig.create_job(dataset_id=dataset_id, failAtStep=1)
    await rig.ended(job_id)
    await rig.call("dataset-archive", {"datasetId": dataset_id, "reason": "old"})
    flat = {"personaId": "ada", "traitType": "sums", "provider": "simulated", "baseModel": "tiny"}
    validated = simulated(other)
    validated["datasets"]["validationFileId"] = dataset_id
    for name, params in (
        ("train", flat | {"datasetId": dataset_id}),
        ("job-retry", {"jobId": job_id}),
        ("job-create", {"personaId": "ada", "provider": "simulated", "configuration": validated}),
        ("job-validate", {"provider": "simulated", "configuration": simulated(dataset_id)}),
    ):
        error = await rig.refused(name, params)
        assert (error.kind, "archived: old" in error.message) == ("conflict", True), name


async def test_a_dataset_that_lost_rows_teaches_nothing_new(quiet: Rig) -> None:
    dataset_id = await quiet.dataset()
    [row] = (await quiet.call("dataset-show", {"datasetId": dataset_id, "lineageRows": 1}))["lineage"]
    await quiet.call("dataset-forget", {"datasetId": dataset_id, "rowIds": [row["rowId"]]})
    params = {"personaId": "ada", "provider": "simulated", "configuration": simulated(dataset_id)}
    error = await quiet.refused("job-create", params)
    assert (error.kind, "forgotten" in error.message) == ("conflict", True)
    assert "dataset-freeze" in str(error.remedy)


async def test_an_archived_draft_is_not_filled_and_not_frozen_but_its_versions_stand(quiet: Rig) -> None:
    draft_id = await filled(quiet, 20)
    made = await frozen(quiet, draft_id)
    await quiet.call("dataset-archive", {"draftId": draft_id, "reason": "done"})
    assert "done" in (await quiet.refused("dataset-freeze", {"draftId": draft_id})).message
    assert (await quiet.refused("dataset-attach", {"draftId": draft_id, "method": "sft"})).kind == "conflict"
    assert (await quiet.refused("dataset-split", {"draftId": draft_id, "seed": 4})).kind == "conflict"
    assert (await quiet.call("dataset-validate", {"datasetId": made["datasetId"]}))["valid"] is True


async def test_archiving_again_changes_nothing_and_the_first_reason_holds(quiet: Rig) -> None:
    dataset_id, draft_id = await quiet.dataset(), await filled(quiet, 2)
    for which in ({"datasetId": dataset_id}, {"draftId": draft_id}):
        await quiet.call("dataset-archive", {**which, "reason": "first"})
        told = await quiet.call("dataset-archive", {**which, "reason": "second"})
        assert (told["archived"], told["existed"]) == ("first", True)
    assert len(await quiet.events(f"dataset/{dataset_id}", DatasetArchived)) == 1


async def test_archived_ones_are_listed_when_asked_for(quiet: Rig) -> None:
    dataset_id, draft_id = await quiet.dataset(), await filled(quiet, 2)
    await quiet.call("dataset-archive", {"datasetId": dataset_id, "reason": "old"})
    await quiet.call("dataset-archive", {"draftId": draft_id, "reason": "old"})
    shown = await quiet.call("dataset-list")
    assert (shown["datasets"], shown["drafts"]) == ([], [])
    shown = await quiet.call("dataset-list", {"archived": True})
    assert [one["archived"] for one in shown["datasets"] + shown["drafts"]] == ["old", "old"]


async def test_freezing_the_same_rows_does_not_bring_an_archived_dataset_back(quiet: Rig) -> None:
    draft_id = await filled(quiet, 20)
    made = await frozen(quiet, draft_id)
    await quiet.call("dataset-archive", {"datasetId": made["datasetId"], "reason": "bad"})
    assert "bad" in (await quiet.refused("dataset-freeze", {"draftId": draft_id})).message
    await add(quiet, draft_id, range(50, 60))
    assert (await frozen(quiet, draft_id))["version"] == 2


async def test_which_one_and_why_must_be_said(quiet: Rig) -> None:
    for params in ({"reason": "x"}, {"datasetId": "ds-1", "draftId": "dr-1", "reason": "x"}, {"datasetId": "ds-1"}):
        assert (await quiet.refused("dataset-archive", params)).kind == "invalid_request"
    assert (await quiet.refused("dataset-archive", {"datasetId": "ds-1", "reason": "x"})).kind == "not_found"
    assert (await quiet.refused("dataset-archive", {"draftId": "dr-1", "reason": "x"})).kind == "not_found"
